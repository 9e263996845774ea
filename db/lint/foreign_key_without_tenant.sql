-- Title: Foreign keys between tenant tables include the tenant
-- Level: error
-- Reason: Postgres checks foreign keys without row-level security. A reference without the tenant
--   accepts another tenant's row, and tells by its error which ids exist.
-- Remedy: Make the key composite: the tenant column refers to the tenant column, next to the id.
-- Needs: tenant

/* Bad: app_public.documents.documents_parent_id_fkey
alter table app_public.documents add column parent_org_id text, add column parent_id uuid;
alter table app_public.documents add constraint documents_parent_id_fkey
  foreign key (parent_org_id, parent_id) references app_public.documents (org_id, id);
create index on app_public.documents (org_id, parent_org_id, parent_id);
comment on column app_public.documents.parent_org_id is 'The organization of the document above.';
comment on column app_public.documents.parent_id is 'The document above.';
*/

/* Good:
alter table app_public.documents add column parent_id uuid;
alter table app_public.documents add constraint documents_parent_id_fkey
  foreign key (org_id, parent_id) references app_public.documents (org_id, id);
create index on app_public.documents (org_id, parent_id);
comment on column app_public.documents.parent_id is 'The document above.';
*/

select
  t.name || '.' || quote_ident(c.conname) as object,
  format('It refers to %s without pairing the tenant columns: %s.', target.name, pg_get_constraintdef(c.oid)) as detail,
  null as fix
from pg_constraint c
join linted_table t on t.oid = c.conrelid
join linted_table target on target.oid = c.confrelid
where c.contype = 'f' and t.tenant is not null and target.tenant is not null
  and not exists (
    select from unnest(c.conkey, c.confkey) as pair (here, there)
    where pair.here = t.tenant and pair.there = target.tenant
  )
