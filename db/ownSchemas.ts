import type { ClientBase } from 'pg';

/** By what the schemas of a house are known. */
export type SchemaMarks = {
  /** Those that are ours wherever they are. */
  named: readonly string[];
  /** The roles that requests run as. */
  requestRoles: readonly string[];
};

/** How Rowhouse calls them. */
export const houseMarks: SchemaMarks = {
  named: ['app_public', 'app_hidden', 'app_private'],
  requestRoles: ['app_user'],
};

/**
 * The schemas that lint, catalogue, matrix and proof look at, sorted: those with a name of ours, what
 * their owner owns beside them, and whatever requests, everybody, or the logins of API and worker may
 * use. So a table in a schema that nobody has thought of is looked at too. Left out are Postgres's own,
 * those of the queue and of the migrations, and where there is nothing but an extension.
 */
export async function findOwnSchemas(
  client: Pick<ClientBase, 'query'>,
  { named, requestRoles }: SchemaMarks = houseMarks,
): Promise<string[]> {
  const { rows } = await client.query<{ schema: string }>(ownSchemasSql, [
    named,
    requestRoles,
    serviceGroups,
    othersSchemas,
  ]);
  return rows.map(({ schema }) => schema);
}

/** The logins are known by their groups, since each deployment names them itself. */
const serviceGroups = ['app_api', 'app_worker'];
const othersSchemas = ['information_schema', 'graphile_worker', 'graphile_migrate'];

const isOfExtension = (catalogue: string, oid: string) =>
  `exists (select from pg_depend d where d.classid = '${catalogue}'::regclass and d.objid = ${oid} and d.deptype = 'e')`;

const ownSchemasSql = `
  with recursive
  named as (select nspowner from pg_namespace where nspname = any ($1)),
  -- Superusers own what is anybody's.
  owner as (select o.oid from pg_roles o join named on o.oid = nspowner where not o.rolsuper),
  -- Who creates a role is its member, and may neither inherit nor become it; before Postgres 16 nothing tells.
  membership as (
    select roleid, member from pg_auth_members m
    where coalesce(to_jsonb(m) ->> 'inherit_option', 'true') = 'true' or coalesce(to_jsonb(m) ->> 'set_option', 'true') = 'true'
  ),
  login as (
    select oid from pg_roles where rolname = any ($3)
    union
    select m.member from membership m join login l on l.oid = m.roleid
    where m.member not in (select oid from owner) and m.member not in (select oid from pg_roles where rolsuper)
  ),
  caller as (
    select oid from pg_roles where rolname = any ($2)
    union select oid from login
    union
    select m.roleid from membership m join caller c on c.oid = m.member
  )
  select nspname::text as schema from pg_namespace n
  where nspname = any ($1) or (
    nspname !~ '^pg_' and nspname <> all ($4)
    and (
      nspowner in (select oid from owner union select oid from caller)
      or exists (
        select from aclexplode(nspacl) a
        where a.privilege_type = 'USAGE' and (a.grantee = 0 or a.grantee in (select oid from caller))
      )
    )
    and not ${isOfExtension('pg_namespace', 'n.oid')}
    and not (
      exists (select from pg_extension where extnamespace = n.oid)
      and not exists (select from pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and not ${isOfExtension('pg_class', 'c.oid')})
      and not exists (select from pg_proc p where p.pronamespace = n.oid and not ${isOfExtension('pg_proc', 'p.oid')})
    )
  )
  order by nspname collate "C"`;
