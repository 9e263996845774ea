-- Title: Columns that policies ask for have an index
-- Level: warning
-- Reason: A policy is part of every query. A column it compares and no index leads to makes every query read
--   the whole table.
-- Remedy: Add an index that begins with the column, or with the tenant and then the column.

/* Bad: app_public.memberships.role
drop policy select_member on app_public.memberships;
create policy select_member on app_public.memberships for select to app_user
  using (org_id = (select app_hidden.current_org_id()) and role = (select app_hidden.current_org_role()));
*/

/* Good:
drop policy select_member on app_public.memberships;
create policy select_member on app_public.memberships for select to app_user
  using (org_id = (select app_hidden.current_org_id()) and role = (select app_hidden.current_org_role()));
create index memberships_org_id_role_idx on app_public.memberships (org_id, role);
*/

select
  c.name as object,
  format('Asked for by %s.', string_agg(distinct p.name, ', ')) as detail,
  format('create index concurrently on %s (%s);', c.table_name, concat_ws(', ',
    case when t.tenant <> c.attnum then (select quote_ident(o.tenant_column) from option o) end, c.column_name)) as fix
from linted_policy p
join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
join linted_column c on c.table_oid = d.refobjid and c.attnum = d.refobjsubid
join linted_table t on t.oid = c.table_oid
where p.polcmd <> 'a'
  and not exists (
    select from linted_index i
    where i.indrelid = t.oid and i.indisvalid and i.indpred is null
      and (i.keys[1] = c.attnum or i.keys[1] = t.tenant and i.keys[2] = c.attnum)
  )
group by c.name, c.table_name, c.column_name, c.attnum, t.tenant
