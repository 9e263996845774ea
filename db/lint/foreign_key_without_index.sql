-- Title: Foreign keys have an index
-- Level: warning
-- Reason: Deleting or changing what is referred to searches the referring table, and so does the API's way
--   back along the reference.
-- Remedy: Add an index on the columns of the key, alone or after the tenant.

/* Bad: app_public.documents.documents_editor_id_fkey
alter table app_public.documents add column editor_id text
  constraint documents_editor_id_fkey references app_public.users (id);
comment on column app_public.documents.editor_id is 'Who changed it last.';
*/

/* Good:
alter table app_public.documents add column editor_id text
  constraint documents_editor_id_fkey references app_public.users (id);
create index documents_org_id_editor_id_idx on app_public.documents (org_id, editor_id);
comment on column app_public.documents.editor_id is 'Who changed it last.';
*/

select
  t.name || '.' || quote_ident(c.conname) as object,
  format('No index of %s begins with %s.', t.name, k.names) as detail,
  format('create index concurrently on %s (%s);', t.name, concat_ws(', ',
    case when t.tenant <> all (c.conkey) then (select quote_ident(o.tenant_column) from option o) end, k.names)) as fix
from pg_constraint c
join linted_table t on t.oid = c.conrelid
cross join lateral (
  select string_agg(quote_ident(a.attname), ', ' order by u.place) as names
  from unnest(c.conkey) with ordinality as u (attnum, place) join pg_attribute a on a.attrelid = t.oid and a.attnum = u.attnum
) k
where c.contype = 'f' and not exists (
  select from linted_index i
  where i.indrelid = t.oid and i.indisvalid and i.indpred is null
    and (i.keys[1:cardinality(c.conkey)] @> c.conkey
      or i.keys[1] = t.tenant and i.keys[2:cardinality(c.conkey) + 1] @> c.conkey)
)
