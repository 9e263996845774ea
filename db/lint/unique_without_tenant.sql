-- Title: Unique keys lead with the tenant
-- Level: error
-- Reason: A unique key over all tenants tells each of them, by its error, which values the others have.
-- Remedy: Begin the key with the tenant column. Where a value has to be unique everywhere, such as the id
--   of a user, ignore it with the reason.

/* Bad: app_public.documents_title_key
create unique index documents_title_key on app_public.documents (title, org_id);
*/

/* Good:
create unique index documents_org_id_title_key on app_public.documents (org_id, title);
*/

select
  i.name as object,
  case when i.tenant is null then format('%s has no tenant column: its keys are unique over all tenants.', i.table_name)
    else format('It does not lead with the tenant: %s.', i.definition) end as detail,
  null as fix
from linted_index i
where (i.indisunique or i.indisexclusion)
  and (i.tenant is not null or i.is_exposed)
  and i.keys[1] is distinct from i.tenant
  -- primary_key_without_tenant tells of those.
  and not (i.indisprimary and i.tenant is not null)
