-- Title: Where requests insert, the tenant comes from their claims
-- Level: warning
-- Reason: A caller who has to name the tenant can name another. Where the column defaults to the claim, no
--   input needs it and nobody is granted it.
-- Remedy: Default it to the function that reads the tenant from the claims.
-- Needs: tenant, request role

/* Bad: app_public.documents.org_id
alter table app_public.documents alter column org_id drop default;
*/

/* Good:
alter table app_public.documents alter column org_id set default app_hidden.current_org_id();
*/

select
  c.name as object,
  format('Requests insert into %s, and the tenant has no default that reads their claims.', c.table_name) as detail,
  (
    select format('alter table %s alter column %s set default %s;', c.table_name, c.column_name, f.name)
    from accessor f where f.proname = 'current_' || c.column_name and f.name like '%()'
  ) as fix
from linted_table t
join linted_column c on c.table_oid = t.oid and c.attnum = t.tenant
where (
    exists (select from request_grant g where g.oid = t.oid and g.privilege = 'INSERT')
    or exists (select from request_column_grant g where g.table_oid = t.oid and g.privilege = 'INSERT')
  )
  and c.default_text !~ '\mcurrent_setting\M' is not false
  and not exists (select from accessor f where strpos(c.default_text, f.proname || '(') > 0)
