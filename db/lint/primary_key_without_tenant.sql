-- Title: The primary key of a tenant table leads with the tenant
-- Level: error
-- Reason: Other tables refer to the primary key, and references have to include the tenant. One index then
--   serves the key, every lookup under row-level security and every reference.
-- Remedy: Make it (tenant, id).
-- Needs: tenant

/* Bad: app_public.dead_letters
alter table app_public.dead_letters drop constraint dead_letters_pkey;
alter table app_public.dead_letters add constraint dead_letters_pkey primary key (id, org_id);
*/

/* Good:
alter table app_public.dead_letters drop constraint dead_letters_pkey;
alter table app_public.dead_letters add constraint dead_letters_pkey primary key (org_id, id);
*/

select
  t.name as object,
  case when c.oid is null then 'It has no primary key.'
    else format('It does not lead with the tenant: %s.', pg_get_constraintdef(c.oid)) end as detail,
  null as fix
from linted_table t
left join pg_constraint c on c.conrelid = t.oid and c.contype = 'p'
-- A column that may be null cannot be part of it: tenant_column_nullable comes first.
where t.tenant_is_required and not t.relispartition and c.conkey[1] is distinct from t.tenant
