-- Title: Requests read no statistics
-- Level: error
-- Reason: The planner's statistics hold values of all tenants; the activity of other sessions holds their
--   statements.
-- Remedy: Revoke the grant or the membership.
-- Needs: request role

/* Bad: app_user
reset role;
grant select on pg_catalog.pg_statistic to app_user;
*/

/* Good:
grant select on app_public.documents to app_user;
*/

select
  r.rolname as object,
  format('It may read %s.', string_agg(s.what, ', ')) as detail,
  null as fix
from request_role r
join lateral (
  select c.oid::regclass::text as what from pg_class c
  where c.oid in ('pg_statistic'::regclass, 'pg_statistic_ext_data'::regclass) and has_table_privilege(r.oid, c.oid, 'select')
  union all
  select g.name from request_grantee g where g.name in ('pg_read_all_stats', 'pg_monitor', 'pg_stat_scan_tables')
) s on true
where not (select p.rolsuper from pg_roles p where p.oid = r.oid)
group by r.rolname
