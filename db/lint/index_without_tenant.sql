-- Title: Indexes of a tenant table lead with the tenant
-- Level: warning
-- Reason: Every query of a caller is pinned to one tenant by policy. An index that does not begin with the
--   tenant reads the entries of all of them.
-- Remedy: Begin it with the tenant column.
-- Needs: tenant

/* Bad: app_public.documents_created_at_idx
create index documents_created_at_idx on app_public.documents (created_at desc);
*/

/* Good:
create index documents_org_id_updated_at_idx on app_public.documents (org_id, updated_at desc);
*/

select i.name as object, format('It does not begin with the tenant: %s.', i.definition) as detail, null as fix
from linted_index i join pinned_table t on t.oid = i.indrelid
where not i.indisunique and not i.indisexclusion and i.keys[1] <> t.tenant
  -- Other kinds than a B-tree can seldom begin with it.
  and i.relam = (select oid from pg_am where amname = 'btree')
