--! Previous: sha1:e53dc839be21798b283dd5d8d40a9517ed1da49c
--! Hash: sha1:39438c3b3c7606ff39a84754d5cfdaf986803963
--! Message: who reads embeddings of documents

-- Who reads embeddings: whoever reads the document. Before, members read those of the whole
-- organization, of documents they may not read among them; and how near two texts are says
-- something of both. The API never showed them: this is for whatever else runs as a caller.

drop policy if exists select_member on app_public.document_embeddings;
drop policy if exists select_reader on app_public.document_embeddings;
drop statistics if exists app_public.document_embeddings_vector_stat;

-- Readers of the document. The documents are those that the caller sees: their policies hold
-- in here too.
create policy select_reader on app_public.document_embeddings for select to app_user
  using (
    -- One lookup for each row; `exists` may be planned as a hash of all documents, and with
    -- `document_id = (…)` a single row would be expected of all.
    (
      select d.id from app_public.documents as d
      where d.org_id = document_embeddings.org_id and d.id = document_embeddings.document_id
    ) is not null
  );

-- How long they are, which decides what can be compared.
create statistics app_public.document_embeddings_vector_stat on (cardinality(vector)) from app_public.document_embeddings;
