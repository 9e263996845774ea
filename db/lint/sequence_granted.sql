-- Title: Requests read no sequence
-- Level: error
-- Reason: The value of a sequence tells how many rows all tenants have made together.
-- Remedy: Revoke it. A default of the column needs the grant: take uuidv7() for keys.
-- Needs: request role

/* Bad: app_public.documents_count
create sequence app_public.documents_count;
grant select on sequence app_public.documents_count to app_user;
*/

/* Good:
create sequence app_public.documents_count;
*/

select
  r.name as object,
  format('%s has %s.', g.grantee, string_agg(g.privilege, ', ' order by g.privilege)) as detail,
  format('revoke all on sequence %s from %s;', r.name, g.grantee) as fix
from relation r join request_grant g on g.oid = r.oid
where r.relkind = 'S' and not r.is_private
group by r.name, g.grantee
