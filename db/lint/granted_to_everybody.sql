-- Title: No table or view is granted to everybody
-- Level: error
-- Reason: What everybody may do, requests may do, and so may each login that is still to come; nobody who
--   reads the grants of one role sees it.
-- Remedy: Revoke it, and grant it to the roles that need it.

/* Bad: app_public.documents
grant select on app_public.documents to public;
*/

/* Good:
grant select on app_public.documents to app_user;
*/

select
  r.name as object,
  format('Everybody has %s.', string_agg(distinct g.privilege, ', ')) as detail,
  format('revoke %s on %s from public;', string_agg(distinct lower(g.privilege), ', '), r.name) as fix
from relation r
join (
  select c.oid, a.privilege_type as privilege, a.grantee from relation c, aclexplode(c.relacl) a
  union all
  select c.table_oid, format('%s (%s)', a.privilege_type, c.column_name), a.grantee from linted_column c, aclexplode(c.attacl) a
) g on g.oid = r.oid and g.grantee = 0
-- What no request should have, or not whole, is told of by rules of its own, whoever has it.
where g.privilege ~ '^(SELECT|DELETE|INSERT \(|UPDATE \()' and r.relkind in ('r', 'p', 'v') and not r.is_private
group by r.name
