-- Title: No materialized view or foreign table is granted to requests
-- Level: error
-- Reason: Row-level security knows neither: whoever is granted one reads the rows of all tenants.
-- Remedy: Revoke it. Offer a function that says which rows the caller may see.
-- Needs: request role

/* Bad: app_hidden.titles
create materialized view app_hidden.titles as select org_id, title from app_public.documents;
grant select on app_hidden.titles to app_user;
*/

/* Good:
create materialized view app_hidden.titles as select org_id, title from app_public.documents;
*/

select
  r.name as object,
  format('%s may %s it.', g.grantee, string_agg(distinct lower(g.privilege), ', ')) as detail,
  format('revoke all on %s from %s;', r.name, g.grantee) as fix
from relation r
join (
  select oid, privilege, grantee from request_grant
  union all
  select table_oid, privilege, grantee from request_column_grant
) g on g.oid = r.oid
where r.relkind in ('m', 'f') and not r.is_private
group by r.name, g.grantee
