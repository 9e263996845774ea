-- Title: Requests reach nothing in a private schema
-- Level: error
-- Reason: What is private is so because no policy guards it. Without a right on the schema a grant inside
--   it does nothing, until someone gives that right for another reason.
-- Remedy: Revoke it.
-- Needs: request role

/* Bad: app_private.migration_level()
grant execute on function app_private.migration_level() to app_user;
*/

/* Good:
grant execute on function app_private.migration_level() to app_api;
*/

select
  g.object,
  format('%s has %s.', g.grantee, string_agg(distinct g.privilege, ', ')) as detail,
  format('revoke all on %s %s from %s;', g.kind, g.object, g.grantee) as fix
from (
  select 'schema' as kind, quote_ident(s.schema) as object, a.privilege_type as privilege, r.name as grantee
  from linted_schema s, aclexplode(s.nspacl) a join request_grantee r on r.oid = a.grantee where s.is_private
  union all
  select case r.relkind when 'S' then 'sequence' else 'table' end, r.name, g.privilege, g.grantee
  from relation r join request_grant g on g.oid = r.oid where r.is_private
  union all
  select 'table', r.name, g.privilege || ' (' || g.column_name || ')', g.grantee
  from relation r join request_column_grant g on g.table_oid = r.oid where r.is_private
  union all
  select f.kind, f.name, a.privilege_type, r.name
  -- Everybody's is told of by function_executable_by_public.
  from linted_function f, aclexplode(f.proacl) a join request_grantee r on r.oid = a.grantee where f.is_private and r.oid <> 0
) g
group by g.kind, g.object, g.grantee
