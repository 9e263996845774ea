import type { ClientBase } from 'pg';
import { findOwnSchemas } from './ownSchemas.ts';

/**
 * Writes down what a database says of itself: types, tables, constraints,
 * indexes, statistics, triggers, policies, grants and functions of our schemas (`findOwnSchemas`),
 * as SQL to be read. A reviewer sees in its diff what a migration did to security.
 *
 * Sorted by name, so that two databases with the same migrations give the same text.
 */
export async function readCatalogue(client: Pick<ClientBase, 'query'>): Promise<string> {
  const sections: string[] = [heading];
  await client.query('begin; set local search_path = pg_catalog');
  try {
    const schemas = await findOwnSchemas(client);
    for (const [title, sql] of Object.entries(queries)) {
      const { rows } = await client.query<{ owner: string; line: string }>(sql, [schemas]);
      if (rows.length > 0) sections.push(`-- ${title}\n\n${groups(rows)}`);
    }
  } finally {
    await client.query('rollback');
  }
  return sections.join('\n');
}

const heading = `-- What the migrations amount to, written from the catalogue by \`npm run catalogue\`.
-- To be read and reviewed; nothing runs it.
`;

/** Blank lines between the tables (or functions, …) that the lines belong to. */
function groups(rows: readonly { owner: string; line: string }[]): string {
  let text = '';
  let last: string | undefined;
  for (const { owner, line } of rows) {
    if (last !== undefined && owner !== last) text += '\n';
    text += `${line}\n`;
    last = owner;
  }
  return text;
}

const ours = 'any ($1)';

// Partitions are made by the month, and are like the table they belong to.
const isWhole = 'not c.relispartition';

const grantee =
  "case when a.grantee = 0 then 'public' else quote_ident(a.grantee::regrole::text) end";

/** Each gives rows of (owner: what a line belongs to, line). */
const queries = {
  Schemas: `
    select nspname as owner, line from (
      select nspname, 1 as part, 'create schema ' || nspname || ';' as line from pg_namespace
      union all
      select nspname, 2, 'grant ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
        || ' on schema ' || nspname || ' to ' || ${grantee} || ';'
      from pg_namespace, aclexplode(nspacl) a where a.grantee <> nspowner group by nspname, a.grantee
    ) s where nspname = ${ours} order by nspname, part, line`,

  'Default privileges': `
    select 'default' as owner,
      'alter default privileges'
        || coalesce(' in schema ' || n.nspname, '')
        || ' leave on new '
        || case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' else 'schemas' end
        || ': ' || coalesce(string_agg(${grantee} || ' ' || lower(a.privilege_type), ', ' order by 1), 'nothing') || ';' as line
    from pg_default_acl d
    left join pg_namespace n on n.oid = d.defaclnamespace
    left join lateral (select * from aclexplode(d.defaclacl) x where x.grantee <> d.defaclrole) a on true
    where $1::text[] is not null
    group by d.oid, n.nspname, d.defaclobjtype order by 2`,

  Types: `
    select t.typname as owner,
      'create type ' || n.nspname || '.' || t.typname || ' as enum ('
        || string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder) || ');' as line
    from pg_type t join pg_namespace n on n.oid = t.typnamespace join pg_enum e on e.enumtypid = t.oid
    where n.nspname = ${ours} group by n.nspname, t.typname order by n.nspname, t.typname`,

  Tables: `
    with t as (
      select c.*, n.nspname || '.' || c.relname as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${ours} and c.relkind in ('r', 'p', 'v', 'm') and ${isWhole}
    )
    select name as owner, line from (
      select name, 1 as part, 0 as place,
        case relkind when 'v' then 'view ' when 'm' then 'materialized view ' else 'table ' end || name
          || case when relrowsecurity then '  -- row-level security' || case when relforcerowsecurity then ', forced' else ', NOT FORCED' end else '  -- NO ROW-LEVEL SECURITY' end as line
      from t
      union all
      select name, 2, attnum, '  ' || attname || ' ' || format_type(atttypid, atttypmod)
        || case when attnotnull then ' not null' else '' end
        || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
      from t join pg_attribute a on a.attrelid = t.oid left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
      where attnum > 0 and not attisdropped
      union all
      select name, 3, row_number() over (partition by t.oid order by contype, conname), '  constraint ' || conname || ' ' || pg_get_constraintdef(o.oid)
      from t join pg_constraint o on o.conrelid = t.oid where contype <> 'n'
      union all
      select name, 4, row_number() over (partition by t.oid order by indexrelid::regclass::text), '  ' || pg_get_indexdef(indexrelid)
      from t join pg_index i on i.indrelid = t.oid
      where not exists (select from pg_constraint o where o.conindid = i.indexrelid and o.contype in ('p', 'u', 'x'))
      union all
      select name, 5, 0, '  ' || pg_get_statisticsobjdef(s.oid) from t join pg_statistic_ext s on s.stxrelid = t.oid
      union all
      select name, 6, row_number() over (partition by t.oid order by tgname), '  ' || pg_get_triggerdef(g.oid) from t join pg_trigger g on g.tgrelid = t.oid where not tgisinternal
    ) s order by name, part, place, line`,

  Policies: `
    select schemaname || '.' || tablename as owner,
      'create policy ' || policyname || ' on ' || schemaname || '.' || tablename
        || case when permissive = 'RESTRICTIVE' then ' as restrictive' else '' end
        || ' for ' || lower(cmd) || ' to ' || array_to_string(roles, ', ')
        || coalesce(E'\\n  using ' || regexp_replace(qual, '\\s+', ' ', 'g'), '')
        || coalesce(E'\\n  with check ' || regexp_replace(with_check, '\\s+', ' ', 'g'), '') || ';' as line
    from pg_policies where schemaname = ${ours} or schemaname = 'graphile_worker'
    order by schemaname, tablename, policyname`,

  Grants: `
    select name as owner, line from (
      select n.nspname || '.' || c.relname as name, 1 as part,
        'grant ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type) || ' on ' || n.nspname || '.' || c.relname || ' to ' || ${grantee} || ';' as line
      from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
      where n.nspname = ${ours} and a.grantee <> c.relowner group by 1, n.nspname, c.relname, a.grantee
      union all
      select n.nspname || '.' || c.relname, 2,
        'grant ' || lower(a.privilege_type) || ' (' || string_agg(t.attname, ', ' order by t.attnum) || ') on ' || n.nspname || '.' || c.relname || ' to ' || ${grantee} || ';'
      from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
      where n.nspname = ${ours} and a.grantee <> c.relowner group by 1, n.nspname, c.relname, a.privilege_type, a.grantee
      union all
      select 'types', 3, 'grant ' || lower(a.privilege_type) || ' on type ' || n.nspname || '.' || t.typname || ' to ' || ${grantee} || ';'
      from pg_type t join pg_namespace n on n.oid = t.typnamespace, aclexplode(t.typacl) a
      where n.nspname = ${ours} and a.grantee <> t.typowner
    ) s order by name, part, line`,

  Functions: `
    select p.oid::text as owner,
      pg_get_functiondef(p.oid) || ';'
        || coalesce((
          select E'\\n' || string_agg('grant execute on function ' || p.oid::regprocedure || ' to ' || ${grantee} || ';', E'\\n' order by ${grantee})
          from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner
        ), E'\\n-- granted to nobody') as line
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = ${ours} order by n.nspname, p.proname, p.oid::regprocedure::text`,
};
