-- Title: Requests are granted insert and update by column
-- Level: error
-- Reason: A grant on the whole table includes the tenant, the owner and the times, and every column that is
--   still to come.
-- Remedy: Grant the columns that a caller sets.
-- Needs: request role

/* Bad: app_public.documents
grant update on app_public.documents to app_user;
*/

/* Good:
grant update (title, body) on app_public.documents to app_user;
*/

select
  r.name as object,
  format('%s may %s every column.', g.grantee, string_agg(lower(g.privilege), ' and ' order by g.privilege)) as detail,
  format('revoke %s on %s from %s;', string_agg(lower(g.privilege), ', ' order by g.privilege), r.name, g.grantee) as fix
from relation r join request_grant g on g.oid = r.oid
where g.privilege in ('INSERT', 'UPDATE') and r.relkind in ('r', 'p', 'v') and not r.is_private
group by r.name, g.grantee
