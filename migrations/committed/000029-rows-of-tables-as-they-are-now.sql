--! Previous: sha1:bb43ffdb45ddaad6b8029b533d2eba5f8c5ff61d
--! Hash: sha1:18b7e90d240af4d1b9e85facd9320f95403451b7
--! Message: rows of tables as they are now

-- A table that functions of the API answer with rows of may get columns, and lose them.
--
-- Bound when they were created, they had the columns of that day: with one more in the table each call
-- failed, and none could be dropped. As text they are read at each call, with the same plan: they are
-- inlined still, which a search_path of their own would forbid. Their names are qualified instead, and
-- they run as the caller.

create or replace function app_public.me() returns setof app_public.users
language sql stable parallel safe rows 1
as $$
  select u.* from app_public.users as u where u.id = (select app_hidden.current_user_id())
$$;

create or replace function app_public.search_documents(query text) returns setof app_public.documents
language sql stable parallel restricted
as $$
  select d.* from app_public.documents as d
  where d.search @@ app_hidden.search_query(search_documents.query)
$$;

create or replace function app_public.similar_documents(document uuid) returns setof app_public.documents
language sql stable parallel safe
as $$
  select d.*
  from app_public.documents as asked
  join app_public.document_embeddings as this on this.org_id = asked.org_id and this.document_id = asked.id
  join app_public.document_embeddings as e
    on e.org_id = this.org_id and e.model = this.model
      and pg_catalog.cardinality(e.vector) = pg_catalog.cardinality(this.vector)
  join app_public.documents as d on d.org_id = e.org_id and d.id = e.document_id
  where asked.org_id = (select app_hidden.current_org_id())
    and asked.id = similar_documents.document and e.document_id <> similar_documents.document
$$;
