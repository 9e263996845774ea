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

create type app_public.file_status as enum ('PENDING', 'FINALIZING', 'READY', 'REJECTED', 'EXPIRED');

create type app_public.job_status as enum ('QUEUED', 'RUNNING', 'RETRYING', 'FAILED');

create type app_public.organization_kind as enum ('ORGANIZATION', 'PERSONAL');

-- Tables

table app_private.file_patrol  -- NO ROW-LEVEL SECURITY
  is_only boolean not null default true
  reached_org text not null default ''::text
  reached_id uuid not null default '00000000-0000-0000-0000-000000000000'::uuid
  constraint file_patrol_is_only_check CHECK (is_only)
  constraint file_patrol_pkey PRIMARY KEY (is_only)

table app_private.file_usage  -- row-level security, forced
  org_id text not null
  files bigint not null default 0
  bytes bigint not null default 0
  constraint file_usage_bytes_check CHECK ((bytes >= 0))
  constraint file_usage_files_check CHECK ((files >= 0))
  constraint file_usage_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id) ON DELETE CASCADE
  constraint file_usage_pkey PRIMARY KEY (org_id)

table app_private.queue_turn  -- NO ROW-LEVEL SECURITY
  is_only boolean not null default true
  turn smallint not null default 0
  counted_to bigint
  constraint queue_turn_is_only_check CHECK (is_only)
  constraint queue_turn_pkey PRIMARY KEY (is_only)

table app_private.upload_settings  -- row-level security, forced
  org_id text not null
  allowed_types text[]
  max_bytes bigint
  quota_bytes bigint
  quota_files bigint
  constraint upload_settings_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id) ON DELETE CASCADE
  constraint upload_settings_pkey PRIMARY KEY (org_id)

table app_private.workers  -- NO ROW-LEVEL SECURITY
  id text not null
  host text not null
  version text not null
  started_at timestamp with time zone not null default now()
  beat_at timestamp with time zone not null default now()
  late_at timestamp with time zone
  dead_at timestamp with time zone
  constraint workers_id_check CHECK (((length(id) >= 1) AND (length(id) <= 100)))
  constraint workers_pkey PRIMARY KEY (id)

table app_public.dead_letters  -- row-level security, forced
  org_id text not null default app_hidden.current_org_id()
  id uuid not null default uuidv7()
  job_id bigint not null
  task text not null
  subject text
  error_code text not null
  attempts integer not null
  request_id text
  queued_at timestamp with time zone not null
  created_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  constraint dead_letters_error_code_check CHECK ((error_code ~ '^[A-Z][A-Z_]{0,62}$'::text))
  constraint dead_letters_request_id_check CHECK ((length(request_id) <= 255))
  constraint dead_letters_subject_check CHECK ((length(subject) <= 255))
  constraint dead_letters_task_check CHECK ((length(task) <= 128))
  constraint dead_letters_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id)
  constraint dead_letters_pkey PRIMARY KEY (org_id, id)
  constraint dead_letters_org_id_job_id_key UNIQUE (org_id, job_id)
  CREATE INDEX dead_letters_org_id_created_at_id_idx ON app_public.dead_letters USING btree (org_id, created_at DESC, id DESC)
  CREATE TRIGGER _100_touch BEFORE UPDATE ON app_public.dead_letters FOR EACH ROW EXECUTE FUNCTION app_private.tg__touch()

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

table app_public.files  -- row-level security, forced
  org_id text not null default app_hidden.current_org_id()
  id uuid not null default uuidv7()
  owner_id text not null default app_hidden.current_user_id()
  document_id uuid
  file_name text not null
  content_type text not null
  byte_size bigint not null
  checksum_sha256 text not null
  status app_public.file_status not null default 'PENDING'::app_public.file_status
  error text
  width integer
  height integer
  part_size bigint
  multipart_upload_id text
  parts jsonb
  object_key text
  object_version text
  object_etag text
  expires_at timestamp with time zone not null
  ready_at timestamp with time zone
  created_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  constraint files_byte_size_check CHECK (((byte_size >= 0) AND (byte_size <= '5497558138880'::bigint)))
  constraint files_checksum_sha256_check CHECK ((checksum_sha256 ~ '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$'::text))
  constraint files_content_type_check CHECK (((length(content_type) <= 255) AND (content_type ~ '^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?charset=[a-z0-9_-]+)?$'::text)))
  constraint files_error_check CHECK (((error IS NOT NULL) = (status = ANY (ARRAY['REJECTED'::app_public.file_status, 'EXPIRED'::app_public.file_status]))))
  constraint files_file_name_check CHECK (((length(file_name) >= 1) AND (length(file_name) <= 255)))
  constraint files_height_check CHECK ((height >= 0))
  constraint files_multipart_upload_id_check CHECK (((multipart_upload_id IS NULL) OR (part_size IS NOT NULL)))
  constraint files_object_key_check CHECK (((object_key IS NOT NULL) = (status = 'READY'::app_public.file_status)))
  constraint files_part_size_check CHECK ((part_size > 0))
  constraint files_parts_check CHECK (((parts IS NULL) OR (part_size IS NOT NULL)))
  constraint files_ready_at_check CHECK (((ready_at IS NOT NULL) = (status = 'READY'::app_public.file_status)))
  constraint files_width_check CHECK (((width >= 0) AND ((width IS NULL) = (height IS NULL))))
  constraint files_document_id_fkey FOREIGN KEY (org_id, document_id) REFERENCES app_public.documents(org_id, id) ON DELETE SET NULL (document_id)
  constraint files_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id)
  constraint files_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES app_public.users(id)
  constraint files_pkey PRIMARY KEY (org_id, id)
  CREATE INDEX files_org_id_created_at_id_idx ON app_public.files USING btree (org_id, created_at DESC, id DESC)
  CREATE INDEX files_org_id_document_id_created_at_id_idx ON app_public.files USING btree (org_id, document_id, created_at DESC, id DESC)
  CREATE INDEX files_org_id_expires_at_idx ON app_public.files USING btree (org_id, expires_at) WHERE (status = ANY (ARRAY['PENDING'::app_public.file_status, 'FINALIZING'::app_public.file_status]))
  CREATE INDEX files_org_id_owner_id_created_at_id_idx ON app_public.files USING btree (org_id, owner_id, created_at DESC, id DESC)
  CREATE STATISTICS app_public.files_org_id_document_id_stat ON org_id, document_id FROM app_public.files
  CREATE STATISTICS app_public.files_org_id_owner_id_stat ON org_id, owner_id FROM app_public.files
  CREATE TRIGGER _100_touch BEFORE UPDATE ON app_public.files FOR EACH ROW EXECUTE FUNCTION app_private.tg__touch()
  CREATE TRIGGER _200_move BEFORE UPDATE ON app_public.files FOR EACH ROW EXECUTE FUNCTION app_private.tg_files__move()
  CREATE TRIGGER _900_follow_delete AFTER DELETE ON app_public.files FOR EACH ROW EXECUTE FUNCTION app_private.tg_files__follow()
  CREATE TRIGGER _900_follow_move AFTER UPDATE OF status ON app_public.files FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION app_private.tg_files__follow()

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

create policy insert_ledger on app_private.file_usage for insert to rowhouse_owner
  with check true;
create policy select_ledger on app_private.file_usage for select to rowhouse_owner
  using true;
create policy update_ledger on app_private.file_usage for update to rowhouse_owner
  using true
  with check true;

create policy delete_operator on app_private.upload_settings for delete to rowhouse_owner
  using true;
create policy insert_operator on app_private.upload_settings for insert to rowhouse_owner
  with check true;
create policy select_operator on app_private.upload_settings for select to rowhouse_owner
  using true;
create policy update_operator on app_private.upload_settings for update to rowhouse_owner
  using true
  with check true;

create policy all_same_org on app_public.dead_letters as restrictive for all to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy delete_queue on app_public.dead_letters for delete to rowhouse_owner
  using true;
create policy insert_queue on app_public.dead_letters for insert to rowhouse_owner
  with check true;
create policy select_manager on app_public.dead_letters for select to app_user
  using ( SELECT app_hidden.can_manage_jobs() AS can_manage_jobs);
create policy select_queue on app_public.dead_letters for select to rowhouse_owner
  using true;
create policy update_queue on app_public.dead_letters for update to rowhouse_owner
  using true
  with check true;

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

create policy all_same_org on app_public.files as restrictive for all to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy delete_own on app_public.files for delete to app_user
  using ((owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.can_manage_files() AS can_manage_files));
create policy insert_ledger on app_public.files for insert to rowhouse_owner
  with check ((org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)));
create policy select_ledger on app_public.files for select to rowhouse_owner
  using true;
create policy select_member on app_public.files for select to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy update_ledger on app_public.files for update to rowhouse_owner
  using true
  with check true;
create policy update_own on app_public.files for update to app_user
  using (owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id))
  with check (owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id));

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

create policy insert_worker on graphile_worker._private_job_queues for insert to app_worker
  with check (locked_by IS NULL);
create policy select_worker on graphile_worker._private_job_queues for select to app_worker
  using true;
create policy update_held on graphile_worker._private_job_queues for update to app_worker
  using ((locked_by IS NULL) OR (locked_by = current_setting('app.worker_id'::text, true)))
  with check ((locked_by IS NULL) OR (locked_by = current_setting('app.worker_id'::text, true)));

create policy delete_held on graphile_worker._private_jobs for delete to app_worker
  using (locked_by = current_setting('app.worker_id'::text, true));
create policy insert_clockwork on graphile_worker._private_jobs for insert to app_worker
  with check ((locked_by IS NULL) AND ((payload ->> 'orgId'::text) IS NULL));
create policy select_worker on graphile_worker._private_jobs for select to app_worker
  using true;
create policy update_held on graphile_worker._private_jobs for update to app_worker
  using ((locked_by IS NULL) OR (locked_by = current_setting('app.worker_id'::text, true)) OR ((payload ->> 'orgId'::text) IS NULL))
  with check ((locked_by IS NULL) OR (locked_by = current_setting('app.worker_id'::text, true)) OR ((payload ->> 'orgId'::text) IS NULL));

create policy all_in_time on graphile_worker._private_known_crontabs for all to app_worker
  using true
  with check ((last_execution IS NULL) OR (last_execution <= (now() + '00:01:00'::interval)));

create policy all_worker on graphile_worker._private_tasks for all to app_worker
  using true
  with check true;

-- Grants

grant select (org_id, id, task, subject, error_code, attempts, request_id, queued_at, created_at, updated_at) on app_public.dead_letters to app_user;

grant delete, select on app_public.documents to app_user;
grant insert (title, body) on app_public.documents to app_user;
grant update (title, body) on app_public.documents to app_user;

grant delete, select on app_public.files to app_user;
grant update (status, multipart_upload_id, parts) on app_public.files to app_user;

grant select on app_public.memberships to app_user;

grant select on app_public.organizations to app_user;

grant select on app_public.users to app_user;

grant usage on type app_private.attempt to app_worker;
grant usage on type app_public.file_status to app_user;
grant usage on type app_public.file_status to app_worker;
grant usage on type app_public.job_state to app_user;
grant usage on type app_public.job_status to app_user;
grant usage on type app_public.organization_kind to app_user;

-- Functions

CREATE OR REPLACE FUNCTION app_hidden.abort_upload(file_id uuid)
 RETURNS boolean
 LANGUAGE sql
BEGIN ATOMIC
 WITH moved AS (
          UPDATE app_public.files f_1 SET status = 'EXPIRED'::app_public.file_status
           WHERE ((f_1.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (f_1.id = abort_upload.file_id) AND (f_1.owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) AND (f_1.status = 'PENDING'::app_public.file_status))
           RETURNING 1 AS "?column?"
         )
  SELECT (true OR (EXISTS ( SELECT
            FROM moved)))
    FROM app_public.files f
   WHERE ((f.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (f.id = abort_upload.file_id) AND (f.owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)));
END
;
grant execute on function app_hidden.abort_upload(uuid) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.can_manage_documents()
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (COALESCE((app_hidden.current_org_role() = 'admin'::text), false) OR app_hidden.has_permission('org:docs:manage'::text))
;
grant execute on function app_hidden.can_manage_documents() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.can_manage_files()
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (COALESCE((app_hidden.current_org_role() = 'admin'::text), false) OR app_hidden.has_permission('org:files:manage'::text))
;
grant execute on function app_hidden.can_manage_files() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.can_manage_jobs()
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (COALESCE((app_hidden.current_org_role() = 'admin'::text), false) OR app_hidden.has_permission('org:jobs:manage'::text))
;
grant execute on function app_hidden.can_manage_jobs() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.complete_multipart(file_id uuid, parts jsonb)
 RETURNS boolean
 LANGUAGE sql
BEGIN ATOMIC
 WITH moved AS (
          UPDATE app_public.files f_1 SET status = 'FINALIZING'::app_public.file_status, parts = complete_multipart.parts
           WHERE ((f_1.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (f_1.id = complete_multipart.file_id) AND (f_1.owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) AND (f_1.status = 'PENDING'::app_public.file_status) AND (f_1.multipart_upload_id IS NOT NULL))
           RETURNING 1 AS "?column?"
         )
  SELECT ((f.part_size IS NOT NULL) AND ((f.status <> 'PENDING'::app_public.file_status) OR (EXISTS ( SELECT
            FROM moved))))
    FROM app_public.files f
   WHERE ((f.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (f.id = complete_multipart.file_id) AND (f.owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)));
END
;
grant execute on function app_hidden.complete_multipart(uuid,jsonb) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.create_file(file_name text, content_type text, byte_size bigint, checksum_sha256 text, document_id uuid, limits jsonb)
 RETURNS TABLE(id uuid, incoming_key text, part_size bigint, expires_at timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  own app_private.upload_settings;
  org text := app_hidden.current_org_id();
  wanted_type text := pg_catalog.lower(create_file.content_type);
  file app_public.files;
  quota_files bigint;
  quota_bytes bigint;
begin
  if org is null or app_hidden.current_user_id() is null then
    raise exception 'You may not do this.' using errcode = 'RW403';
  end if;
  select s.* into own from app_private.upload_settings as s where s.org_id = org;
  if create_file.byte_size > coalesce(own.max_bytes, (limits ->> 'maxBytes')::bigint) then
    raise exception 'The file is too large.' using errcode = 'RW413', hint = 'byteSize';
  end if;
  if not app_private.is_type_allowed(wanted_type, coalesce(
    own.allowed_types, array(select pg_catalog.jsonb_array_elements_text(limits -> 'allowedTypes'))
  )) then
    raise exception 'Files of this type are not allowed.' using errcode = 'RW415', hint = 'contentType';
  end if;

  insert into app_public.files as f (file_name, content_type, byte_size, checksum_sha256, document_id, part_size, expires_at)
  values (
    create_file.file_name, wanted_type, create_file.byte_size, create_file.checksum_sha256, create_file.document_id,
    -- At most 1000 parts, so that a request can name them all.
    case when create_file.byte_size > (limits ->> 'singleMaxBytes')::bigint
      then greatest((limits ->> 'partBytes')::bigint, (create_file.byte_size + 999) / 1000) end,
    pg_catalog.now() + pg_catalog.make_interval(secs => (limits ->> (
      case when create_file.byte_size > (limits ->> 'singleMaxBytes')::bigint
        then 'multipartTtlSeconds' else 'ttlSeconds' end))::double precision)
  )
  returning f.* into file;

  -- Last, so that the organization's row is locked for as short as can be.
  quota_files := coalesce(own.quota_files, (limits ->> 'quotaFiles')::bigint);
  quota_bytes := coalesce(own.quota_bytes, (limits ->> 'quotaBytes')::bigint);
  insert into app_private.file_usage (org_id) values (org) on conflict do nothing;
  update app_private.file_usage as u
  set files = u.files + 1, bytes = u.bytes + file.byte_size
  where u.org_id = org and u.files + 1 <= quota_files and u.bytes + file.byte_size <= quota_bytes;
  if not found then
    raise exception 'Your organization has no room left for this file.' using errcode = 'RW507';
  end if;

  id := file.id;
  incoming_key := app_hidden.file_prefix('incoming', org, file.id);
  part_size := file.part_size;
  expires_at := file.expires_at;
  return next;
end;
$function$
;
grant execute on function app_hidden.create_file(text,text,bigint,text,uuid,jsonb) to app_user;

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

CREATE OR REPLACE FUNCTION app_hidden.file_prefix(area text, org_id text, file_id uuid)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((((area || '/'::text) || CASE WHEN (org_id ~ '^[A-Za-z0-9_-]+$'::text) THEN org_id ELSE ('~'::text || encode(convert_to(org_id, 'UTF8'::name), 'hex'::text)) END) || '/'::text) || file_id)
;
grant execute on function app_hidden.file_prefix(text,text,uuid) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.finalize_file(file_id uuid)
 RETURNS boolean
 LANGUAGE sql
BEGIN ATOMIC
 WITH moved AS (
          UPDATE app_public.files f_1 SET status = 'FINALIZING'::app_public.file_status
           WHERE ((f_1.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (f_1.id = finalize_file.file_id) AND (f_1.owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) AND (f_1.status = 'PENDING'::app_public.file_status) AND (f_1.part_size IS NULL))
           RETURNING 1 AS "?column?"
         )
  SELECT ((f.status <> 'PENDING'::app_public.file_status) OR (f.part_size IS NULL) OR (EXISTS ( SELECT
            FROM moved)))
    FROM app_public.files f
   WHERE ((f.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (f.id = finalize_file.file_id) AND (f.owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)));
END
;
grant execute on function app_hidden.finalize_file(uuid) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.has_permission(permission text)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN COALESCE((permission = ANY (string_to_array(current_setting('jwt.permissions'::text, true), ','::text))), false)
;
grant execute on function app_hidden.has_permission(text) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.job_state(task text, row_id uuid)
 RETURNS app_public.job_state
 LANGUAGE plpgsql
 STABLE PARALLEL RESTRICTED SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  state app_public.job_state;
begin
  select
    case
      when j.locked_at is not null then 'RUNNING'
      when j.attempts >= j.max_attempts then 'FAILED'
      when j.attempts > 0 then 'RETRYING'
      else 'QUEUED'
    end,
    j.attempts,
    case when j.is_available then j.run_at end,
    case when j.last_error is not null then app_private.error_code(j.last_error) end
  into state
  from graphile_worker._private_jobs as j
  where j.key = pg_catalog.concat_ws(':', job_state.task, app_hidden.current_org_id(), job_state.row_id)
    and j.payload ->> 'orgId' = app_hidden.current_org_id();
  return case when found then state end;
end;
$function$
;
grant execute on function app_hidden.job_state(text,uuid) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.own_upload(file_id uuid)
 RETURNS TABLE(status app_public.file_status, content_type text, byte_size bigint, part_size bigint, multipart_upload_id text, incoming_key text, is_late boolean)
 LANGUAGE sql
 STABLE ROWS 1
BEGIN ATOMIC
 SELECT f.status,
     f.content_type,
     f.byte_size,
     f.part_size,
     f.multipart_upload_id,
     app_hidden.file_prefix('incoming'::text, f.org_id, f.id) AS file_prefix,
     (f.expires_at <= now())
    FROM app_public.files f
   WHERE ((f.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (f.id = own_upload.file_id) AND (f.owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)));
END
;
grant execute on function app_hidden.own_upload(uuid) to app_user;

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

CREATE OR REPLACE FUNCTION app_private.accept_file(attempt app_private.attempt, file_id uuid, object_key text, object_version text, object_etag text, width integer, height integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(accept_file.attempt);
  update app_public.files as f
  set status = 'READY', object_key = accept_file.object_key, object_version = accept_file.object_version,
    object_etag = accept_file.object_etag, width = accept_file.width, height = accept_file.height
  where f.org_id = (select app_hidden.current_org_id()) and f.id = accept_file.file_id and f.status = 'FINALIZING';
  return found;
end;
$function$
;
grant execute on function app_private.accept_file(app_private.attempt,uuid,text,text,text,integer,integer) to app_worker;

CREATE OR REPLACE FUNCTION app_private.advance_turn()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  reached smallint := coalesce((
    select j.priority from graphile_worker._private_jobs as j
    where j.is_available and j.run_at <= pg_catalog.now()
    order by j.priority, j.run_at limit 1
  ), 0);
begin
  if reached > 16000 then
    with soonest as (
      select j.id, j.payload ->> 'orgId' as org_id, j.priority, j.run_at
      from graphile_worker._private_jobs as j
      where j.is_available
      order by j.priority, j.run_at limit 10000
      for update skip locked
    ), numbered as (
      select s.id, pg_catalog.row_number() over (partition by s.org_id order by s.priority, s.run_at, s.id) - 1 as turn
      from soonest as s
    )
    update graphile_worker._private_jobs as j set priority = numbered.turn
    from numbered where j.id = numbered.id;
    reached := 0;
  end if;
  update app_private.queue_turn as q set turn = reached where q.turn <> reached;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.beat(worker_id text, held bigint[], dead_after interval)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  update app_private.workers as w
  set beat_at = pg_catalog.now(),
    late_at = case when w.beat_at < pg_catalog.now() - beat.dead_after then pg_catalog.now() else w.late_at end
  where w.id = beat.worker_id and w.dead_at is null;
  if not found then
    return false;
  end if;
  perform app_private.return_jobs(array[beat.worker_id], beat.held, beat.dead_after);
  return true;
end;
$function$
;
grant execute on function app_private.beat(text,bigint[],interval) to app_worker;

CREATE OR REPLACE FUNCTION app_private.complete_attempt(attempt app_private.attempt)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(complete_attempt.attempt);
  with done as (
    delete from graphile_worker._private_jobs as j where j.id = (complete_attempt.attempt).job_id
    returning j.job_queue_id, j.locked_by
  )
  update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
  from done where q.id = done.job_queue_id and q.locked_by = done.locked_by;
end;
$function$
;
grant execute on function app_private.complete_attempt(app_private.attempt) to app_worker;

CREATE OR REPLACE FUNCTION app_private.count_added()
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  latest bigint := coalesce(pg_catalog.pg_sequence_last_value(
    pg_catalog.pg_get_serial_sequence('graphile_worker._private_jobs', 'id')::pg_catalog.regclass), 0);
  before bigint;
begin
  select q.counted_to into before from app_private.queue_turn as q for update;
  update app_private.queue_turn as q set counted_to = latest where q.counted_to is distinct from latest;
  return greatest(0, latest - coalesce(before, latest));
end;
$function$
;
grant execute on function app_private.count_added() to app_worker;

CREATE OR REPLACE FUNCTION app_private.drop_jobs(job_ids bigint[])
 RETURNS SETOF bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return query
    delete from graphile_worker._private_jobs as j
    where j.id = any (drop_jobs.job_ids) and j.locked_at is null and j.attempts >= j.max_attempts
    returning j.id;
end;
$function$
;
grant execute on function app_private.drop_jobs(bigint[]) to app_worker;

CREATE OR REPLACE FUNCTION app_private.end_worker(worker_id text)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  delete from app_private.workers as w where w.id = end_worker.worker_id;
  return app_private.return_jobs(array[end_worker.worker_id], '{}', '0');
end;
$function$
;
grant execute on function app_private.end_worker(text) to app_worker;

CREATE OR REPLACE FUNCTION app_private.enqueue(task text, row_id uuid, payload jsonb DEFAULT '{}'::jsonb, job_key text DEFAULT NULL::text, run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, max_attempts integer DEFAULT NULL::integer, queue_name text DEFAULT NULL::text, org_id text DEFAULT app_hidden.current_org_id())
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
declare
  key_used text := coalesce(enqueue.job_key, pg_catalog.concat_ws(':', enqueue.task, enqueue.org_id, enqueue.row_id));
  job_id bigint;
begin
  if enqueue.org_id is null then
    raise exception 'A job needs an organization.' using errcode = 'RW403';
  end if;
  -- Anything else would lose the organization that is put into it.
  if pg_catalog.jsonb_typeof(enqueue.payload) is distinct from 'object' then
    raise exception 'The payload of a job is an object.' using errcode = 'RW400', hint = 'payload';
  end if;
  -- graphile-worker adds nothing, and says nothing, where a worker takes the job of this
  -- key between its two statements. The next round finds it taken, and follows it.
  for round in 1..10 loop
    select j.id into job_id from graphile_worker.add_job(
      identifier => enqueue.task,
      payload => (enqueue.payload || pg_catalog.jsonb_build_object(
        'orgId', enqueue.org_id,
        'userId', app_hidden.current_user_id(),
        'requestId', app_hidden.current_request_id(),
        'traceparent', nullif(pg_catalog.current_setting('app.traceparent', true), ''),
        'rowId', enqueue.row_id
      ))::json,
      queue_name => enqueue.queue_name,
      run_at => enqueue.run_at,
      max_attempts => enqueue.max_attempts,
      job_key => key_used,
      -- One that waits already keeps its turn.
      priority => coalesce(
        (
          select case when j.is_available then j.priority end
          from graphile_worker._private_jobs as j where j.key = key_used
        ),
        app_private.next_turn(enqueue.org_id)
      ),
      flags => array['org:' || enqueue.org_id]
    ) as j;
    if job_id is not null then
      return job_id;
    end if;
  end loop;
  raise exception 'The job was taken again and again.' using errcode = '40001';
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.enter_attempt(attempt app_private.attempt)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform from graphile_worker._private_jobs as j
  where j.id = (enter_attempt.attempt).job_id
    and j.revision = (enter_attempt.attempt).revision
    and j.attempts = (enter_attempt.attempt).number
    and j.locked_by = nullif(pg_catalog.current_setting('app.worker_id', true), '')
  for no key update;
  if not found then
    raise exception 'This attempt is over.' using errcode = 'RW409', constraint = 'attempt_is_held';
  end if;
  perform app_private.enter_organization(enter_attempt.attempt);
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.enter_organization(attempt app_private.attempt)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  job record;
begin
  select j.payload into job from graphile_worker._private_jobs as j
  where j.id = (enter_organization.attempt).job_id
    and j.revision = (enter_organization.attempt).revision
    and j.attempts = (enter_organization.attempt).number
    and j.locked_by = nullif(pg_catalog.current_setting('app.worker_id', true), '');
  if not found then
    raise exception 'This attempt is over.' using errcode = 'RW409', constraint = 'attempt_is_held';
  end if;
  perform
    pg_catalog.set_config('jwt.org_id', coalesce(job.payload ->> 'orgId', ''), true),
    pg_catalog.set_config('jwt.user_id', coalesce(job.payload ->> 'userId', ''), true),
    pg_catalog.set_config('jwt.org_role', '', true),
    pg_catalog.set_config('jwt.permissions', '', true),
    pg_catalog.set_config('app.request_id', coalesce(job.payload ->> 'requestId', ''), true),
    pg_catalog.set_config('app.traceparent', coalesce(job.payload ->> 'traceparent', ''), true);
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.error_code(last_error text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN COALESCE("substring"(last_error, '^([A-Z][A-Z_]{0,62}):'::text), 'INTERNAL'::text)
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.expire_files(attempt app_private.attempt)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  expired integer;
begin
  perform app_private.enter_attempt(expire_files.attempt);
  with late as (
    select f.org_id, f.id from app_public.files as f
    where f.status = 'PENDING' and f.expires_at <= pg_catalog.now()
    limit 1000 for update skip locked
  )
  update app_public.files as f set status = 'EXPIRED'
  from late where f.org_id = late.org_id and f.id = late.id;
  get diagnostics expired = row_count;
  return expired;
end;
$function$
;
grant execute on function app_private.expire_files(app_private.attempt) to app_worker;

CREATE OR REPLACE FUNCTION app_private.fail_attempt(attempt app_private.attempt, error_code text, message text, is_final boolean)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(fail_attempt.attempt);
  with failed as (
    select j.id, j.job_queue_id, j.locked_by from graphile_worker._private_jobs as j
    where j.id = (fail_attempt.attempt).job_id
  ), jobs as (
    update graphile_worker._private_jobs as j
    set locked_by = null, locked_at = null, updated_at = pg_catalog.now(),
      last_error = pg_catalog.concat(fail_attempt.error_code, ': ', pg_catalog.left(fail_attempt.message, 2000)),
      run_at = pg_catalog.now() + pg_catalog.exp(least(j.attempts, 10)) * interval '1 second',
      -- So that an organization whose jobs all fail takes turns as well.
      priority = greatest(j.priority, app_private.next_turn(j.payload ->> 'orgId')),
      max_attempts = case when fail_attempt.is_final then j.attempts else j.max_attempts end
    from failed where j.id = failed.id
  )
  update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
  from failed where q.id = failed.job_queue_id and q.locked_by = failed.locked_by;
end;
$function$
;
grant execute on function app_private.fail_attempt(app_private.attempt,text,text,boolean) to app_worker;

CREATE OR REPLACE FUNCTION app_private.file_to_finalize(attempt app_private.attempt, file_id uuid)
 RETURNS TABLE(content_type text, byte_size bigint, checksum_sha256 text, multipart_upload_id text, parts jsonb, incoming_key text, object_prefix text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(file_to_finalize.attempt);
  return query
    select f.content_type, f.byte_size, f.checksum_sha256, f.multipart_upload_id, f.parts,
      app_hidden.file_prefix('incoming', f.org_id, f.id),
      app_hidden.file_prefix('files', f.org_id, f.id) || '/'
    from app_public.files as f
    where f.org_id = (select app_hidden.current_org_id()) and f.id = file_to_finalize.file_id
      and f.status = 'FINALIZING';
end;
$function$
;
grant execute on function app_private.file_to_finalize(app_private.attempt,uuid) to app_worker;

CREATE OR REPLACE FUNCTION app_private.file_to_purge(attempt app_private.attempt, file_id uuid)
 RETURNS TABLE(incoming_key text, object_prefix text, is_on_its_way boolean, object_key text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(file_to_purge.attempt);
  return query
    select app_hidden.file_prefix('incoming', o.org_id, file_to_purge.file_id),
      app_hidden.file_prefix('files', o.org_id, file_to_purge.file_id) || '/',
      coalesce(f.status in ('PENDING', 'FINALIZING'), false),
      f.object_key
    from (select app_hidden.current_org_id() as org_id) as o
    left join app_public.files as f on f.org_id = o.org_id and f.id = file_to_purge.file_id;
end;
$function$
;
grant execute on function app_private.file_to_purge(app_private.attempt,uuid) to app_worker;

CREATE OR REPLACE FUNCTION app_private.index_document(attempt app_private.attempt, document_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_organization(index_document.attempt);
  perform from app_public.documents as d
  where d.org_id = (select app_hidden.current_org_id()) and d.id = index_document.document_id
  for no key update;
  perform app_private.enter_attempt(index_document.attempt);
  update app_public.documents as d
  set search = app_hidden.document_search(d.title, d.body)
  where d.org_id = (select app_hidden.current_org_id()) and d.id = index_document.document_id;
  return found;
end;
$function$
;
grant execute on function app_private.index_document(app_private.attempt,uuid) to app_worker;

CREATE OR REPLACE FUNCTION app_private.is_type_allowed(content_type text, allowed text[])
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((split_part(content_type, ';'::text, 1) = ANY (allowed)) OR ((split_part(content_type, '/'::text, 1) || '/*'::text) = ANY (allowed)) OR ('*/*'::text = ANY (allowed)))
;
-- granted to nobody

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

CREATE OR REPLACE FUNCTION app_private.next_ready_files(attempt app_private.attempt, how_many integer)
 RETURNS TABLE(org_id text, id uuid, object_key text, object_version text, byte_size bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  reached app_private.file_patrol;
  file record;
  found_files integer := 0;
begin
  perform app_private.enter_attempt(next_ready_files.attempt);
  select p.* into reached from app_private.file_patrol as p for update;
  for file in
    select f.org_id, f.id, f.object_key, f.object_version, f.byte_size
    from app_public.files as f
    where (f.org_id, f.id) > (reached.reached_org, reached.reached_id) and f.status = 'READY'
    order by f.org_id, f.id limit next_ready_files.how_many
  loop
    found_files := found_files + 1;
    org_id := file.org_id;
    id := file.id;
    object_key := file.object_key;
    object_version := file.object_version;
    byte_size := file.byte_size;
    return next;
  end loop;
  -- After the last one, from the first again.
  if found_files < next_ready_files.how_many then
    org_id := '';
    id := '00000000-0000-0000-0000-000000000000';
  end if;
  update app_private.file_patrol as p
  set reached_org = next_ready_files.org_id, reached_id = next_ready_files.id;
end;
$function$
;
grant execute on function app_private.next_ready_files(app_private.attempt,integer) to app_worker;

CREATE OR REPLACE FUNCTION app_private.next_turn(org_id text)
 RETURNS smallint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET enable_sort TO 'off'
AS $function$
begin
  return least(32767, greatest(
    (select q.turn from app_private.queue_turn as q),
    (
      -- The greatest entry of the index that is not after this organization's last.
      select case when latest.org_id = next_turn.org_id then latest.priority + 1 end
      from (
        select j.payload ->> 'orgId' as org_id, j.priority
        from graphile_worker._private_jobs as j
        where j.is_available and (j.payload ->> 'orgId', j.priority) <= (next_turn.org_id, 32767::smallint)
        order by j.payload ->> 'orgId' desc, j.priority desc limit 1
      ) as latest
    )
  ));
end;
$function$
;
-- granted to nobody

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

CREATE OR REPLACE FUNCTION app_private.purge_queue(attempt app_private.attempt)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(purge_queue.attempt);
  delete from app_private.workers as w
  where w.dead_at < pg_catalog.now() - interval '1 day'
    and not exists (select from graphile_worker._private_jobs as j where j.locked_by = w.id);
  delete from graphile_worker._private_job_queues as q
  where q.locked_at is null
    and not exists (select from graphile_worker._private_jobs as j where j.job_queue_id = q.id);
end;
$function$
;
grant execute on function app_private.purge_queue(app_private.attempt) to app_worker;

CREATE OR REPLACE FUNCTION app_private.register_worker(worker_id text, host text, version text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  insert into app_private.workers (id, host, version)
  values (register_worker.worker_id, pg_catalog.left(register_worker.host, 255), pg_catalog.left(register_worker.version, 100));
end;
$function$
;
grant execute on function app_private.register_worker(text,text,text) to app_worker;

CREATE OR REPLACE FUNCTION app_private.reject_file(attempt app_private.attempt, file_id uuid, error text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(reject_file.attempt);
  update app_public.files as f set status = 'REJECTED', error = reject_file.error
  where f.org_id = (select app_hidden.current_org_id()) and f.id = reject_file.file_id and f.status = 'FINALIZING';
  return found;
end;
$function$
;
grant execute on function app_private.reject_file(app_private.attempt,uuid,text) to app_worker;

CREATE OR REPLACE FUNCTION app_private.resume_files(attempt app_private.attempt)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  resumed integer;
begin
  perform app_private.enter_attempt(resume_files.attempt);
  select pg_catalog.count(app_private.enqueue('files__finalize', f.id, org_id => f.org_id)) into resumed
  from app_public.files as f
  where f.status = 'FINALIZING' and f.updated_at < pg_catalog.now() - interval '1 hour'
    and not exists (
      select from graphile_worker._private_jobs as j
      where j.key = pg_catalog.concat_ws(':', 'files__finalize', f.org_id, f.id)
    );
  return resumed;
end;
$function$
;
grant execute on function app_private.resume_files(app_private.attempt) to app_worker;

CREATE OR REPLACE FUNCTION app_private.retry_jobs(job_ids bigint[])
 RETURNS SETOF bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return query
    update graphile_worker._private_jobs as j
    set attempts = 0, revision = j.revision + 1, run_at = pg_catalog.now(), last_error = null,
      max_attempts = greatest(j.max_attempts, 25), updated_at = pg_catalog.now(),
      priority = app_private.next_turn(j.payload ->> 'orgId')
    where j.id = any (retry_jobs.job_ids) and j.locked_at is null and j.attempts >= j.max_attempts
    returning j.id;
  perform pg_catalog.pg_notify('jobs:insert', pg_catalog.json_build_object(
    'r', pg_catalog.random(), 'count', pg_catalog.cardinality(retry_jobs.job_ids))::text);
end;
$function$
;
grant execute on function app_private.retry_jobs(bigint[]) to app_worker;

CREATE OR REPLACE FUNCTION app_private.return_jobs(worker_ids text[], held bigint[], older_than interval)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
declare
  returned integer;
begin
  with lost as (
    select j.id, j.job_queue_id, j.locked_by
    from graphile_worker._private_jobs as j
    where j.locked_by = any (return_jobs.worker_ids)
      and j.locked_at <= pg_catalog.now() - return_jobs.older_than
      and j.id <> all (return_jobs.held)
    for update skip locked
  ), queues as (
    update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
    from lost where q.id = lost.job_queue_id and q.locked_by = lost.locked_by
  ), jobs as (
    update graphile_worker._private_jobs as j
    set locked_by = null, locked_at = null, last_error = 'INTERRUPTED: The worker ended in the middle of it.',
      run_at = case when j.attempts < 3 then j.run_at
        else pg_catalog.now() + pg_catalog.power(2, least(j.attempts, 10) - 2) * interval '1 second' end
    from lost where j.id = lost.id
  )
  select pg_catalog.count(*) into returned from lost;
  if returned > 0 then
    perform pg_catalog.pg_notify('jobs:insert', pg_catalog.json_build_object('r', pg_catalog.random(), 'count', returned)::text);
  end if;
  return returned;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.sweep(worker_id text, dead_after interval, OUT workers integer, OUT jobs integer)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
declare
  gone text[];
begin
  workers := 0;
  jobs := 0;
  if not pg_catalog.pg_try_advisory_xact_lock(7218930017263046) then
    return;
  end if;
  perform app_private.advance_turn();
  if pg_catalog.pg_postmaster_start_time() > pg_catalog.now() - sweep.dead_after
    or exists (
      select from app_private.workers as w
      where w.id = sweep.worker_id and w.late_at > pg_catalog.now() - sweep.dead_after
    )
  then
    return;
  end if;

  update app_private.workers as w set dead_at = pg_catalog.now()
  where w.dead_at is null and w.beat_at < pg_catalog.now() - sweep.dead_after and w.id <> sweep.worker_id;
  get diagnostics workers = row_count;
  gone := array(
    select distinct j.locked_by from graphile_worker._private_jobs as j
    where j.locked_by is not null
      and not exists (select from app_private.workers as w where w.id = j.locked_by and w.dead_at is null)
      and (j.locked_at < pg_catalog.now() - sweep.dead_after
        or exists (select from app_private.workers as w where w.id = j.locked_by))
  );
  jobs := app_private.return_jobs(gone, '{}', '0');
  update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
  where q.locked_at < pg_catalog.now() - sweep.dead_after
    and not exists (select from app_private.workers as w where w.id = q.locked_by and w.dead_at is null)
    and not exists (
      select from graphile_worker._private_jobs as j
      where j.job_queue_id = q.id and j.locked_by = q.locked_by
    );
end;
$function$
;
grant execute on function app_private.sweep(text,interval) to app_worker;

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
  perform app_private.enqueue('documents__index', new.id, org_id => new.org_id);
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

CREATE OR REPLACE FUNCTION app_private.tg_files__follow()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  file app_public.files := coalesce(new, old);
  leaves boolean := case when tg_op = 'DELETE' then old.status in ('PENDING', 'FINALIZING', 'READY')
    else new.status in ('REJECTED', 'EXPIRED') end;
begin
  if leaves then
    update app_private.file_usage as u set files = u.files - 1, bytes = u.bytes - file.byte_size
    where u.org_id = file.org_id;
  end if;
  if tg_op = 'UPDATE' and new.status = 'FINALIZING' then
    perform app_private.enqueue('files__finalize', file.id, org_id => file.org_id);
  else
    perform app_private.enqueue('files__purge', file.id,
      pg_catalog.jsonb_build_object('multipartUploadId', file.multipart_upload_id), org_id => file.org_id);
  end if;
  return null;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_files__move()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  fixed constant text[] := array['org_id', 'id', 'owner_id', 'file_name', 'content_type', 'byte_size',
    'checksum_sha256', 'part_size', 'expires_at', 'created_at'];
  -- The document may be deleted at any time.
  loose constant text[] := array['document_id', 'updated_at'];
  was constant jsonb := pg_catalog.to_jsonb(old);
  becomes constant jsonb := pg_catalog.to_jsonb(new);
begin
  if new.status = 'FINALIZING' and old.status = 'PENDING' and old.expires_at <= pg_catalog.now() then
    new.status := 'EXPIRED';
    new.parts := old.parts;
  end if;
  if new.status = 'EXPIRED' and old.status = 'PENDING' then
    new.error := 'UPLOAD_EXPIRED';
  end if;
  if (
      old.status in ('READY', 'REJECTED', 'EXPIRED') and was - loose <> becomes - loose
    ) or (
      new.status <> old.status
      and (old.status, new.status) not in (
        ('PENDING', 'FINALIZING'), ('PENDING', 'EXPIRED'), ('FINALIZING', 'READY'), ('FINALIZING', 'REJECTED'))
    ) or exists (
      select from pg_catalog.unnest(fixed) as name where was -> name <> becomes -> name
    ) or (
      new.multipart_upload_id is distinct from old.multipart_upload_id
      and (old.multipart_upload_id is not null or old.status <> 'PENDING')
    ) or (
      new.parts is distinct from old.parts and old.status <> 'PENDING'
    ) or (
      new.document_id is distinct from old.document_id and new.document_id is not null
    )
  then
    raise exception 'The state of the file does not allow it.' using errcode = 'RW409';
  end if;
  if new.status = 'READY' and old.status <> 'READY' then
    new.ready_at := pg_catalog.now();
  end if;
  return new;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_jobs__bury()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if new.flags ? 'superseded' then
    delete from graphile_worker._private_jobs as j where j.id = new.id;
  elsif new.attempts < new.max_attempts or new.locked_at is not null then
    delete from app_public.dead_letters as d
    where d.org_id = new.payload ->> 'orgId' and d.job_id = new.id;
  else
    insert into app_public.dead_letters (org_id, job_id, task, subject, error_code, attempts, request_id, queued_at)
    select o.id, new.id, t.identifier, pg_catalog.left(new.payload ->> 'rowId', 255),
      app_private.error_code(new.last_error), new.attempts,
      pg_catalog.left(new.payload ->> 'requestId', 255), new.created_at
    from app_public.organizations as o
    join graphile_worker._private_tasks as t on t.id = new.task_id
    where o.id = new.payload ->> 'orgId'
    on conflict on constraint dead_letters_org_id_job_id_key do update
      set error_code = excluded.error_code, attempts = excluded.attempts;
  end if;
  return null;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_jobs__forget()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  delete from app_public.dead_letters as d
  where d.org_id = old.payload ->> 'orgId' and d.job_id = old.id;
  return null;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_jobs__guard()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if (old.payload::text <> new.payload::text or old.task_id <> new.task_id)
    and (old.payload ->> 'orgId' is not null or new.payload ->> 'orgId' is not null)
    and pg_catalog.row_security_active('graphile_worker._private_jobs')
  then
    raise exception 'The payload of a job stays as it is.' using errcode = 'RW403';
  end if;
  return new;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_jobs__supersede()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  new.flags := coalesce(new.flags, '{}') || '{"superseded": true}';
  if new.locked_at is not null then
    new.attempts := old.attempts;
    new.max_attempts := greatest(old.attempts, 1);
  end if;
  return new;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.unneeded_objects(attempt app_private.attempt, keys text[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(unneeded_objects.attempt);
  return query
    select k.key
    from (
      select given.key, m.found[1] as area,
        case when m.found[2] like '~%'
          then pg_catalog.convert_from(pg_catalog.decode(pg_catalog.substr(m.found[2], 2), 'hex'), 'UTF8')
          else m.found[2] end as org_id,
        m.found[3]::uuid as id
      from pg_catalog.unnest(unneeded_objects.keys) as given (key)
      cross join lateral (select pg_catalog.regexp_match(given.key,
        '^(incoming|files)/([A-Za-z0-9_-]+|~(?:[2-7][0-9a-f])+)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/[^/]+)?$')) as m (found)
      where m.found is not null
    ) as k
    left join app_public.files as f on f.org_id = k.org_id and f.id = k.id
    where not coalesce(f.status = 'FINALIZING' or (k.area = 'incoming' and f.status = 'PENDING')
      or f.object_key = k.key, false);
end;
$function$
;
grant execute on function app_private.unneeded_objects(app_private.attempt,text[]) to app_worker;

CREATE OR REPLACE FUNCTION app_public.documents_search_indexing(document app_public.documents)
 RETURNS app_public.job_state
 LANGUAGE sql
 STABLE PARALLEL RESTRICTED
RETURN app_hidden.job_state('documents__index'::text, (document).id)
;
grant execute on function app_public.documents_search_indexing(app_public.documents) to app_user;

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
