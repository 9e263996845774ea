-- Title: Requests have no TRUNCATE, REFERENCES or TRIGGER
-- Level: error
-- Reason: TRUNCATE deletes past the policies, REFERENCES asks past them by foreign keys, TRIGGER runs code as
--   whoever writes, and MAINTAIN locks.
-- Remedy: Revoke them.
-- Needs: request role

/* Bad: app_public.documents
grant truncate on app_public.documents to app_user;
*/

/* Good:
grant delete on app_public.documents to app_user;
*/

select
  r.name as object,
  format('%s has %s.', g.grantee, string_agg(distinct g.privilege, ', ')) as detail,
  format('revoke %s on %s from %s;', lower(string_agg(distinct g.privilege, ', ')), r.name, g.grantee) as fix
from relation r
join (
  select oid, privilege, grantee from request_grant
  union all
  select table_oid, privilege, grantee from request_column_grant
) g on g.oid = r.oid
where g.privilege in ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN') and r.relkind in ('r', 'p', 'v') and not r.is_private
group by r.name, g.grantee
