-- Title: The tenant and the owner have statistics together
-- Level: warning
-- Reason: An owner belongs to few tenants. Without knowing that, the planner multiplies the two selectivities
--   and misjudges an owner's rows by the number of tenants.
-- Remedy: Create extended statistics on both columns.
-- Needs: tenant

/* Bad: app_public.documents
drop statistics app_public.documents_org_id_owner_id_stat;
*/

/* Good:
drop statistics app_public.documents_org_id_owner_id_stat;
create statistics app_public.documents_org_id_owner_id_stat (dependencies) on org_id, owner_id
  from app_public.documents;
*/

select
  t.name as object,
  format('%s, which comes from the claims as the tenant does, has no statistics with it.', c.column_name) as detail,
  format('create statistics (ndistinct, dependencies, mcv) on %s, %s from %s;', (select quote_ident(o.tenant_column) from option o), c.column_name, t.name) as fix
from pinned_table t
join linted_column c on c.table_oid = t.oid and c.attnum <> t.tenant
where exists (select from accessor f where strpos(c.default_text, f.proname || '(') > 0)
  and not exists (
    select from pg_statistic_ext s
    where s.stxrelid = t.oid and 'f' = any (s.stxkind) and s.stxkeys::int2[] @> array[t.tenant, c.attnum]
  )
