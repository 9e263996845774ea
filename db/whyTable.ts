import { type ClientBase, escapeIdentifier } from 'pg';

/** What the catalogue says of a table, as far as app_user is concerned. */
export type AccessTable = {
  /** Quoted, with its schema. */
  name: string;
  schema: string;
  /** Its own name, quoted: what conditions call it. */
  alias: string;
  hasRowSecurity: boolean;
  hasTenant: boolean;
  /** Columns of the primary key, and their types. */
  key: string[];
  keyTypes: string[];
  isSchemaUsable: boolean;
  /** Of app_user on the whole table, in lower case. */
  privileges: string[];
  columns: { name: string; default: string | null; privileges: string[] }[];
  /** Those that bind app_user. */
  policies: TablePolicy[];
};

/** A policy, with its expressions as Postgres writes them. */
export type TablePolicy = {
  name: string;
  command: 'select' | 'insert' | 'update' | 'delete' | 'all';
  isPermissive: boolean;
  using: string | null;
  check: string | null;
};

/** Reads a table by its name, with or without its schema (app_public); null where there is none. */
export async function readTable(
  client: Pick<ClientBase, 'query'>,
  name: string,
): Promise<AccessTable | null> {
  const [schema, table] = name.includes('.') ? name.split('.', 2) : ['app_public', name];
  // Names come back with their schemas, wherever they are used.
  await client.query("set local search_path = ''");
  const { rows } = await client.query<AccessTable>(tableSql, [schema, table]);
  return rows[0] ?? null;
}

/** Finds a row `t` by these columns of its key, given from $1 on; by the index of the key. */
export function matchKey(
  { key, keyTypes }: Pick<AccessTable, 'key' | 'keyTypes'>,
  names: readonly string[],
): string {
  const terms = names.map(
    (name, i) => `t.${escapeIdentifier(name)} = $${i + 1}::text::${keyTypes[key.indexOf(name)]}`,
  );
  return terms.join(' and ');
}

const tableSql = `
  select format('%I.%I', n.nspname, c.relname) as name, n.nspname as schema, quote_ident(c.relname) as alias,
    c.relrowsecurity as "hasRowSecurity",
    exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped) as "hasTenant",
    array(
      select a.attname::text from pg_constraint k, unnest(k.conkey) with ordinality as u (attnum, place)
      join pg_attribute a on a.attnum = u.attnum
      where k.conrelid = c.oid and k.contype = 'p' and a.attrelid = c.oid order by u.place
    ) as key,
    array(
      select format_type(a.atttypid, a.atttypmod) from pg_constraint k, unnest(k.conkey) with ordinality as u (attnum, place)
      join pg_attribute a on a.attnum = u.attnum
      where k.conrelid = c.oid and k.contype = 'p' and a.attrelid = c.oid order by u.place
    ) as "keyTypes",
    has_schema_privilege('app_user', n.oid, 'usage') as "isSchemaUsable",
    array(
      select p from unnest(array['select', 'insert', 'update', 'delete']) as p
      where has_table_privilege('app_user', c.oid, p)
    ) as privileges,
    coalesce((
      select json_agg(json_build_object(
        'name', a.attname,
        'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
        'privileges', array(
          select p from unnest(array['select', 'insert', 'update']) as p
          where has_column_privilege('app_user', c.oid, a.attnum, p)
        )) order by a.attnum)
      from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ), '[]') as columns,
    coalesce((
      select json_agg(json_build_object(
        'name', p.polname,
        'command', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        'isPermissive', p.polpermissive,
        'using', pg_get_expr(p.polqual, p.polrelid),
        'check', pg_get_expr(p.polwithcheck, p.polrelid)) order by p.polpermissive, p.polname)
      from pg_policy p
      where p.polrelid = c.oid
        and exists (select from unnest(p.polroles) as r (oid) where r.oid = 0 or pg_has_role('app_user', r.oid, 'usage'))
    ), '[]') as policies
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and n.nspname = $1 and c.relname = $2`;
