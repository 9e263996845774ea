-- Title: Nothing new is granted to requests by default
-- Level: error
-- Reason: A default grant opens each new table as it is made, before anybody has thought of its policies, and
--   stands in no migration that makes one.
-- Remedy: Revoke it, and grant each thing by itself.
-- Needs: request role

/* Bad: app_public
alter default privileges in schema app_public grant select on tables to app_user;
*/

/* Good:
alter default privileges in schema app_private grant execute on functions to app_worker;
*/

select
  t.object,
  format('Each new %s of %s gives %s %s.', t.kind, t.maker, t.grantee, t.privileges) as detail,
  format('alter default privileges for role %s%s revoke %s on %ss from %s;', t.maker, t.place, lower(t.privileges), t.kind, t.grantee) as fix
from (
  select
    coalesce(quote_ident(n.nspname), d.defaclrole::regrole::text) as object, d.defaclrole::regrole::text as maker,
    coalesce(' in schema ' || quote_ident(n.nspname), '') as place,
    case d.defaclobjtype when 'r' then 'table' when 'S' then 'sequence' when 'f' then 'function' else 'schema' end as kind,
    g.name as grantee, string_agg(a.privilege_type, ', ' order by a.privilege_type) as privileges
  from pg_default_acl d
  left join pg_namespace n on n.oid = d.defaclnamespace
  cross join lateral aclexplode(d.defaclacl) a
  join request_grantee g on g.oid = a.grantee and g.oid <> d.defaclrole
  where d.defaclobjtype in ('r', 'S', 'f', 'n')
    -- Postgres itself gives each function to everybody: function_executable_by_public tells which.
    and not (d.defaclobjtype = 'f' and g.oid = 0)
    and exists (
      select from linted_schema s
      where d.defaclnamespace in (0, s.oid) and has_schema_privilege(d.defaclrole, s.oid, 'create')
    )
  group by n.nspname, d.defaclrole, d.defaclobjtype, g.name
) t
