--! Previous: sha1:6a31ece6ce7e9d7271bcbcc265ad870e3a148d31
--! Hash: sha1:0a6c2a3c051d2461d6d1bc550df99de04087149d
--! Message: documents

-- Documents: what an organization writes. The first tenant table, and the
-- pattern for the others.
--
-- The primary key leads with the tenant, so one index serves the key, every
-- lookup under row-level security and every reference, and references between
-- tenant tables are composite: foreign-key checks bypass row-level security and
-- would otherwise accept, and so reveal, another tenant's row.

drop function if exists app_hidden.document_rank(app_public.documents, text);
drop function if exists app_public.search_documents(text);
drop table if exists app_public.documents cascade;
drop function if exists app_hidden.can_manage_documents();
drop function if exists app_hidden.search_query(text);
drop function if exists app_hidden.document_search(text, text);
drop function if exists app_private.index_document(uuid);
drop function if exists app_private.tg_documents__search();
drop function if exists app_private.tg_documents__enqueue_index();

create table app_public.documents (
  org_id text not null default app_hidden.current_org_id(),
  id uuid not null default uuidv7(),
  owner_id text not null default app_hidden.current_user_id(),
  title text not null,
  body text not null default '',
  search tsvector not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint documents_pkey primary key (org_id, id),
  constraint documents_org_id_fkey foreign key (org_id) references app_public.organizations (id),
  constraint documents_owner_id_fkey foreign key (owner_id) references app_public.users (id),
  constraint documents_title_check check (length(title) between 1 and 500),
  constraint documents_body_check check (length(body) <= 100000)
);

alter table app_public.documents enable row level security, force row level security;

create index documents_org_id_created_at_id_idx on app_public.documents (org_id, created_at desc, id desc);
create index documents_org_id_owner_id_created_at_id_idx on app_public.documents (org_id, owner_id, created_at desc, id desc);

-- An owner belongs to few organizations. Without knowing that, the planner
-- multiplies the two selectivities and misjudges an owner's documents by the
-- number of organizations.
create statistics app_public.documents_org_id_owner_id_stat (ndistinct, dependencies, mcv)
  on org_id, owner_id from app_public.documents;

-- The search vector: titles weigh more than bodies.
create function app_hidden.document_search(title text, body text) returns tsvector
language sql immutable parallel safe
return setweight(to_tsvector('pg_catalog.english'::regconfig, title), 'A')
  || setweight(to_tsvector('pg_catalog.english'::regconfig, body), 'B');

grant execute on function app_hidden.document_search(text, text) to app_user;

-- A write indexes the first 20 000 characters itself, which costs about as much
-- as the insert; the worker indexes what is longer, a moment later.
create function app_private.tg_documents__search() returns trigger
language plpgsql volatile set search_path = ''
as $$
begin
  new.search := app_hidden.document_search(new.title, pg_catalog.left(new.body, 20000));
  return new;
end;
$$;

-- Runs as the owner: requests may not touch the queue.
create function app_private.tg_documents__enqueue_index() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform graphile_worker.add_job(
    'documents__index',
    pg_catalog.json_build_object(
      'orgId', new.org_id,
      'documentId', new.id,
      'userId', app_hidden.current_user_id(),
      'requestId', app_hidden.current_request_id()
    ),
    job_key => 'documents__index:' || new.org_id || ':' || new.id::text
  );
  return null;
end;
$$;

create trigger _100_touch before update of title, body on app_public.documents
  for each row execute function app_private.tg__touch();
create trigger _200_search before insert or update of title, body on app_public.documents
  for each row execute function app_private.tg_documents__search();
create trigger _900_enqueue_index after insert or update of title, body on app_public.documents
  for each row when (length(new.body) > 20000)
  execute function app_private.tg_documents__enqueue_index();

-- Completes the search vector of a long document. Runs as the owner, who may
-- update the column; the owner's policies below keep it inside the organization
-- of the job's claims. True when the document was still there.
create function app_private.index_document(document_id uuid) returns boolean
language sql volatile security definer set search_path = ''
begin atomic
  with indexed as (
    update app_public.documents as d
    set search = app_hidden.document_search(d.title, d.body)
    where d.org_id = (select app_hidden.current_org_id()) and d.id = index_document.document_id
    returning 1
  )
  select exists (select from indexed);
end;
grant execute on function app_private.index_document(uuid) to app_worker;

-- Whether the caller may change documents of others.
create function app_hidden.can_manage_documents() returns boolean
language sql stable parallel safe
return coalesce(app_hidden.current_org_role() = 'admin', false)
  or app_hidden.has_permission('org:docs:manage');
grant execute on function app_hidden.can_manage_documents() to app_user;

-- Whatever else is allowed: only rows of the caller's organization.
create policy all_same_org on app_public.documents as restrictive for all to app_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));
-- Members read every document of the organization.
create policy select_member on app_public.documents for select to app_user
  using (org_id = (select app_hidden.current_org_id()));
-- Members write documents of their own.
create policy insert_own on app_public.documents for insert to app_user
  with check (owner_id = (select app_hidden.current_user_id()));
-- Members change their own; managers change all.
create policy update_own on app_public.documents for update to app_user
  using (owner_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_documents()))
  with check (owner_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_documents()));
-- Members delete their own; managers delete all.
create policy delete_own on app_public.documents for delete to app_user
  using (owner_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_documents()));
-- index_document runs as the owner, inside the organization of its claims.
create policy select_same_org on app_public.documents for select to current_user
  using (org_id = (select app_hidden.current_org_id()));
create policy update_same_org on app_public.documents for update to current_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));

-- Callers set the title and the body. Organization, owner, id and timestamps
-- come from defaults and triggers; nobody is granted them.
grant select, delete on app_public.documents to app_user;
grant insert (title, body), update (title, body) on app_public.documents to app_user;

-- What a caller looks for. A query of many thousand words, or of many operators
-- without words, exhausts Postgres's parser: that is told as an error of the input.
-- Parallel restricted, because catching an error needs a subtransaction. The cost
-- keeps prepared statements on plans of their own values: in those it is parsed
-- once, in a generic plan it would be parsed for each row.
create function app_hidden.search_query(query text) returns tsquery
language plpgsql immutable parallel restricted cost 10000 set search_path = ''
as $$
begin
  if pg_catalog.length(query) > 1000 then
    raise exception 'A search has at most 1000 characters.' using errcode = 'RW400', hint = 'query';
  end if;
  return pg_catalog.websearch_to_tsquery('pg_catalog.english'::pg_catalog.regconfig, query);
exception
  when internal_error or program_limit_exceeded or statement_too_complex then
    raise exception 'This search has too many operators.' using errcode = 'RW400', hint = 'query';
end;
$$;
grant execute on function app_hidden.search_query(text) to app_user;

-- Full-text search. Plain enough to be inlined into the query around it, which
-- adds the rank, the page and the caller's policies.
create function app_public.search_documents(query text) returns setof app_public.documents
language sql stable parallel restricted
begin atomic
  select d.* from app_public.documents as d
  where d.search @@ app_hidden.search_query(search_documents.query);
end;
grant execute on function app_public.search_documents(text) to app_user;

-- How well a document matches; the API orders search results by it.
create function app_hidden.document_rank(document app_public.documents, query text) returns real
language sql stable parallel restricted
return ts_rank(document.search, app_hidden.search_query(query));
grant execute on function app_hidden.document_rank(app_public.documents, text) to app_user;

comment on table app_public.documents is 'A document of an organization, owned by the member who wrote it.';
comment on column app_public.documents.org_id is 'The organization it belongs to.';
comment on column app_public.documents.id is 'Sorts by time of creation.';
comment on column app_public.documents.owner_id is 'The member who wrote it.';
comment on column app_public.documents.title is 'Title, 1 to 500 characters.';
comment on column app_public.documents.body is 'Text, at most 100 000 characters.';
comment on column app_public.documents.search is 'Search vector of title and body, kept by triggers and, for long bodies, by the worker.';
comment on column app_public.documents.created_at is 'When it was created.';
comment on column app_public.documents.updated_at is 'When its title or body last changed.';
comment on function app_public.search_documents(text) is 'Documents matching a web-style search (`"exact phrase"`, `-not`, `or`), best match first.';
comment on function app_hidden.can_manage_documents() is 'Whether the caller may change and delete documents of others: administrators, and holders of `org:docs:manage`.';
comment on function app_hidden.search_query(text) is 'Reads a web-style search of at most 1000 characters.';
comment on function app_hidden.document_rank(app_public.documents, text) is 'How well a document matches a web-style search; more is better.';
comment on function app_hidden.document_search(text, text) is 'The search vector of a title and a body.';
comment on function app_private.index_document(uuid) is 'Completes the search vector of a long document; the job documents__index.';
comment on function app_private.tg_documents__search() is 'Trigger: indexes title and the start of the body.';
comment on function app_private.tg_documents__enqueue_index() is 'Trigger: has the worker index a long body.';
