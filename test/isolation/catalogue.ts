import type { ClientBase } from 'pg';
import { findOwnSchemas } from '../../db/ownSchemas.ts';

/** What the isolation tests know of a database: all of it read from the catalogue, nothing by heart. */
export type Catalogue = {
  tables: Table[];
  /** Permissions that a policy or function asks for by name, such as `org:docs:manage`. */
  permissions: string[];
  /** Whether a policy or function asks how long ago the caller signed in. */
  asksHowFresh: boolean;
};

/** A table of ours; partitions belong to their parent. */
export type Table = {
  /** With its schema: `app_public.documents`. */
  name: string;
  schema: string;
  /** Whether requests may use its schema, so that privileges and policies alone keep them from its rows. */
  isReachable: boolean;
  columns: Column[];
  constraints: Constraint[];
  /** The columns of the primary key; all of them, where there is none. */
  key: string[];
  /** The column that names the organization of a row, if there is one. */
  orgColumn: string | undefined;
  /** The column that names the person a row belongs to, if there is one. */
  personColumn: string | undefined;
};

export type Column = {
  name: string;
  /** As Postgres prints it: `text`, `timestamp with time zone`, `app_public.organization_kind`. */
  type: string;
  isRequired: boolean;
  /** The expression of its default. */
  preset: string | null;
  /** Whether Postgres alone gives it a value. */
  isGenerated: boolean;
  /** Whether it comes from a sequence of its own, always. */
  isIdentity: boolean;
  /** Values of an enum, in their order. */
  labels: string[];
};

export type Constraint = {
  name: string;
  kind: 'primary key' | 'unique' | 'foreign key' | 'check' | 'exclusion';
  columns: string[];
  /** Of a foreign key. */
  target: string | null;
  targetColumns: string[];
  definition: string;
};

/** The tables that say who there is; all others belong to an organization, or are private. */
export const people = 'app_public.users';
export const tenants = 'app_public.organizations';
export const belonging = 'app_public.memberships';

/** Reads tables and permissions, of our schemas by default. */
export async function readCatalogue(
  client: Pick<ClientBase, 'query'>,
  wanted?: readonly string[],
): Promise<Catalogue> {
  const { rows } = await client.query<{ catalogue: Catalogue }>(catalogueSql, [
    wanted ?? (await findOwnSchemas(client)),
  ]);
  const catalogue = rows[0]?.catalogue;
  if (!catalogue) throw new Error('The catalogue is empty.');
  const tables = catalogue.tables.map((table) => ({
    ...table,
    key:
      table.constraints.find(({ kind }) => kind === 'primary key')?.columns ??
      table.columns.map(({ name }) => name),
    orgColumn: belongsTo(table, tenants),
    personColumn: belongsTo(table, people),
  }));
  return { ...catalogue, tables };
}

/** The column by which a row belongs to a row of `target`: of the first reference, or its own key. */
function belongsTo(table: Table, target: string): string | undefined {
  if (table.name === target) return 'id';
  const single = table.constraints.find(
    ({ kind, columns, target: to }) =>
      kind === 'foreign key' && to === target && columns.length === 1,
  );
  const named = target === tenants && table.columns.some(({ name }) => name === 'org_id');
  return named ? 'org_id' : single?.columns[0];
}

const catalogueSql = `
  with source as (
    select concat(prosrc, case when prosqlbody is not null then pg_get_function_sqlbody(p.oid) end) as text from pg_proc p
    join pg_namespace n on n.oid = pronamespace where nspname = any ($1)
    union all
    select concat(qual, with_check) from pg_policies where schemaname = any ($1)
  )
  select json_build_object(
    'tables', (
      select coalesce(json_agg(json_build_object(
        'name', n.nspname || '.' || c.relname, 'schema', n.nspname,
        'isReachable', has_schema_privilege('app_user', n.oid, 'usage'),
        'columns', (
          select json_agg(json_build_object(
            'name', a.attname, 'type', format_type(a.atttypid, null), 'isRequired', a.attnotnull,
            'preset', pg_get_expr(d.adbin, d.adrelid),
            'isGenerated', a.attgenerated <> '' or a.attidentity = 'a', 'isIdentity', a.attidentity = 'a',
            'labels', array(select enumlabel from pg_enum where enumtypid = a.atttypid order by enumsortorder)
          ) order by a.attnum)
          from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        ),
        'constraints', coalesce((
          select json_agg(json_build_object(
            'name', k.conname,
            'kind', case k.contype when 'p' then 'primary key' when 'u' then 'unique' when 'f' then 'foreign key'
              when 'c' then 'check' else 'exclusion' end,
            'columns', array(
              select a.attname from unnest(k.conkey) with ordinality as u (attnum, place)
              join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum order by place),
            'target', (
              select tn.nspname || '.' || t.relname from pg_class t join pg_namespace tn on tn.oid = t.relnamespace
              where t.oid = k.confrelid),
            'targetColumns', array(
              select a.attname from unnest(k.confkey) with ordinality as u (attnum, place)
              join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum order by place),
            'definition', pg_get_constraintdef(k.oid)
          ) order by k.conname)
          from pg_constraint k
          where k.conrelid = c.oid and k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0
        ), '[]')
      ) order by n.nspname, c.relname), '[]')
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = any ($1) and c.relkind in ('r', 'p') and not c.relispartition
    ),
    'permissions', array(
      select distinct (regexp_matches(text, 'has_permission\\(''([^'']+)''', 'g'))[1] from source order by 1
    ),
    'asksHowFresh', exists (select from source where text ~ '\\mis_(second_factor_)?fresh\\(')
  ) as catalogue`;
