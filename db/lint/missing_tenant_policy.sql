-- Title: A restrictive policy pins a tenant table to the caller's tenant
-- Level: error
-- Reason: Permissive policies are added over the years. One restrictive policy for all commands keeps each
--   of them inside the caller's tenant, whatever it says.
-- Remedy: Add it. A table whose rows span tenants for one caller is ignored with the reason.
-- Needs: tenant, request role

/* Bad: app_public.documents
drop policy all_same_org on app_public.documents;
create policy all_same_org on app_public.documents as restrictive for all to app_user
  using (org_id = (select app_hidden.current_org_id()) or owner_id = (select app_hidden.current_user_id()))
  with check (org_id = (select app_hidden.current_org_id()));
*/

/* Good:
drop policy all_same_org on app_public.documents;
create policy all_same_org on app_public.documents as restrictive for all to app_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));
*/

select
  t.name as object,
  format('It has no restrictive policy for all commands that says only %s = (the caller''s).', (select quote_ident(tenant_column) from option)) as detail,
  (
    select format('create policy all_same_tenant on %1$s as restrictive for all to %2$s using (%3$s = (select %4$s)) with check (%3$s = (select %4$s));',
      t.name, (select string_agg(quote_ident(r.rolname), ', ') from request_role r), quote_ident(o.tenant_column), f.name)
    from option o, accessor f where f.proname = 'current_' || o.tenant_column and f.name like '%()'
  ) as fix
from guarded_table t
where t.tenant is not null and t.relrowsecurity
  and (t.is_exposed or exists (select from request_grant g where g.oid = t.oid))
  and t.oid not in (select p.oid from pinned_table p)
