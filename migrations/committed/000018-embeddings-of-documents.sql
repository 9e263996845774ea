--! Previous: sha1:18ea1f4d060e3ddf9239e0e27abcd7402e8c86f0
--! Hash: sha1:26704cc556807348411ab7457874b46675a220a5
--! Message: embeddings of documents

-- Embeddings: where a document lies among the others, as a model of the AI service sees it,
-- so that similar ones are found.
--
-- Where a worker has said that they are enabled, a document that is written gets a job, which
-- asks the service for the vector of its text and keeps it here. Vectors of different models
-- mean nothing to each other and are never compared. The worker stores them with length 1, so
-- that the cosine of two is their dot product.
--
-- The API does not show embeddings, and finds what the caller may read from what the caller may
-- read. Only jobs write them.

drop function if exists app_public.similar_documents(uuid);
drop function if exists app_hidden.document_similarity(app_public.documents, app_public.document_embeddings);
drop function if exists app_hidden.document_embedding(uuid);
drop function if exists app_hidden.dot_product(real[], real[]);
drop trigger if exists _910_enqueue_embed on app_public.documents;
drop function if exists app_private.tg_documents__enqueue_embed();
drop function if exists app_private.store_embedding(app_private.attempt, uuid, bytea, text, real[]);
drop function if exists app_private.document_to_embed(app_private.attempt, uuid);
drop function if exists app_private.embed_missing(app_private.attempt);
drop function if exists app_private.enable_embeddings(boolean);
drop function if exists app_private.embedded_text(text, text);
drop table if exists app_public.document_embeddings;
drop table if exists app_private.embedding_settings;

create table app_public.document_embeddings (
  org_id text not null default app_hidden.current_org_id(),
  document_id uuid not null,
  model text not null,
  content_hash bytea not null,
  vector real[] not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint document_embeddings_pkey primary key (org_id, document_id),
  constraint document_embeddings_document_id_fkey foreign key (org_id, document_id)
    references app_public.documents (org_id, id) on delete cascade,
  constraint document_embeddings_model_check check (length(model) between 1 and 200),
  constraint document_embeddings_content_hash_check check (length(content_hash) = 32),
  constraint document_embeddings_vector_check check (cardinality(vector) between 1 and 4096)
);
-- Vectors do not get smaller.
alter table app_public.document_embeddings alter column vector set storage external;

alter table app_public.document_embeddings enable row level security, force row level security;

-- Whether documents are to be embedded, as the worker that started last has it, and how far
-- the search for those that are not has come.
create table app_private.embedding_settings (
  is_only boolean not null default true,
  is_enabled boolean not null default false,
  reached_org text not null default '',
  reached_id uuid not null default '00000000-0000-0000-0000-000000000000',
  constraint embedding_settings_pkey primary key (is_only),
  constraint embedding_settings_is_only_check check (is_only)
);
insert into app_private.embedding_settings default values;

-- What of a document is embedded: the beginning, about as much as models read.
create function app_private.embedded_text(title text, body text) returns text
language sql immutable parallel safe
return title || E'\n\n' || left(body, 20000);

-- Runs as the owner: requests may not touch the queue. A few seconds late, so that a text
-- that is being typed is embedded once.
create function app_private.tg_documents__enqueue_embed() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if (select s.is_enabled from app_private.embedding_settings as s) then
    perform app_private.enqueue('documents__embed', new.id, run_at => pg_catalog.now() + interval '5 seconds', org_id => new.org_id);
  end if;
  return null;
end;
$$;

create trigger _100_touch before update on app_public.document_embeddings
  for each row execute function app_private.tg__touch();
create trigger _910_enqueue_embed after insert or update of title, body on app_public.documents
  for each row execute function app_private.tg_documents__enqueue_embed();

-- A worker says at its start whether documents are to be embedded. Where they were not so
-- far, those that are there already get their turn.
create function app_private.enable_embeddings(is_enabled boolean) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update app_private.embedding_settings as s
  set is_enabled = enable_embeddings.is_enabled, reached_org = '', reached_id = '00000000-0000-0000-0000-000000000000'
  where s.is_enabled <> enable_embeddings.is_enabled;
  if found and enable_embeddings.is_enabled then
    perform graphile_worker.add_job('documents__embed_missing', job_key => 'documents__embed_missing');
  end if;
end;
$$;

-- Adds jobs for the next documents that have no embedding, one organization after the other,
-- and a job like itself where there are more to look at. Enters each organization: as the
-- owner it reads no more than a job of that organization.
create function app_private.embed_missing(attempt app_private.attempt) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  settings app_private.embedding_settings;
  document record;
  left_to_see integer := 500;
  added integer := 0;
begin
  perform app_private.enter_attempt(embed_missing.attempt);
  select s.* into settings from app_private.embedding_settings as s for update;
  if not settings.is_enabled then
    return 0;
  end if;
  loop
    perform pg_catalog.set_config('jwt.org_id', settings.reached_org, true);
    for document in
      select d.id, e.document_id is null as is_missing
      from app_public.documents as d
      left join app_public.document_embeddings as e on e.org_id = d.org_id and e.document_id = d.id
      where d.org_id = settings.reached_org and d.id > settings.reached_id
      order by d.id limit left_to_see
    loop
      left_to_see := left_to_see - 1;
      settings.reached_id := document.id;
      if document.is_missing then
        perform app_private.enqueue('documents__embed', document.id, org_id => settings.reached_org);
        added := added + 1;
      end if;
    end loop;
    exit when left_to_see <= 0;
    -- An organization counts as much as a document.
    left_to_see := left_to_see - 1;
    settings.reached_id := '00000000-0000-0000-0000-000000000000';
    settings.reached_org := (
      select o.id from app_public.organizations as o where o.id > settings.reached_org order by o.id limit 1
    );
    exit when settings.reached_org is null;
  end loop;
  update app_private.embedding_settings as s
  set reached_org = coalesce(settings.reached_org, ''), reached_id = settings.reached_id;
  if settings.reached_org is not null then
    perform graphile_worker.add_job('documents__embed_missing');
  end if;
  return added;
end;
$$;

-- What has to be embedded of a document, and its hash; no row where there is nothing to do:
-- it is gone, or as it was when it was last embedded.
create function app_private.document_to_embed(attempt app_private.attempt, document_id uuid)
returns table (content text, content_hash bytea)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(document_to_embed.attempt);
  return query
    select t.content, t.content_hash
    from app_public.documents as d
    cross join lateral (select app_private.embedded_text(d.title, d.body) as content) as c
    cross join lateral (
      select c.content, pg_catalog.sha256(pg_catalog.convert_to(c.content, 'UTF8')) as content_hash
    ) as t
    left join app_public.document_embeddings as e on e.org_id = d.org_id and e.document_id = d.id
    where d.org_id = (select app_hidden.current_org_id()) and d.id = document_to_embed.document_id
      and e.content_hash is distinct from t.content_hash;
end;
$$;

-- Keeps the vector of a text, if that is the document's text still; false otherwise: another
-- job has been added by whoever changed it. Locks the document and then the job, as writers do.
create function app_private.store_embedding(
  attempt app_private.attempt, document_id uuid, content_hash bytea, model text, vector real[]
) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_organization(store_embedding.attempt);
  perform from app_public.documents as d
  where d.org_id = (select app_hidden.current_org_id()) and d.id = store_embedding.document_id
    and pg_catalog.sha256(pg_catalog.convert_to(app_private.embedded_text(d.title, d.body), 'UTF8')) = store_embedding.content_hash
  for no key update;
  if not found then
    return false;
  end if;
  perform app_private.enter_attempt(store_embedding.attempt);
  insert into app_public.document_embeddings as e (document_id, model, content_hash, vector)
  values (store_embedding.document_id, store_embedding.model, store_embedding.content_hash, store_embedding.vector)
  on conflict on constraint document_embeddings_pkey do update
    set model = excluded.model, content_hash = excluded.content_hash, vector = excluded.vector;
  return true;
end;
$$;

grant execute on function
  app_private.enable_embeddings(boolean),
  app_private.embed_missing(app_private.attempt),
  app_private.document_to_embed(app_private.attempt, uuid),
  app_private.store_embedding(app_private.attempt, uuid, bytea, text, real[])
to app_worker;

-- Whatever else is allowed: only rows of the caller's organization.
create policy all_same_org on app_public.document_embeddings as restrictive for all to app_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));
-- Members compare; which documents they learn of is for the policies of those.
create policy select_member on app_public.document_embeddings for select to app_user
  using (org_id = (select app_hidden.current_org_id()));
-- The functions above run as the owner, inside the organization of their claims.
create policy select_embedder on app_public.document_embeddings for select to current_user
  using (org_id = (select app_hidden.current_org_id()));
create policy insert_embedder on app_public.document_embeddings for insert to current_user
  with check (org_id = (select app_hidden.current_org_id()));
create policy update_embedder on app_public.document_embeddings for update to current_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));

-- No insert, update or delete: jobs write, and a document takes its embedding along.
grant select on app_public.document_embeddings to app_user;

-- Not inlined, so that it is one call a pair; its sum is in the order of the places.
create function app_hidden.dot_product(a real[], b real[]) returns double precision
language sql immutable parallel safe strict
begin atomic
  select sum(t.x::double precision * t.y) from unnest(dot_product.a, dot_product.b) as t (x, y);
end;
grant execute on function app_hidden.dot_product(real[], real[]) to app_user;

-- The embedding of a document the caller may read; null where there is none.
create function app_hidden.document_embedding(document uuid) returns app_public.document_embeddings
language sql stable parallel safe
begin atomic
  select e
  from app_public.document_embeddings as e
  join app_public.documents as d on d.org_id = e.org_id and d.id = e.document_id
  where e.org_id = (select app_hidden.current_org_id()) and e.document_id = document_embedding.document;
end;
grant execute on function app_hidden.document_embedding(uuid) to app_user;

-- How near a document is to an embedding: the cosine, from -1 to 1.
create function app_hidden.document_similarity(document app_public.documents, other app_public.document_embeddings) returns double precision
language sql stable parallel safe
begin atomic
  select app_hidden.dot_product(e.vector, (document_similarity.other).vector)
  from app_public.document_embeddings as e
  where e.org_id = (document_similarity.document).org_id and e.document_id = (document_similarity.document).id;
end;
grant execute on function app_hidden.document_similarity(app_public.documents, app_public.document_embeddings) to app_user;

-- Documents that can be compared with this one: the API orders them by how near they are.
create function app_public.similar_documents(document uuid) returns setof app_public.documents
language sql stable parallel safe
begin atomic
  select d.*
  from app_public.documents as asked
  join app_public.document_embeddings as this on this.org_id = asked.org_id and this.document_id = asked.id
  join app_public.document_embeddings as e
    on e.org_id = this.org_id and e.model = this.model and cardinality(e.vector) = cardinality(this.vector)
  join app_public.documents as d on d.org_id = e.org_id and d.id = e.document_id
  where asked.org_id = (select app_hidden.current_org_id())
    and asked.id = similar_documents.document and e.document_id <> similar_documents.document;
end;
grant execute on function app_public.similar_documents(uuid) to app_user;

comment on table app_public.document_embeddings is 'Where a document lies among others, as a model sees its text.';
comment on column app_public.document_embeddings.org_id is 'The organization of the document.';
comment on column app_public.document_embeddings.document_id is 'The document.';
comment on column app_public.document_embeddings.model is 'The model, as the AI service names it. Vectors of different models are never compared.';
comment on column app_public.document_embeddings.content_hash is 'SHA-256 of the text that was embedded.';
comment on column app_public.document_embeddings.vector is 'The vector, of length 1.';
comment on column app_public.document_embeddings.created_at is 'When it was first embedded.';
comment on column app_public.document_embeddings.updated_at is 'When it was last embedded.';
comment on table app_private.embedding_settings is 'Whether documents are embedded, in one row.';
comment on column app_private.embedding_settings.is_only is 'True: there is one row.';
comment on column app_private.embedding_settings.is_enabled is 'Whether a document that is written gets a job, as the worker that started last has it.';
comment on column app_private.embedding_settings.reached_org is 'How far documents__embed_missing has looked: the organization.';
comment on column app_private.embedding_settings.reached_id is 'How far documents__embed_missing has looked: the document.';
comment on function app_private.embedded_text(text, text) is 'What of a document is embedded: the title, and the first 20 000 characters of the body.';
comment on function app_private.tg_documents__enqueue_embed() is 'Trigger: has the worker embed a document, where that is enabled.';
comment on function app_private.enable_embeddings(boolean) is 'A worker says whether documents are to be embedded. Where that is new, all that are not get their turn.';
comment on function app_private.embed_missing(app_private.attempt) is 'Adds jobs for those of the next documents that have no embedding; the job documents__embed_missing.';
comment on function app_private.document_to_embed(app_private.attempt, uuid) is 'What has to be embedded of a document; no row where nothing has changed. The job documents__embed.';
comment on function app_private.store_embedding(app_private.attempt, uuid, bytea, text, real[]) is 'Keeps the vector of a document''s text; false where the text is another by now. The job documents__embed.';
comment on function app_hidden.dot_product(real[], real[]) is 'The sum of the products, place by place.';
comment on function app_hidden.document_embedding(uuid) is 'The embedding of a document that the caller may read; null where there is none.';
comment on function app_hidden.document_similarity(app_public.documents, app_public.document_embeddings) is 'How near a document is to an embedding: the cosine, from -1 to 1.';
comment on function app_public.similar_documents(uuid) is 'Documents like this one, the most similar first, as the embeddings of their texts have it. Only documents you may read; none where this one is not embedded (yet).';
