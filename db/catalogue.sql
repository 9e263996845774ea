-- What the migrations amount to, written from the catalogue by `npm run catalogue`.
-- To be read and reviewed; nothing runs it.

-- Schemas

create schema app_hidden;
grant usage on schema app_hidden to app_user;

create schema app_private;
grant usage on schema app_private to app_api;
grant usage on schema app_private to app_worker;

create schema app_public;
grant usage on schema app_public to app_user;

-- Default privileges

alter default privileges leave on new functions: nothing;
alter default privileges leave on new types: nothing;

-- Types

create type app_public.organization_kind as enum ('ORGANIZATION', 'PERSONAL');

-- Tables

table app_public.documents  -- row-level security, forced
  org_id text not null default app_hidden.current_org_id()
  id uuid not null default uuidv7()
  owner_id text not null default app_hidden.current_user_id()
  title text not null
  body text not null default ''::text
  search tsvector not null default ''::tsvector
  created_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  constraint documents_body_check CHECK ((length(body) <= 100000))
  constraint documents_title_check CHECK (((length(title) >= 1) AND (length(title) <= 500)))
  constraint documents_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id)
  constraint documents_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_public.users(id)
  constraint documents_pkey PRIMARY KEY (org_id, id)
  CREATE INDEX documents_org_id_created_at_id_idx ON app_public.documents USING btree (org_id, created_at DESC, id DESC)
  CREATE INDEX documents_org_id_owner_id_created_at_id_idx ON app_public.documents USING btree (org_id, owner_id, created_at DESC, id DESC)
  CREATE STATISTICS app_public.documents_org_id_owner_id_stat ON org_id, owner_id FROM app_public.documents
  CREATE TRIGGER _100_touch BEFORE UPDATE OF title, body ON app_public.documents FOR EACH ROW EXECUTE FUNCTION app_private.tg__touch()
  CREATE TRIGGER _200_search BEFORE INSERT OR UPDATE OF title, body ON app_public.documents FOR EACH ROW EXECUTE FUNCTION app_private.tg_documents__search()
  CREATE TRIGGER _900_enqueue_index AFTER INSERT OR UPDATE OF title, body ON app_public.documents FOR EACH ROW WHEN ((length(new.body) > 20000)) EXECUTE FUNCTION app_private.tg_documents__enqueue_index()

table app_public.memberships  -- row-level security, forced
  org_id text not null
  user_id text not null
  role text not null
  created_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  constraint memberships_role_check CHECK (((length(role) >= 1) AND (length(role) <= 100)))
  constraint memberships_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id) ON DELETE CASCADE
  constraint memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES app_public.users(id) ON DELETE CASCADE
  constraint memberships_pkey PRIMARY KEY (org_id, user_id)
  CREATE INDEX memberships_org_id_created_at_user_id_idx ON app_public.memberships USING btree (org_id, created_at DESC, user_id DESC)
  CREATE INDEX memberships_user_id_created_at_org_id_idx ON app_public.memberships USING btree (user_id, created_at DESC, org_id DESC)
  CREATE TRIGGER _100_touch BEFORE UPDATE ON app_public.memberships FOR EACH ROW EXECUTE FUNCTION app_private.tg__touch()

table app_public.organizations  -- row-level security, forced
  id text not null
  kind app_public.organization_kind not null
  name text not null
  slug text
  created_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  constraint organizations_id_check CHECK (((length(id) >= 1) AND (length(id) <= 255)))
  constraint organizations_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255)))
  constraint organizations_slug_check CHECK ((length(slug) <= 255))
  constraint organizations_pkey PRIMARY KEY (id)
  CREATE TRIGGER _100_touch BEFORE UPDATE ON app_public.organizations FOR EACH ROW EXECUTE FUNCTION app_private.tg__touch()

table app_public.users  -- row-level security, forced
  id text not null
  email text
  name text
  created_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  constraint users_email_check CHECK ((length(email) <= 320))
  constraint users_id_check CHECK (((length(id) >= 1) AND (length(id) <= 255)))
  constraint users_name_check CHECK ((length(name) <= 255))
  constraint users_pkey PRIMARY KEY (id)
  CREATE TRIGGER _100_touch BEFORE UPDATE ON app_public.users FOR EACH ROW EXECUTE FUNCTION app_private.tg__touch()

-- Policies

create policy all_same_org on app_public.documents as restrictive for all to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy delete_own on app_public.documents for delete to app_user
  using ((owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.can_manage_documents() AS can_manage_documents));
create policy insert_own on app_public.documents for insert to app_user
  with check (owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id));
create policy select_member on app_public.documents for select to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy select_same_org on app_public.documents for select to rowhouse_owner
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy update_own on app_public.documents for update to app_user
  using ((owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.can_manage_documents() AS can_manage_documents))
  with check ((owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.can_manage_documents() AS can_manage_documents));
create policy update_same_org on app_public.documents for update to rowhouse_owner
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));

create policy insert_mirror on app_public.memberships for insert to rowhouse_owner
  with check true;
create policy select_member on app_public.memberships for select to app_user
  using ((org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) OR (user_id = ( SELECT app_hidden.current_user_id() AS current_user_id)));
create policy select_mirror on app_public.memberships for select to rowhouse_owner
  using true;
create policy update_mirror on app_public.memberships for update to rowhouse_owner
  using true
  with check true;

create policy insert_mirror on app_public.organizations for insert to rowhouse_owner
  with check true;
create policy select_member on app_public.organizations for select to app_user
  using (id = ANY (ARRAY( SELECT m.org_id FROM app_public.memberships m WHERE (m.user_id = ( SELECT app_hidden.current_user_id() AS current_user_id)))));
create policy select_mirror on app_public.organizations for select to rowhouse_owner
  using true;
create policy update_mirror on app_public.organizations for update to rowhouse_owner
  using true
  with check true;

create policy insert_mirror on app_public.users for insert to rowhouse_owner
  with check true;
create policy select_member on app_public.users for select to app_user
  using ((id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT true FROM app_public.memberships m WHERE ((m.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (m.user_id = users.id))));
create policy select_mirror on app_public.users for select to rowhouse_owner
  using true;
create policy update_mirror on app_public.users for update to rowhouse_owner
  using true
  with check true;

create policy all_worker on graphile_worker._private_job_queues for all to app_worker
  using true
  with check true;

create policy all_worker on graphile_worker._private_jobs for all to app_worker
  using true
  with check true;

create policy all_worker on graphile_worker._private_known_crontabs for all to app_worker
  using true
  with check true;

create policy all_worker on graphile_worker._private_tasks for all to app_worker
  using true
  with check true;

-- Grants

grant delete, select on app_public.documents to app_user;
grant insert (title, body) on app_public.documents to app_user;
grant update (title, body) on app_public.documents to app_user;

grant select on app_public.memberships to app_user;

grant select on app_public.organizations to app_user;

grant select on app_public.users to app_user;

grant usage on type app_public.organization_kind to app_user;

-- Functions

CREATE OR REPLACE FUNCTION app_hidden.can_manage_documents()
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (COALESCE((app_hidden.current_org_role() = 'admin'::text), false) OR app_hidden.has_permission('org:docs:manage'::text))
;
grant execute on function app_hidden.can_manage_documents() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.current_org_id()
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN NULLIF(current_setting('jwt.org_id'::text, true), ''::text)
;
grant execute on function app_hidden.current_org_id() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.current_org_role()
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN NULLIF(current_setting('jwt.org_role'::text, true), ''::text)
;
grant execute on function app_hidden.current_org_role() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.current_request_id()
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN NULLIF(current_setting('app.request_id'::text, true), ''::text)
;
grant execute on function app_hidden.current_request_id() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.current_user_id()
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN NULLIF(current_setting('jwt.user_id'::text, true), ''::text)
;
grant execute on function app_hidden.current_user_id() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.document_rank(document app_public.documents, query text)
 RETURNS real
 LANGUAGE sql
 STABLE PARALLEL RESTRICTED
RETURN ts_rank((document).search, app_hidden.search_query(query))
;
grant execute on function app_hidden.document_rank(app_public.documents,text) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.document_search(title text, body text)
 RETURNS tsvector
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (setweight(to_tsvector('english'::regconfig, title), 'A'::"char") || setweight(to_tsvector('english'::regconfig, body), 'B'::"char"))
;
grant execute on function app_hidden.document_search(text,text) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.has_permission(permission text)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN COALESCE((permission = ANY (string_to_array(current_setting('jwt.permissions'::text, true), ','::text))), false)
;
grant execute on function app_hidden.has_permission(text) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.search_query(query text)
 RETURNS tsquery
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL RESTRICTED COST 10000
 SET search_path TO ''
AS $function$
begin
  if pg_catalog.length(query) > 1000 then
    raise exception 'A search has at most 1000 characters.' using errcode = 'RW400', hint = 'query';
  end if;
  return pg_catalog.websearch_to_tsquery('pg_catalog.english'::pg_catalog.regconfig, query);
exception
  when internal_error or program_limit_exceeded or statement_too_complex then
    raise exception 'This search has too many operators.' using errcode = 'RW400', hint = 'query';
end;
$function$
;
grant execute on function app_hidden.search_query(text) to app_user;

CREATE OR REPLACE FUNCTION app_private.index_document(document_id uuid)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
BEGIN ATOMIC
 WITH indexed AS (
          UPDATE app_public.documents d SET search = app_hidden.document_search(d.title, d.body)
           WHERE ((d.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (d.id = index_document.document_id))
           RETURNING 1 AS "?column?"
         )
  SELECT (EXISTS ( SELECT
            FROM indexed)) AS "exists";
END
;
grant execute on function app_private.index_document(uuid) to app_worker;

CREATE OR REPLACE FUNCTION app_private.migration_level()
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return (select pg_catalog.max(filename) from graphile_migrate.migrations);
end;
$function$
;
grant execute on function app_private.migration_level() to app_api;
grant execute on function app_private.migration_level() to app_worker;

CREATE OR REPLACE FUNCTION app_private.provision(user_id text, email text, user_name text, org_id text, org_slug text, org_role text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  org_kind app_public.organization_kind :=
    case when provision.org_id = provision.user_id then 'PERSONAL' else 'ORGANIZATION' end;
  member_role text := coalesce(provision.org_role, 'owner');
begin
  -- Mostly there is nothing to do. Reading first takes no locks, for which the
  -- members of a large organization would queue.
  if exists (
    select from app_public.memberships as m
    join app_public.users as u on u.id = m.user_id
    join app_public.organizations as o on o.id = m.org_id
    where m.org_id = provision.org_id and m.user_id = provision.user_id and m.role = member_role
      and o.kind = org_kind
      and o.slug is not distinct from coalesce(provision.org_slug, o.slug)
      and u.email is not distinct from coalesce(provision.email, u.email)
      and u.name is not distinct from coalesce(provision.user_name, u.name)
  ) then
    return;
  end if;

  insert into app_public.users as u (id, email, name)
  values (provision.user_id, provision.email, provision.user_name)
  on conflict (id) do update
    set email = coalesce(excluded.email, u.email), name = coalesce(excluded.name, u.name);

  insert into app_public.organizations as o (id, kind, name, slug)
  values (
    provision.org_id,
    org_kind,
    case org_kind when 'PERSONAL' then 'Personal' else coalesce(provision.org_slug, provision.org_id) end,
    provision.org_slug
  )
  on conflict (id) do update
    set slug = coalesce(excluded.slug, o.slug),
      -- Known by its id only until a token says more.
      name = case when o.name = o.id then coalesce(excluded.slug, o.name) else o.name end
    where o.kind = excluded.kind;
  -- No token names a personal space as an organization, or the other way round.
  if not found then
    raise exception 'Organization and personal space differ.' using errcode = 'RW403';
  end if;

  insert into app_public.memberships as m (org_id, user_id, role)
  values (provision.org_id, provision.user_id, member_role)
  on conflict on constraint memberships_pkey do update set role = excluded.role;
end;
$function$
;
grant execute on function app_private.provision(text,text,text,text,text,text) to app_api;

CREATE OR REPLACE FUNCTION app_private.tg__touch()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  new.updated_at := pg_catalog.now();
  return new;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_documents__enqueue_index()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_documents__search()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  new.search := app_hidden.document_search(new.title, pg_catalog.left(new.body, 20000));
  return new;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_public.me()
 RETURNS SETOF app_public.users
 LANGUAGE sql
 STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
 SELECT u.id,
     u.email,
     u.name,
     u.created_at,
     u.updated_at
    FROM app_public.users u
   WHERE (u.id = ( SELECT app_hidden.current_user_id() AS current_user_id));
END
;
grant execute on function app_public.me() to app_user;

CREATE OR REPLACE FUNCTION app_public.search_documents(query text)
 RETURNS SETOF app_public.documents
 LANGUAGE sql
 STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
 SELECT d.org_id,
     d.id,
     d.owner_id,
     d.title,
     d.body,
     d.search,
     d.created_at,
     d.updated_at
    FROM app_public.documents d
   WHERE (d.search @@ app_hidden.search_query(search_documents.query));
END
;
grant execute on function app_public.search_documents(text) to app_user;
