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

create type app_public.audit_action as enum ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFUSED', 'COMMAND');

create type app_public.audit_source as enum ('REQUEST', 'JOB', 'SYSTEM');

create type app_public.file_status as enum ('PENDING', 'FINALIZING', 'READY', 'REJECTED', 'EXPIRED');

create type app_public.generation_status as enum ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED');

create type app_public.job_status as enum ('QUEUED', 'RUNNING', 'RETRYING', 'FAILED');

create type app_public.organization_kind as enum ('ORGANIZATION', 'PERSONAL');

-- Tables

table app_private.ai_ledger  -- row-level security, forced
  org_id text not null
  generation_id uuid not null
  month date not null
  reserved_micros bigint not null
  cost_micros bigint not null default 0
  prompt_tokens bigint not null default 0
  completion_tokens bigint not null default 0
  latency_ms bigint
  provider text
  model text
  created_at timestamp with time zone not null default now()
  settled_at timestamp with time zone
  constraint ai_ledger_cost_micros_check CHECK ((cost_micros >= 0))
  constraint ai_ledger_reserved_micros_check CHECK ((reserved_micros >= 0))
  constraint ai_ledger_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id)
  constraint ai_ledger_pkey PRIMARY KEY (org_id, generation_id)

table app_private.ai_months  -- row-level security, forced
  org_id text not null
  month date not null
  calls bigint not null default 0
  prompt_tokens bigint not null default 0
  completion_tokens bigint not null default 0
  cost_micros bigint not null default 0
  reserved_micros bigint not null default 0
  constraint ai_months_reserved_micros_check CHECK ((reserved_micros >= 0))
  constraint ai_months_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id)
  constraint ai_months_pkey PRIMARY KEY (org_id, month)

table app_private.ai_settings  -- row-level security, forced
  org_id text not null
  monthly_budget_micros bigint
  cache_ttl_seconds integer
  constraint ai_settings_cache_ttl_seconds_check CHECK ((cache_ttl_seconds >= 0))
  constraint ai_settings_monthly_budget_micros_check CHECK ((monthly_budget_micros >= 0))
  constraint ai_settings_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id) ON DELETE CASCADE
  constraint ai_settings_pkey PRIMARY KEY (org_id)

table app_private.audit_retention  -- NO ROW-LEVEL SECURITY
  is_only boolean not null default true
  keep interval default '2 years'::interval
  constraint audit_retention_is_only_check CHECK (is_only)
  constraint audit_retention_keep_check CHECK ((keep >= '1 mon'::interval))
  constraint audit_retention_pkey PRIMARY KEY (is_only)

table app_private.clerk_events  -- NO ROW-LEVEL SECURITY
  id text not null
  type text not null
  changes jsonb
  version_at timestamp with time zone not null
  received_at timestamp with time zone not null default now()
  attempts bigint not null default 0
  tried_at timestamp with time zone
  error_code text
  outcome text
  constraint clerk_events_id_check CHECK (((length(id) >= 1) AND (length(id) <= 255)))
  constraint clerk_events_outcome_check CHECK ((outcome = ANY (ARRAY['applied'::text, 'stale'::text, 'unreadable'::text])))
  constraint clerk_events_type_check CHECK ((length(type) <= 100))
  constraint clerk_events_pkey PRIMARY KEY (id)
  CREATE INDEX clerk_events_received_at_idx ON app_private.clerk_events USING btree (received_at)
  CREATE INDEX clerk_events_version_at_idx ON app_private.clerk_events USING btree (version_at) WHERE (outcome IS NULL)

table app_private.clerk_reconciliations  -- NO ROW-LEVEL SECURITY
  id uuid not null default uuidv7()
  phase text not null default 'users'::text
  place bigint not null default 0
  seen bigint not null default 0
  changed bigint not null default 0
  started_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  finished_at timestamp with time zone
  constraint clerk_reconciliations_phase_check CHECK ((phase = ANY (ARRAY['users'::text, 'organizations'::text, 'memberships'::text, 'missing'::text, 'done'::text, 'refused'::text])))
  constraint clerk_reconciliations_pkey PRIMARY KEY (id)
  CREATE UNIQUE INDEX clerk_reconciliations_open_idx ON app_private.clerk_reconciliations USING btree (((finished_at IS NULL))) WHERE (finished_at IS NULL)

table app_private.clerk_versions  -- NO ROW-LEVEL SECURITY
  clerk_org_id text not null
  clerk_user_id text not null
  born_at timestamp with time zone not null
  is_deleted boolean not null
  version_at timestamp with time zone not null
  told_at timestamp with time zone not null
  seen_in uuid
  is_inferred boolean not null default false
  constraint clerk_versions_pkey PRIMARY KEY (clerk_org_id, clerk_user_id)

table app_private.embedding_settings  -- NO ROW-LEVEL SECURITY
  is_only boolean not null default true
  is_enabled boolean not null default false
  reached_org text not null default ''::text
  reached_id uuid not null default '00000000-0000-0000-0000-000000000000'::uuid
  constraint embedding_settings_is_only_check CHECK (is_only)
  constraint embedding_settings_pkey PRIMARY KEY (is_only)

table app_private.file_patrol  -- NO ROW-LEVEL SECURITY
  is_only boolean not null default true
  reached_org text not null default ''::text
  reached_id uuid not null default '00000000-0000-0000-0000-000000000000'::uuid
  swept_key text not null default ''::text
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

table app_private.gone_members  -- NO ROW-LEVEL SECURITY
  clerk_org_id text not null
  clerk_user_id text not null
  constraint gone_members_pkey PRIMARY KEY (clerk_org_id, clerk_user_id)

table app_private.pending_erasures  -- NO ROW-LEVEL SECURITY
  clerk_user_id text not null
  due_at timestamp with time zone not null
  constraint pending_erasures_pkey PRIMARY KEY (clerk_user_id)
  CREATE INDEX pending_erasures_due_at_idx ON app_private.pending_erasures USING btree (due_at)

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
  constraint upload_settings_allowed_types_check CHECK (((array_to_string(allowed_types, ' '::text, 'null'::text) ~ '^(([a-z0-9][a-z0-9!#$&^_.+-]*/([a-z0-9][a-z0-9!#$&^_.+-]*|[*])|[*]/[*])( ([a-z0-9][a-z0-9!#$&^_.+-]*/([a-z0-9][a-z0-9!#$&^_.+-]*|[*])|[*]/[*]))*)?$'::text) AND (cardinality(allowed_types) = cardinality(string_to_array(array_to_string(allowed_types, ' '::text, 'null'::text), ' '::text)))))
  constraint upload_settings_max_bytes_check CHECK ((max_bytes >= 0))
  constraint upload_settings_quota_bytes_check CHECK ((quota_bytes >= 0))
  constraint upload_settings_quota_files_check CHECK ((quota_files >= 0))
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

table app_public.audit_events  -- row-level security, forced
  org_id text not null default app_hidden.current_org_id()
  id uuid not null default uuidv7()
  action app_public.audit_action not null
  source app_public.audit_source not null
  actor_id text
  impersonator_id text
  table_name text
  row_id text
  operation text
  changed text[] not null default '{}'::text[]
  old_values jsonb
  new_values jsonb
  error_code text
  request_id text
  trace_id text
  login text not null default SESSION_USER
  created_at timestamp with time zone not null default uuid_extract_timestamp(id)
  constraint audit_events_pkey PRIMARY KEY (org_id, id)
  CREATE INDEX audit_events_org_id_actor_id_id_idx ON ONLY app_public.audit_events USING btree (org_id, actor_id, id)
  CREATE INDEX audit_events_org_id_row_id_id_idx ON ONLY app_public.audit_events USING btree (org_id, row_id, id)
  CREATE INDEX audit_events_org_id_table_name_id_idx ON ONLY app_public.audit_events USING btree (org_id, table_name, id)
  CREATE STATISTICS app_public.audit_events_org_id_actor_id_stat ON org_id, actor_id FROM app_public.audit_events
  CREATE TRIGGER _100_refuse_change BEFORE DELETE OR UPDATE OR TRUNCATE ON app_public.audit_events FOR EACH STATEMENT EXECUTE FUNCTION app_private.tg__refuse_change()

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
  CREATE TRIGGER _900_fail_generation AFTER INSERT OR UPDATE OF error_code ON app_public.dead_letters FOR EACH ROW WHEN ((new.task = 'generations__run'::text)) EXECUTE FUNCTION app_private.tg_dead_letters__fail_generation()

table app_public.document_embeddings  -- row-level security, forced
  org_id text not null default app_hidden.current_org_id()
  document_id uuid not null
  model text not null
  content_hash bytea not null
  vector real[] not null
  created_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  constraint document_embeddings_content_hash_check CHECK ((length(content_hash) = 32))
  constraint document_embeddings_model_check CHECK (((length(model) >= 1) AND (length(model) <= 200)))
  constraint document_embeddings_vector_check CHECK (((cardinality(vector) >= 1) AND (cardinality(vector) <= 4096)))
  constraint document_embeddings_document_id_fkey FOREIGN KEY (org_id, document_id) REFERENCES app_public.documents(org_id, id) ON DELETE CASCADE
  constraint document_embeddings_pkey PRIMARY KEY (org_id, document_id)
  CREATE STATISTICS app_public.document_embeddings_vector_stat ON cardinality(vector) FROM app_public.document_embeddings
  CREATE TRIGGER _100_touch BEFORE UPDATE ON app_public.document_embeddings FOR EACH ROW EXECUTE FUNCTION app_private.tg__touch()

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
  CREATE TRIGGER _900_audit AFTER INSERT OR DELETE OR UPDATE ON app_public.documents FOR EACH ROW EXECUTE FUNCTION app_private.tg__audit('org_id', '{id}', '{title,body}', '{search}')
  CREATE TRIGGER _900_audit_truncate AFTER TRUNCATE ON app_public.documents FOR EACH STATEMENT EXECUTE FUNCTION app_private.tg__audit()
  CREATE TRIGGER _900_enqueue_index AFTER INSERT OR UPDATE OF title, body ON app_public.documents FOR EACH ROW WHEN ((length(new.body) > 20000)) EXECUTE FUNCTION app_private.tg_documents__enqueue_index()
  CREATE TRIGGER _910_enqueue_embed AFTER INSERT OR UPDATE OF title, body ON app_public.documents FOR EACH ROW EXECUTE FUNCTION app_private.tg_documents__enqueue_embed()

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
  has_part_checksums boolean
  constraint files_byte_size_check CHECK (((byte_size >= 0) AND (byte_size <= '5497558138880'::bigint)))
  constraint files_checksum_sha256_check CHECK ((checksum_sha256 ~ '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$'::text))
  constraint files_content_type_check CHECK (((length(content_type) <= 255) AND (content_type ~ '^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?[a-z0-9!#$&^_.+*-]+=([a-z0-9!#$%&''*+.^_`|~:/,-]+|"([!#-\[\]-~]+( [!#-\[\]-~]+)*)?"))*$'::text)))
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
  CREATE TRIGGER _900_audit AFTER INSERT OR DELETE OR UPDATE ON app_public.files FOR EACH ROW EXECUTE FUNCTION app_private.tg__audit('org_id', '{id}', '{file_name,checksum_sha256}', '{updated_at,multipart_upload_id,has_part_checksums,parts,object_key,object_version,object_etag}')
  CREATE TRIGGER _900_audit_truncate AFTER TRUNCATE ON app_public.files FOR EACH STATEMENT EXECUTE FUNCTION app_private.tg__audit()
  CREATE TRIGGER _900_follow_delete AFTER DELETE ON app_public.files FOR EACH ROW EXECUTE FUNCTION app_private.tg_files__follow()
  CREATE TRIGGER _900_follow_move AFTER UPDATE OF status ON app_public.files FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION app_private.tg_files__follow()

table app_public.generations  -- row-level security, forced
  org_id text not null default app_hidden.current_org_id()
  id uuid not null default uuidv7()
  user_id text not null default app_hidden.current_user_id()
  document_id uuid
  prompt text
  max_tokens integer not null
  status app_public.generation_status not null default 'QUEUED'::app_public.generation_status
  text text
  is_cached boolean not null default false
  error_code text
  latency_ms integer
  provider text
  model text
  prompt_tokens integer
  completion_tokens integer
  document_text text
  idempotency_key text
  arguments_sha256 bytea
  sent_sha256 bytea
  attempt integer not null default 0
  started_at timestamp with time zone
  finished_at timestamp with time zone
  created_at timestamp with time zone not null default now()
  updated_at timestamp with time zone not null default now()
  constraint generations_arguments_sha256_check CHECK (((arguments_sha256 IS NULL) = (idempotency_key IS NULL)))
  constraint generations_attempt_check CHECK ((attempt >= 0))
  constraint generations_completion_tokens_check CHECK ((completion_tokens >= 0))
  constraint generations_document_text_check CHECK (((document_text IS NULL) OR (status = ANY (ARRAY['QUEUED'::app_public.generation_status, 'RUNNING'::app_public.generation_status]))))
  constraint generations_erased_check CHECK (((prompt IS NOT NULL) OR (status <> ALL (ARRAY['QUEUED'::app_public.generation_status, 'RUNNING'::app_public.generation_status]))))
  constraint generations_error_code_check CHECK ((((error_code ~ '^[A-Z][A-Z_]{0,62}$'::text) AND ((error_code IS NOT NULL) = (status = 'FAILED'::app_public.generation_status))) OR ((error_code IS NULL) AND (status <> 'FAILED'::app_public.generation_status))))
  constraint generations_finished_at_check CHECK (((finished_at IS NULL) = (status = ANY (ARRAY['QUEUED'::app_public.generation_status, 'RUNNING'::app_public.generation_status]))))
  constraint generations_idempotency_key_check CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255)))
  constraint generations_is_cached_check CHECK (((NOT is_cached) OR (status = 'SUCCEEDED'::app_public.generation_status)))
  constraint generations_latency_ms_check CHECK ((latency_ms >= 0))
  constraint generations_max_tokens_check CHECK ((max_tokens > 0))
  constraint generations_model_check CHECK ((length(model) <= 200))
  constraint generations_prompt_check CHECK (((length(prompt) >= 1) AND (length(prompt) <= 100000)))
  constraint generations_prompt_tokens_check CHECK ((prompt_tokens >= 0))
  constraint generations_provider_check CHECK ((length(provider) <= 100))
  constraint generations_started_at_check CHECK (((started_at IS NOT NULL) OR (status <> ALL (ARRAY['RUNNING'::app_public.generation_status, 'SUCCEEDED'::app_public.generation_status]))))
  constraint generations_text_check CHECK ((length(text) <= 1000000))
  constraint generations_text_status_check CHECK (((text IS NULL) OR (status = 'SUCCEEDED'::app_public.generation_status)))
  constraint generations_document_id_fkey FOREIGN KEY (org_id, document_id) REFERENCES app_public.documents(org_id, id) ON DELETE SET NULL (document_id)
  constraint generations_org_id_fkey FOREIGN KEY (org_id) REFERENCES app_public.organizations(id)
  constraint generations_user_id_fkey FOREIGN KEY (user_id) REFERENCES app_public.users(id)
  constraint generations_pkey PRIMARY KEY (org_id, id)
  constraint generations_org_id_idempotency_key_key UNIQUE (org_id, idempotency_key)
  CREATE INDEX generations_org_id_created_at_id_idx ON app_public.generations USING btree (org_id, created_at DESC, id DESC)
  CREATE INDEX generations_org_id_document_id_created_at_id_idx ON app_public.generations USING btree (org_id, document_id, created_at DESC, id DESC)
  CREATE INDEX generations_org_id_sent_sha256_idx ON app_public.generations USING btree (org_id, sent_sha256, finished_at) WHERE ((status = 'SUCCEEDED'::app_public.generation_status) AND (NOT is_cached) AND (text IS NOT NULL))
  CREATE INDEX generations_org_id_user_id_created_at_id_idx ON app_public.generations USING btree (org_id, user_id, created_at DESC, id DESC)
  CREATE STATISTICS app_public.generations_org_id_document_id_stat ON org_id, document_id FROM app_public.generations
  CREATE STATISTICS app_public.generations_org_id_user_id_stat ON org_id, user_id FROM app_public.generations
  CREATE TRIGGER _100_touch BEFORE UPDATE ON app_public.generations FOR EACH ROW EXECUTE FUNCTION app_private.tg__touch()
  CREATE TRIGGER _200_move BEFORE UPDATE ON app_public.generations FOR EACH ROW EXECUTE FUNCTION app_private.tg_generations__move()
  CREATE TRIGGER _900_audit AFTER INSERT OR DELETE OR UPDATE ON app_public.generations FOR EACH ROW EXECUTE FUNCTION app_private.tg__audit('org_id', '{id}', '{prompt,text,document_text,idempotency_key,arguments_sha256,sent_sha256}', '{updated_at}')
  CREATE TRIGGER _900_audit_truncate AFTER TRUNCATE ON app_public.generations FOR EACH STATEMENT EXECUTE FUNCTION app_private.tg__audit()
  CREATE TRIGGER _900_release AFTER UPDATE OF status ON app_public.generations FOR EACH ROW WHEN (((new.status = ANY (ARRAY['FAILED'::app_public.generation_status, 'CANCELED'::app_public.generation_status])) AND (old.status <> new.status))) EXECUTE FUNCTION app_private.tg_generations__release()
  CREATE TRIGGER _900_release_delete AFTER DELETE ON app_public.generations FOR EACH ROW EXECUTE FUNCTION app_private.tg_generations__release()

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
  CREATE TRIGGER _900_audit AFTER INSERT OR DELETE OR UPDATE ON app_public.memberships FOR EACH ROW EXECUTE FUNCTION app_private.tg__audit('org_id', '{user_id}', '{}', '{updated_at}')
  CREATE TRIGGER _900_audit_truncate AFTER TRUNCATE ON app_public.memberships FOR EACH STATEMENT EXECUTE FUNCTION app_private.tg__audit()

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
  CREATE TRIGGER _900_audit AFTER INSERT OR DELETE OR UPDATE ON app_public.organizations FOR EACH ROW EXECUTE FUNCTION app_private.tg__audit('id', '{id}', '{}', '{updated_at}')
  CREATE TRIGGER _900_audit_truncate AFTER TRUNCATE ON app_public.organizations FOR EACH STATEMENT EXECUTE FUNCTION app_private.tg__audit()

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
  CREATE TRIGGER _900_audit AFTER INSERT OR DELETE OR UPDATE ON app_public.users FOR EACH ROW EXECUTE FUNCTION app_private.tg__audit('id', '{id}', '{email,name}', '{updated_at}')
  CREATE TRIGGER _900_audit_truncate AFTER TRUNCATE ON app_public.users FOR EACH STATEMENT EXECUTE FUNCTION app_private.tg__audit()

-- Policies

create policy insert_keeper on app_private.ai_ledger for insert to rowhouse_owner
  with check true;
create policy select_keeper on app_private.ai_ledger for select to rowhouse_owner
  using true;
create policy update_keeper on app_private.ai_ledger for update to rowhouse_owner
  using true
  with check true;

create policy insert_keeper on app_private.ai_months for insert to rowhouse_owner
  with check true;
create policy select_keeper on app_private.ai_months for select to rowhouse_owner
  using true;
create policy update_keeper on app_private.ai_months for update to rowhouse_owner
  using true
  with check true;

create policy delete_operator on app_private.ai_settings for delete to rowhouse_owner
  using true;
create policy insert_operator on app_private.ai_settings for insert to rowhouse_owner
  with check true;
create policy select_operator on app_private.ai_settings for select to rowhouse_owner
  using true;
create policy update_operator on app_private.ai_settings for update to rowhouse_owner
  using true
  with check true;

create policy select_mover on app_private.audit_events_later for select to rowhouse_owner
  using true;

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

create policy all_same_org on app_public.audit_events as restrictive for all to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy insert_trail on app_public.audit_events for insert to rowhouse_owner
  with check true;
create policy select_auditor on app_public.audit_events for select to app_user
  using ( SELECT app_hidden.can_read_audit() AS can_read_audit);
create policy select_operator on app_public.audit_events for select to rowhouse_owner
  using (org_id = ''::text);

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

create policy all_same_org on app_public.document_embeddings as restrictive for all to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy insert_embedder on app_public.document_embeddings for insert to rowhouse_owner
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy select_embedder on app_public.document_embeddings for select to rowhouse_owner
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy select_reader on app_public.document_embeddings for select to app_user
  using (( SELECT d.id FROM app_public.documents d WHERE ((d.org_id = document_embeddings.org_id) AND (d.id = document_embeddings.document_id))) IS NOT NULL);
create policy update_embedder on app_public.document_embeddings for update to rowhouse_owner
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));

create policy all_same_org on app_public.documents as restrictive for all to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy delete_own on app_public.documents for delete to app_user
  using ((owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.can_manage_documents() AS can_manage_documents));
create policy delete_personal on app_public.documents for delete to rowhouse_owner
  using ((org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (owner_id = org_id));
create policy insert_own on app_public.documents for insert to app_user
  with check (owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id));
create policy select_own on app_public.documents for select to app_user
  using ((owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.can_manage_documents() AS can_manage_documents));
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
create policy delete_personal on app_public.files for delete to rowhouse_owner
  using ((org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (owner_id = org_id));
create policy insert_ledger on app_public.files for insert to rowhouse_owner
  with check ((org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)));
create policy select_ledger on app_public.files for select to rowhouse_owner
  using true;
create policy select_own on app_public.files for select to app_user
  using ((owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.can_manage_files() AS can_manage_files) OR (document_id = ( SELECT d.id FROM app_public.documents d WHERE ((d.org_id = files.org_id) AND (d.id = files.document_id)))));
create policy update_ledger on app_public.files for update to rowhouse_owner
  using true
  with check true;
create policy update_own on app_public.files for update to app_user
  using (owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id))
  with check (owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id));

create policy all_same_org on app_public.generations as restrictive for all to app_user
  using (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))
  with check (org_id = ( SELECT app_hidden.current_org_id() AS current_org_id));
create policy delete_keeper on app_public.generations for delete to rowhouse_owner
  using (org_id = user_id);
create policy insert_keeper on app_public.generations for insert to rowhouse_owner
  with check ((org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (user_id = ( SELECT app_hidden.current_user_id() AS current_user_id)));
create policy select_keeper on app_public.generations for select to rowhouse_owner
  using true;
create policy select_own on app_public.generations for select to app_user
  using ((user_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.can_manage_generations() AS can_manage_generations));
create policy update_keeper on app_public.generations for update to rowhouse_owner
  using true
  with check true;

create policy delete_mirror on app_public.memberships for delete to rowhouse_owner
  using true;
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

grant select (org_id, id, action, source, actor_id, impersonator_id, table_name, row_id, operation, changed, old_values, new_values, error_code, request_id, trace_id, created_at) on app_public.audit_events to app_user;

grant select (org_id, id, task, subject, error_code, attempts, request_id, queued_at, created_at, updated_at) on app_public.dead_letters to app_user;

grant select on app_public.document_embeddings to app_user;

grant delete, select on app_public.documents to app_user;
grant insert (title, body) on app_public.documents to app_user;
grant update (title, body) on app_public.documents to app_user;

grant delete, select on app_public.files to app_user;
grant update (status, multipart_upload_id, parts, has_part_checksums) on app_public.files to app_user;

grant select (org_id, id, user_id, document_id, prompt, max_tokens, status, text, is_cached, error_code, latency_ms, provider, model, prompt_tokens, completion_tokens, started_at, finished_at, created_at, updated_at) on app_public.generations to app_user;

grant select on app_public.memberships to app_user;

grant select on app_public.organizations to app_user;

grant select on app_public.users to app_user;

grant usage on type app_private.attempt to app_worker;
grant usage on type app_public.audit_action to app_user;
grant usage on type app_public.audit_source to app_user;
grant usage on type app_public.file_status to app_user;
grant usage on type app_public.file_status to app_worker;
grant usage on type app_public.generation_status to app_user;
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

CREATE OR REPLACE FUNCTION app_hidden.ai_usage(org_id text, month date, default_budget_micros bigint)
 RETURNS TABLE(calls bigint, prompt_tokens bigint, completion_tokens bigint, cost_micros bigint, reserved_micros bigint, budget_micros bigint, remaining_micros bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER ROWS 1
 SET search_path TO ''
BEGIN ATOMIC
 SELECT COALESCE(m.calls, (0)::bigint) AS "coalesce",
     COALESCE(m.prompt_tokens, (0)::bigint) AS "coalesce",
     COALESCE(m.completion_tokens, (0)::bigint) AS "coalesce",
     COALESCE(m.cost_micros, (0)::bigint) AS "coalesce",
     COALESCE(m.reserved_micros, (0)::bigint) AS "coalesce",
     b.budget,
     GREATEST((0)::bigint, ((b.budget - COALESCE(m.cost_micros, (0)::bigint)) - COALESCE(m.reserved_micros, (0)::bigint))) AS "greatest"
    FROM (( SELECT COALESCE(( SELECT s.monthly_budget_micros
                    FROM app_private.ai_settings s
                   WHERE (s.org_id = app_hidden.current_org_id())), ai_usage.default_budget_micros) AS budget) b
      LEFT JOIN app_private.ai_months m ON (((m.org_id = app_hidden.current_org_id()) AND (m.month = (date_trunc('month'::text, (ai_usage.month)::timestamp with time zone))::date))))
   WHERE ((ai_usage.org_id = app_hidden.current_org_id()) AND (app_hidden.can_manage_generations() OR (app_hidden.current_org_id() = app_hidden.current_user_id())));
END
;
grant execute on function app_hidden.ai_usage(text,date,bigint) to app_user;

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

CREATE OR REPLACE FUNCTION app_hidden.can_manage_generations()
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (COALESCE((app_hidden.current_org_role() = 'admin'::text), false) OR app_hidden.has_permission('org:generations:manage'::text))
;
grant execute on function app_hidden.can_manage_generations() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.can_manage_jobs()
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (COALESCE((app_hidden.current_org_role() = 'admin'::text), false) OR app_hidden.has_permission('org:jobs:manage'::text))
;
grant execute on function app_hidden.can_manage_jobs() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.can_read_audit()
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (COALESCE((app_hidden.current_org_role() = 'admin'::text), false) OR app_hidden.has_permission('org:audit:read'::text))
;
grant execute on function app_hidden.can_read_audit() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.cancel_generation(generation_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  generation app_public.generations;
begin
  select g.* into generation from app_public.generations as g
  where g.org_id = (select app_hidden.current_org_id()) and g.id = cancel_generation.generation_id
    and (g.user_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_generations()))
  for no key update;
  if not found then
    return null;
  end if;
  if generation.status in ('QUEUED', 'RUNNING') then
    update app_public.generations as g set status = 'CANCELED'
    where g.org_id = generation.org_id and g.id = generation.id;
  end if;
  if generation.status = 'QUEUED' then
    perform app_private.drop_generation_job(generation.id);
  end if;
  return true;
end;
$function$
;
grant execute on function app_hidden.cancel_generation(uuid) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.complete_multipart(file_id uuid, parts jsonb)
 RETURNS boolean
 LANGUAGE sql
BEGIN ATOMIC
 UPDATE app_public.files f SET status = 'FINALIZING'::app_public.file_status, parts = complete_multipart.parts
   WHERE ((f.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (f.id = complete_multipart.file_id) AND (f.owner_id = ( SELECT app_hidden.current_user_id() AS current_user_id)) AND (f.status = 'PENDING'::app_public.file_status) AND (f.multipart_upload_id IS NOT NULL));
 SELECT ((f.part_size IS NOT NULL) AND (f.status <> 'PENDING'::app_public.file_status))
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
    raise exception 'A file has at most % bytes.', coalesce(own.max_bytes, (limits ->> 'maxBytes')::bigint)
      using errcode = 'RW413', hint = 'byteSize';
  end if;
  -- Answered as one that is not there is by its reference.
  if create_file.document_id is not null and not exists (
    select from app_public.documents as d
    where d.org_id = org and d.id = create_file.document_id
      and (d.owner_id = app_hidden.current_user_id() or app_hidden.can_manage_documents())
  ) then
    raise exception 'The document is not there.'
      using errcode = '23503', table = 'files', constraint = 'files_document_id_fkey';
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

  -- Now that the table has refused what is no type at all.
  if not app_private.is_type_allowed(wanted_type, coalesce(
    own.allowed_types, array(select pg_catalog.jsonb_array_elements_text(limits -> 'allowedTypes'))
  )) then
    raise exception 'Files of this type are not allowed.' using errcode = 'RW415', hint = 'contentType';
  end if;

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

CREATE OR REPLACE FUNCTION app_hidden.create_generation(prompt text, max_tokens integer, document_id uuid, document_text text, idempotency_key text, is_now boolean, settings jsonb)
 RETURNS TABLE(id uuid, is_new boolean, status app_public.generation_status, attempt integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
AS $function$
#variable_conflict use_column
declare
  org constant text := app_hidden.current_org_id();
  caller constant text := app_hidden.current_user_id();
  this_month constant date := pg_catalog.date_trunc('month', pg_catalog.now() at time zone 'UTC')::date;
  arguments constant bytea := pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
    caller, create_generation.prompt, create_generation.max_tokens, create_generation.document_id)::text, 'UTF8'));
  sent constant bytea := pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
    create_generation.prompt, create_generation.max_tokens, create_generation.document_text)::text, 'UTF8'));
  own app_private.ai_settings;
  earlier app_public.generations;
  generation app_public.generations;
  to_reserve bigint;
begin
  if org is null or caller is null then
    raise exception 'You may not do this.' using errcode = 'RW403';
  end if;

  for round in 1..3 loop
    if create_generation.idempotency_key is not null then
      select g.* into generation from app_public.generations as g
      where g.org_id = org and g.idempotency_key = create_generation.idempotency_key;
      if found then
        if generation.arguments_sha256 <> arguments then
          raise exception 'This key was used with other arguments.' using errcode = 'RW409', hint = 'idempotencyKey';
        end if;
        return query select generation.id, false, generation.status, generation.attempt;
        return;
      end if;
    end if;

    if create_generation.max_tokens > (settings ->> 'maxTokens')::integer then
      raise exception 'The value of `maxTokens` is not allowed.' using errcode = 'RW400', hint = 'maxTokens';
    end if;
    if create_generation.document_id is not null and create_generation.document_text is null then
      raise exception 'The value of `document` is not allowed.' using errcode = 'RW400', hint = 'document';
    end if;
    select s.* into own from app_private.ai_settings as s where s.org_id = org;
    earlier := null;
    if coalesce(own.cache_ttl_seconds, (settings ->> 'cacheTtlSeconds')::integer) > 0 then
      select g.* into earlier from app_public.generations as g
      where g.org_id = org and g.sent_sha256 = sent and g.status = 'SUCCEEDED' and not g.is_cached and g.text is not null
        and g.finished_at > pg_catalog.now() - pg_catalog.make_interval(
          secs => coalesce(own.cache_ttl_seconds, (settings ->> 'cacheTtlSeconds')::integer))
      order by g.finished_at desc limit 1;
    end if;

    insert into app_public.generations (
      org_id, user_id, document_id, prompt, max_tokens, document_text, idempotency_key, arguments_sha256, sent_sha256,
      status, attempt, started_at, finished_at, text, is_cached, latency_ms, provider, model, prompt_tokens, completion_tokens
    ) values (
      org, caller, create_generation.document_id, create_generation.prompt, create_generation.max_tokens,
      case when earlier.id is null then create_generation.document_text end,
      create_generation.idempotency_key,
      case when create_generation.idempotency_key is not null then arguments end,
      sent,
      case when earlier.id is not null then 'SUCCEEDED' when create_generation.is_now then 'RUNNING' else 'QUEUED' end::app_public.generation_status,
      case when earlier.id is null and create_generation.is_now then 1 else 0 end,
      case when earlier.id is not null or create_generation.is_now then pg_catalog.now() end,
      case when earlier.id is not null then pg_catalog.now() end,
      earlier.text, earlier.id is not null,
      case when earlier.id is not null then 0 end, earlier.provider, earlier.model,
      case when earlier.id is not null then 0 end, case when earlier.id is not null then 0 end
    )
    on conflict on constraint generations_org_id_idempotency_key_key do nothing
    returning * into generation;
    exit when generation.id is not null;
  end loop;
  if generation.id is null then
    raise exception 'The generation came and went.' using errcode = '40001';
  end if;

  if earlier.id is null then
    perform app_private.enqueue('generations__run', generation.id,
      run_at => case when create_generation.is_now then
        pg_catalog.now() + (settings ->> 'takeOverAfterMs')::double precision * interval '1 millisecond' end,
      max_attempts => 10);

    -- A token is seldom shorter than three bytes. Last, so that the row of the month is
    -- locked for as short as can be.
    to_reserve := pg_catalog.ceil(
      (pg_catalog.octet_length(create_generation.prompt) + coalesce(pg_catalog.octet_length(create_generation.document_text), 0) + 192) / 3.0
        * (settings ->> 'promptMicros')::numeric
      + create_generation.max_tokens * (settings ->> 'completionMicros')::numeric);
    insert into app_private.ai_ledger (org_id, generation_id, month, reserved_micros)
    values (org, generation.id, this_month, to_reserve);
    insert into app_private.ai_months (org_id, month) values (org, this_month) on conflict do nothing;
    update app_private.ai_months as m
    set calls = m.calls + 1, reserved_micros = m.reserved_micros + to_reserve
    where m.org_id = org and m.month = this_month
      and m.cost_micros + m.reserved_micros + to_reserve
        <= coalesce(own.monthly_budget_micros, (settings ->> 'budgetMicros')::bigint);
    if not found then
      raise exception 'Your organization has spent its budget for this month.' using errcode = 'RW402';
    end if;
  end if;
  return query select generation.id, true, generation.status, generation.attempt;
end;
$function$
;
grant execute on function app_hidden.create_generation(text,integer,uuid,text,text,boolean,jsonb) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.current_actor_id()
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN NULLIF(current_setting('jwt.actor_id'::text, true), ''::text)
;
grant execute on function app_hidden.current_actor_id() to app_user;

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

CREATE OR REPLACE FUNCTION app_hidden.current_trace_id()
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN COALESCE(NULLIF(current_setting('app.trace_id'::text, true), ''::text), "substring"(NULLIF(current_setting('app.traceparent'::text, true), ''::text), '^[0-9a-f]{2}-([0-9a-f]{32})-'::text))
;
grant execute on function app_hidden.current_trace_id() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.current_user_id()
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN NULLIF(current_setting('jwt.user_id'::text, true), ''::text)
;
grant execute on function app_hidden.current_user_id() to app_user;

CREATE OR REPLACE FUNCTION app_hidden.document_embedding(document uuid)
 RETURNS app_public.document_embeddings
 LANGUAGE sql
 STABLE PARALLEL SAFE
BEGIN ATOMIC
 SELECT e.*::app_public.document_embeddings AS e
    FROM (app_public.document_embeddings e
      JOIN app_public.documents d ON (((d.org_id = e.org_id) AND (d.id = e.document_id))))
   WHERE ((e.org_id = ( SELECT app_hidden.current_org_id() AS current_org_id)) AND (e.document_id = document_embedding.document));
END
;
grant execute on function app_hidden.document_embedding(uuid) to app_user;

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

CREATE OR REPLACE FUNCTION app_hidden.document_similarity(document app_public.documents, other app_public.document_embeddings)
 RETURNS double precision
 LANGUAGE sql
 STABLE PARALLEL SAFE
BEGIN ATOMIC
 SELECT app_hidden.dot_product(e.vector, (document_similarity.other).vector) AS dot_product
    FROM app_public.document_embeddings e
   WHERE ((e.org_id = (document_similarity.document).org_id) AND (e.document_id = (document_similarity.document).id));
END
;
grant execute on function app_hidden.document_similarity(app_public.documents,app_public.document_embeddings) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.dot_product(a real[], b real[])
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
BEGIN ATOMIC
 SELECT sum(((t.x)::double precision * t.y)) AS sum
    FROM UNNEST(dot_product.a, dot_product.b) t(x, y);
END
;
grant execute on function app_hidden.dot_product(real[],real[]) to app_user;

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

CREATE OR REPLACE FUNCTION app_hidden.finish_generation(generation_id uuid, taken integer, outcome jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
AS $function$
declare
  has_ended boolean;
begin
  if not exists (
    select from app_public.generations as g
    where g.org_id = (select app_hidden.current_org_id()) and g.id = finish_generation.generation_id
      and g.user_id = (select app_hidden.current_user_id()) and g.attempt = finish_generation.taken
  ) then
    return false;
  end if;
  has_ended := app_private.end_generation(finish_generation.generation_id, finish_generation.taken, finish_generation.outcome);
  -- Not of one that was handed off, or taken over: there the job has yet to do it.
  if not exists (
    select from app_public.generations as g
    where g.org_id = (select app_hidden.current_org_id()) and g.id = finish_generation.generation_id
      and g.status in ('QUEUED', 'RUNNING')
  ) then
    perform app_private.drop_generation_job(finish_generation.generation_id);
  end if;
  return has_ended;
end;
$function$
;
grant execute on function app_hidden.finish_generation(uuid,integer,jsonb) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.first_uuid_at(at timestamp with time zone)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((lpad(to_hex((LEAST(('281474976710655'::bigint)::numeric, GREATEST((0)::numeric, floor((EXTRACT(epoch FROM at) * (1000)::numeric)))))::bigint), 12, '0'::text) || '00000000000000000000'::text))::uuid
;
grant execute on function app_hidden.first_uuid_at(timestamp with time zone) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.hand_off_generation(generation_id uuid, taken integer, used jsonb DEFAULT '{}'::jsonb, pause_ms bigint DEFAULT 0)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET lock_timeout TO '2s'
AS $function$
declare
  org constant text := app_hidden.current_org_id();
  generation app_public.generations;
begin
  select g.* into generation from app_public.generations as g
  where g.org_id = org and g.id = hand_off_generation.generation_id
    and g.user_id = (select app_hidden.current_user_id()) and g.attempt = hand_off_generation.taken
  for no key update;
  if not found or generation.status not in ('RUNNING', 'CANCELED') then
    return false;
  end if;
  if generation.status = 'CANCELED' then
    perform app_private.settle_generation(org, generation.id, hand_off_generation.used);
    perform app_private.drop_generation_job(generation.id);
    return false;
  end if;
  perform app_private.note_generation_cost(org, generation.id, hand_off_generation.used);
  update app_public.generations as g set status = 'QUEUED' where g.org_id = org and g.id = generation.id;
  -- A worker may be about to take it.
  if not exists (
    select from graphile_worker._private_jobs as j
    where j.key = pg_catalog.concat_ws(':', 'generations__run', org, generation.id) and j.locked_at is not null
  ) then
    perform app_private.enqueue('generations__run', generation.id, max_attempts => 10,
      run_at => case when pause_ms > 0 then
        pg_catalog.now() + least(pause_ms, 60000) * interval '1 millisecond' end);
  end if;
  return true;
end;
$function$
;
grant execute on function app_hidden.hand_off_generation(uuid,integer,jsonb,bigint) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.has_permission(permission text)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN COALESCE((permission = ANY (string_to_array(current_setting('jwt.permissions'::text, true), ','::text))), false)
;
grant execute on function app_hidden.has_permission(text) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.is_fresh(minutes integer)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN app_hidden.is_within(NULLIF(current_setting('jwt.first_factor_at'::text, true), ''::text), minutes)
;
grant execute on function app_hidden.is_fresh(integer) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.is_second_factor_fresh(minutes integer)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN app_hidden.is_within(COALESCE(NULLIF(current_setting('jwt.second_factor_at'::text, true), ''::text), NULLIF(current_setting('jwt.first_factor_at'::text, true), ''::text)), minutes)
;
grant execute on function app_hidden.is_second_factor_fresh(integer) to app_user;

CREATE OR REPLACE FUNCTION app_hidden.is_within(seconds text, minutes integer)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN COALESCE(CASE WHEN (seconds ~ '^[0-9]{1,12}$'::text) THEN (to_timestamp((seconds)::double precision) > (now() - make_interval(mins => minutes))) ELSE NULL::boolean END, false)
;
grant execute on function app_hidden.is_within(text,integer) to app_user;

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

CREATE OR REPLACE FUNCTION app_private.add_audit_partition(month timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  name constant text := 'app_private.audit_events_' || pg_catalog.to_char(month at time zone 'UTC', 'YYYY_MM');
begin
  execute pg_catalog.format('create table %s (like app_public.audit_events including all)', name);
  perform app_private.guard_audit_partition(name::pg_catalog.regclass);
  execute pg_catalog.format('alter table app_public.audit_events attach partition %s for values from (%L) to (%L)',
    name, app_hidden.first_uuid_at(month),
    app_hidden.first_uuid_at(pg_catalog.date_add(month, interval '1 month', 'UTC')));
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.add_last_audit_partition(first_month timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  create table app_private.audit_events_later (like app_public.audit_events including all);
  perform app_private.guard_audit_partition('app_private.audit_events_later');
  -- Whoever moves them to their months reads them.
  create policy select_mover on app_private.audit_events_later for select to current_user using (true);
  comment on table app_private.audit_events_later is 'Events of months that have no partition yet; empty, but for trouble.';
  execute pg_catalog.format('alter table app_public.audit_events attach partition app_private.audit_events_later for values from (%L) to (maxvalue)',
    app_hidden.first_uuid_at(first_month));
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.admit(user_id text, org_id text)
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if exists (
    select from app_private.gone_members as g
    where g.clerk_org_id = admit.org_id and g.clerk_user_id = admit.user_id
  ) then
    raise exception 'You are no longer a member of this organization.' using errcode = 'RW403';
  end if;
  return admit.org_id;
end;
$function$
;
grant execute on function app_private.admit(text,text) to app_api;

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

CREATE OR REPLACE FUNCTION app_private.apply_clerk_change(change jsonb)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  told record;
  rows_now bigint;
  rows_changed bigint := 0;
begin
  select * into told from pg_catalog.jsonb_to_record(apply_clerk_change.change) as c (
    "orgId" text, "userId" text, "bornAt" timestamptz, "isDeleted" boolean, "versionAt" timestamptz,
    "toldAt" timestamptz, email text, name text, slug text, role text, "isAsked" boolean
  );
  insert into app_private.clerk_versions as v
    (clerk_org_id, clerk_user_id, born_at, is_deleted, is_inferred, version_at, told_at)
  values (
    told."orgId", told."userId", told."bornAt", told."isDeleted", told."isDeleted" and told."isAsked" is true,
    told."versionAt", told."toldAt"
  )
  on conflict on constraint clerk_versions_pkey do update
    set born_at = excluded.born_at, is_deleted = excluded.is_deleted, is_inferred = excluded.is_inferred,
      version_at = excluded.version_at, told_at = excluded.told_at
    where case
      when v.born_at <> excluded.born_at then v.born_at < excluded.born_at
      -- What was found by asking and what was not: whichever was asked for later.
      when v.is_inferred and not excluded.is_deleted then told."isAsked" is true and v.told_at < excluded.told_at
      when excluded.is_inferred and not v.is_deleted then v.told_at < excluded.told_at
      else (v.is_deleted, not v.is_inferred, v.version_at, v.told_at)
        < (excluded.is_deleted, not excluded.is_inferred, excluded.version_at, excluded.told_at)
    end;
  if not found then
    return 'stale';
  end if;

  if told."isDeleted" then
    with ended as (
      delete from app_public.memberships as m
      where (told."orgId" = '' or m.org_id = told."orgId") and (told."userId" = '' or m.user_id = told."userId")
      returning m.org_id, m.user_id
    )
    insert into app_private.gone_members (clerk_org_id, clerk_user_id)
    select e.org_id, e.user_id from ended as e
    on conflict on constraint gone_members_pkey do nothing;
    get diagnostics rows_changed = row_count;
    if told."orgId" = '' then
      -- The id stays: documents of organizations name their owner by it.
      update app_public.users as u set email = null, name = null
      where u.id = told."userId" and (u.email is not null or u.name is not null);
      get diagnostics rows_now = row_count;
      rows_changed := rows_changed + rows_now;
      if told."isAsked" is true then
        insert into app_private.pending_erasures (clerk_user_id, due_at)
        values (told."userId", pg_catalog.now() + interval '7 days')
        on conflict on constraint pending_erasures_pkey do nothing;
      else
        rows_changed := rows_changed + app_private.erase_user(told."userId");
        -- And what a request that was let in before this commits after it.
        insert into app_private.pending_erasures as p (clerk_user_id, due_at)
        values (told."userId", pg_catalog.now() + interval '15 minutes')
        on conflict on constraint pending_erasures_pkey do update set due_at = excluded.due_at;
      end if;
    end if;
  elsif told."orgId" = '' then
    insert into app_public.users as u (id, email, name) values (told."userId", told.email, told.name)
    on conflict (id) do update set email = excluded.email, name = excluded.name
      where (u.email, u.name) is distinct from (excluded.email, excluded.name);
    get diagnostics rows_changed = row_count;
    -- Who was taken for gone has their own space again. Organizations tell of their members themselves.
    delete from app_private.pending_erasures as p where p.clerk_user_id = told."userId";
    with back as (
      delete from app_private.gone_members as g
      where g.clerk_org_id = told."userId" and g.clerk_user_id = told."userId"
      returning g.clerk_user_id
    )
    insert into app_public.memberships (org_id, user_id, role)
    select b.clerk_user_id, b.clerk_user_id, 'owner' from back as b
    on conflict on constraint memberships_pkey do nothing;
    get diagnostics rows_now = row_count;
    rows_changed := rows_changed + rows_now;
  elsif told."userId" = '' then
    insert into app_public.organizations as o (id, kind, name, slug)
    values (told."orgId", 'ORGANIZATION', told.name, told.slug)
    on conflict (id) do update set name = excluded.name, slug = excluded.slug
      where (o.name, o.slug) is distinct from (excluded.name, excluded.slug);
    get diagnostics rows_changed = row_count;
  elsif not app_private.is_gone(told."userId", told."orgId") then
    -- An event about them may still be on its way.
    insert into app_public.users (id) values (told."userId") on conflict (id) do nothing;
    insert into app_public.organizations (id, kind, name)
    values (told."orgId", 'ORGANIZATION', told."orgId") on conflict (id) do nothing;
    insert into app_public.memberships as m (org_id, user_id, role)
    values (told."orgId", told."userId", told.role)
    on conflict on constraint memberships_pkey do update set role = excluded.role
      where m.role <> excluded.role;
    get diagnostics rows_changed = row_count;
    delete from app_private.gone_members as g
    where g.clerk_org_id = told."orgId" and g.clerk_user_id = told."userId";
  end if;
  return case when rows_changed > 0 then 'applied' else 'same' end;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.apply_clerk_events(attempt app_private.attempt, max_events integer, OUT applied integer, OUT stale integer, OUT failed integer)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  event record;
  change jsonb;
  is_stale boolean;
begin
  perform app_private.enter_attempt(apply_clerk_events.attempt);
  perform pg_catalog.pg_advisory_xact_lock(7218930017263047);
  applied := 0;
  stale := 0;
  failed := 0;
  for event in
    select e.id, e.changes from app_private.clerk_events as e
    where e.outcome is null and e.attempts < 10
      and (e.tried_at is null or e.tried_at < pg_catalog.now() - interval '1 minute')
    order by e.version_at, e.id
    limit apply_clerk_events.max_events
  loop
    begin
      is_stale := true;
      for change in select c.value from pg_catalog.jsonb_array_elements(event.changes) as c loop
        if app_private.apply_clerk_change(change) <> 'stale' then
          is_stale := false;
        end if;
      end loop;
      update app_private.clerk_events as e
      set outcome = case when is_stale then 'stale' else 'applied' end, changes = null,
        attempts = e.attempts + 1, tried_at = pg_catalog.now(), error_code = null
      where e.id = event.id;
      if is_stale then
        stale := stale + 1;
      else
        applied := applied + 1;
      end if;
    exception when others then
      -- Not what another transaction may have caused: the whole is tried again.
      if sqlstate like '40%' or sqlstate like '57%' or sqlstate like '53%' then
        raise;
      end if;
      update app_private.clerk_events as e
      set attempts = e.attempts + 1, tried_at = pg_catalog.now(), error_code = sqlstate
      where e.id = event.id;
      failed := failed + 1;
    end;
  end loop;
end;
$function$
;
grant execute on function app_private.apply_clerk_events(app_private.attempt,integer) to app_worker;

CREATE OR REPLACE FUNCTION app_private.audit(audited regclass, personal text[] DEFAULT '{}'::text[], ignored text[] DEFAULT '{}'::text[], tenant text DEFAULT 'org_id'::text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  id_columns text[];
  unknown text[];
begin
  if audited = 'app_public.audit_events'::pg_catalog.regclass
    or not exists (
      select from pg_catalog.pg_class as c
      where c.oid = audited and c.relkind in ('r', 'p') and not c.relispartition
    )
  then
    raise exception '% is no table that can be audited.', audited using errcode = '42809';
  end if;
  unknown := array(
    select n.name from pg_catalog.unnest(personal || ignored || tenant) as n (name)
    where not exists (
      select from pg_catalog.pg_attribute as a
      where a.attrelid = audited and a.attname = n.name and a.attnum > 0 and not a.attisdropped
    )
  );
  if unknown <> '{}' then
    raise exception '% has no column %.', audited, pg_catalog.array_to_string(unknown, ', ') using errcode = '42703';
  end if;
  id_columns := array(
    select a.attname from pg_catalog.pg_constraint as c, pg_catalog.unnest(c.conkey) with ordinality as k (attnum, place)
    join pg_catalog.pg_attribute as a on a.attnum = k.attnum
    where c.conrelid = audited and c.contype = 'p' and a.attrelid = audited order by k.place
  );
  if id_columns = '{}' then
    raise exception '% has no primary key, by which events name a row.', audited using errcode = '42P16';
  end if;
  if pg_catalog.cardinality(id_columns) > 1 then
    id_columns := pg_catalog.array_remove(id_columns, tenant);
  end if;
  if id_columns || tenant && ignored or id_columns && personal or personal && ignored then
    raise exception 'The columns of the key and of the tenant are in each event of %, and no column is both personal and ignored.',
      audited using errcode = '42P16';
  end if;
  execute pg_catalog.format(
    'create or replace trigger _900_audit after insert or update or delete on %s for each row execute function app_private.tg__audit(%L, %L, %L, %L)',
    audited, tenant, id_columns, personal, ignored);
  execute pg_catalog.format(
    'create or replace trigger _900_audit_truncate after truncate on %s for each statement execute function app_private.tg__audit()',
    audited);
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.audit_command(operation text, details jsonb)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
BEGIN ATOMIC
 INSERT INTO app_public.audit_events (org_id, action, source, operation, new_values)
   VALUES (''::text, 'COMMAND'::app_public.audit_action, 'SYSTEM'::app_public.audit_source, audit_command.operation, audit_command.details);
END
;
grant execute on function app_private.audit_command(text,jsonb) to app_worker;

CREATE OR REPLACE FUNCTION app_private.audit_months()
 RETURNS TABLE(partition regclass, month timestamp with time zone)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
BEGIN ATOMIC
 SELECT (i.inhrelid)::regclass AS inhrelid,
     ((to_date("right"((c.relname)::text, 7), 'YYYY_MM'::text))::timestamp without time zone AT TIME ZONE 'UTC'::text) AS timezone
    FROM (pg_inherits i
      JOIN pg_class c ON ((c.oid = i.inhrelid)))
   WHERE ((i.inhparent = ('app_public.audit_events'::regclass)::oid) AND (c.relname ~ '^audit_events_\d{4}_\d{2}$'::text));
END
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.audit_refusal(user_id text, actor_id text, org_id text, operation text, table_name text, row_id text, error_code text, request_id text, trace_id text, left_out integer)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
BEGIN ATOMIC
 INSERT INTO app_public.audit_events (org_id, action, source, actor_id, impersonator_id, table_name, row_id, operation, new_values, error_code, request_id, trace_id)
   VALUES (audit_refusal.org_id, 'REFUSED'::app_public.audit_action, 'REQUEST'::app_public.audit_source, audit_refusal.user_id, audit_refusal.actor_id, "left"(audit_refusal.table_name, 63), "left"(audit_refusal.row_id, 255), "left"(audit_refusal.operation, 100),
         CASE
             WHEN (audit_refusal.left_out > 0) THEN jsonb_build_object('left_out', audit_refusal.left_out)
             ELSE NULL::jsonb
         END, audit_refusal.error_code, audit_refusal.request_id, audit_refusal.trace_id);
END
;
grant execute on function app_private.audit_refusal(text,text,text,text,text,text,text,text,text,integer) to app_api;

CREATE OR REPLACE FUNCTION app_private.audit_source()
 RETURNS app_public.audit_source
 LANGUAGE sql
 STABLE
RETURN (CASE WHEN (NULLIF(current_setting('app.worker_id'::text, true), ''::text) IS NOT NULL) THEN 'JOB'::text WHEN (app_hidden.current_request_id() IS NOT NULL) THEN 'REQUEST'::text ELSE 'SYSTEM'::text END)::app_public.audit_source
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

CREATE OR REPLACE FUNCTION app_private.complete_generation(attempt app_private.attempt, generation_id uuid, taken integer, outcome jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  has_ended boolean;
begin
  perform app_private.enter_organization(complete_generation.attempt);
  has_ended := app_private.end_generation(
    complete_generation.generation_id, complete_generation.taken, complete_generation.outcome);
  perform app_private.enter_attempt(complete_generation.attempt);
  return has_ended;
end;
$function$
;
grant execute on function app_private.complete_generation(app_private.attempt,uuid,integer,jsonb) to app_worker;

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

CREATE OR REPLACE FUNCTION app_private.document_to_embed(attempt app_private.attempt, document_id uuid)
 RETURNS TABLE(content text, content_hash bytea)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$
;
grant execute on function app_private.document_to_embed(app_private.attempt,uuid) to app_worker;

CREATE OR REPLACE FUNCTION app_private.drop_generation_job(generation_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
begin
  delete from graphile_worker._private_jobs as j
  where j.key = pg_catalog.concat_ws(':', 'generations__run', app_hidden.current_org_id(), drop_generation_job.generation_id)
    and j.locked_at is null;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.drop_jobs(job_ids bigint[])
 RETURNS SETOF bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return query
    with dropped as (
      delete from graphile_worker._private_jobs as j
      where j.id = any (drop_jobs.job_ids) and j.locked_at is null and j.attempts >= j.max_attempts
      returning j.id, j.payload, j.task_id
    ), noted as (
      insert into app_public.audit_events (org_id, action, source, operation, table_name, row_id, new_values)
      select coalesce(d.payload ->> 'orgId', ''), 'COMMAND', 'SYSTEM', 'jobs drop',
        pg_catalog.split_part(t.identifier, '__', 1), d.payload ->> 'rowId', pg_catalog.jsonb_build_object('task', t.identifier)
      from dropped as d join graphile_worker._private_tasks as t on t.id = d.task_id
    )
    select d.id from dropped as d;
end;
$function$
;
grant execute on function app_private.drop_jobs(bigint[]) to app_worker;

CREATE OR REPLACE FUNCTION app_private.embed_missing(attempt app_private.attempt)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
      select d.id, e.content_hash is distinct from
        pg_catalog.sha256(pg_catalog.convert_to(app_private.embedded_text(d.title, d.body), 'UTF8')) as is_missing
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
$function$
;
grant execute on function app_private.embed_missing(app_private.attempt) to app_worker;

CREATE OR REPLACE FUNCTION app_private.embedded_text(title text, body text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((title || '

'::text) || "left"(body, 20000))
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.enable_embeddings(is_enabled boolean)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  update app_private.embedding_settings as s
  set is_enabled = enable_embeddings.is_enabled, reached_org = '', reached_id = '00000000-0000-0000-0000-000000000000'
  where s.is_enabled <> enable_embeddings.is_enabled;
  if found and enable_embeddings.is_enabled then
    perform graphile_worker.add_job('documents__embed_missing', job_key => 'documents__embed_missing');
  end if;
end;
$function$
;
grant execute on function app_private.enable_embeddings(boolean) to app_worker;

CREATE OR REPLACE FUNCTION app_private.end_generation(generation_id uuid, taken integer, outcome jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  generation app_public.generations;
  used constant jsonb := outcome -> 'used';
begin
  select g.* into generation from app_public.generations as g
  where g.org_id = (select app_hidden.current_org_id()) and g.id = end_generation.generation_id
  for no key update;
  if not found or generation.attempt <> end_generation.taken or generation.status not in ('RUNNING', 'CANCELED') then
    return false;
  end if;
  if generation.status = 'RUNNING' then
    update app_public.generations as g
    set status = (outcome ->> 'status')::app_public.generation_status,
      text = outcome ->> 'text',
      error_code = outcome ->> 'errorCode',
      latency_ms = (used ->> 'latencyMs')::integer,
      provider = used ->> 'provider',
      model = used ->> 'model',
      prompt_tokens = (used ->> 'promptTokens')::integer,
      completion_tokens = (used ->> 'completionTokens')::integer
    where g.org_id = generation.org_id and g.id = generation.id;
  end if;
  perform app_private.settle_generation(generation.org_id, generation.id, coalesce(used, '{}'));
  return generation.status = 'RUNNING';
end;
$function$
;
-- granted to nobody

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
        'actorId', app_hidden.current_actor_id(),
        'requestId', app_hidden.current_request_id(),
        'traceId', app_hidden.current_trace_id(),
        'traceparent', coalesce(
          nullif(pg_catalog.current_setting('app.traceparent', true), ''),
          '00-' || nullif(pg_catalog.current_setting('app.trace_id', true), '') || '-' || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 16) || '-01'
        ),
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
declare
  job record;
begin
  select j.payload into job from graphile_worker._private_jobs as j
  where j.id = (enter_attempt.attempt).job_id
    and j.revision = (enter_attempt.attempt).revision
    and j.attempts = (enter_attempt.attempt).number
    and j.locked_by = nullif(pg_catalog.current_setting('app.worker_id', true), '')
  for no key update;
  if not found then
    raise exception 'This attempt is over.' using errcode = 'RW409', constraint = 'attempt_is_held';
  end if;
  perform app_private.enter_job(job.payload);
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.enter_job(payload json)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform
    pg_catalog.set_config('jwt.org_id', coalesce(enter_job.payload ->> 'orgId', ''), true),
    pg_catalog.set_config('jwt.user_id', coalesce(enter_job.payload ->> 'userId', ''), true),
    pg_catalog.set_config('jwt.actor_id', coalesce(enter_job.payload ->> 'actorId', ''), true),
    pg_catalog.set_config('jwt.org_role', '', true),
    pg_catalog.set_config('jwt.permissions', '', true),
    pg_catalog.set_config('app.request_id', coalesce(enter_job.payload ->> 'requestId', ''), true),
    pg_catalog.set_config('app.trace_id', coalesce(enter_job.payload ->> 'traceId', ''), true),
    pg_catalog.set_config('app.traceparent', coalesce(enter_job.payload ->> 'traceparent', ''), true);
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
  perform app_private.enter_job(job.payload);
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.erase_generations(user_id text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  erased bigint;
begin
  delete from app_public.generations as g where g.org_id = erase_generations.user_id;
  update app_public.generations as g
  set prompt = null, text = null, document_text = null, idempotency_key = null, arguments_sha256 = null, sent_sha256 = null,
    status = case when g.status in ('QUEUED', 'RUNNING') then 'CANCELED' else g.status end
  where g.user_id = erase_generations.user_id and g.prompt is not null;
  get diagnostics erased = row_count;
  return erased;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.erase_gone_users(attempt app_private.attempt, max_users integer)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  due record;
  erased integer := 0;
begin
  perform app_private.enter_attempt(erase_gone_users.attempt);
  -- Nobody comes back meanwhile.
  perform pg_catalog.pg_advisory_xact_lock(7218930017263047);
  for due in
    delete from app_private.pending_erasures as p
    where p.clerk_user_id in (
      select q.clerk_user_id from app_private.pending_erasures as q
      where q.due_at <= pg_catalog.now()
      order by q.due_at
      limit erase_gone_users.max_users
    )
    returning p.clerk_user_id
  loop
    perform app_private.erase_user(due.clerk_user_id);
    erased := erased + 1;
  end loop;
  return erased;
end;
$function$
;
grant execute on function app_private.erase_gone_users(app_private.attempt,integer) to app_worker;

CREATE OR REPLACE FUNCTION app_private.erase_user(user_id text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  rows_now bigint;
  rows_erased bigint;
begin
  perform pg_catalog.set_config('jwt.org_id', erase_user.user_id, true);
  delete from app_public.documents as d where d.org_id = erase_user.user_id;
  get diagnostics rows_erased = row_count;
  -- Their objects follow: each row adds the job that deletes them.
  delete from app_public.files as f where f.org_id = erase_user.user_id;
  get diagnostics rows_now = row_count;
  perform pg_catalog.set_config('jwt.org_id', '', true);
  return rows_erased + rows_now + app_private.erase_generations(erase_user.user_id);
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
    select f.org_id, f.id,
      case f.status when 'PENDING' then 'EXPIRED' else 'REJECTED' end::app_public.file_status as becomes
    from app_public.files as f
    where (f.status = 'PENDING' and f.expires_at <= pg_catalog.now())
      -- An attempt that runs finds that the file has ended, and throws its copy away.
      or (f.status = 'FINALIZING' and f.updated_at <= pg_catalog.now() - interval '2 days')
    limit 1000 for update skip locked
  )
  update app_public.files as f
  set status = late.becomes, error = case late.becomes when 'REJECTED' then 'UPLOAD_UNVERIFIED' end
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

CREATE OR REPLACE FUNCTION app_private.guard_audit_partition(partition regclass)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  execute pg_catalog.format('alter table %s enable row level security, force row level security', partition);
  execute pg_catalog.format(
    'create trigger _100_refuse_change before update or delete or truncate on %s for each statement execute function app_private.tg__refuse_change()',
    partition);
end;
$function$
;
-- granted to nobody

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

CREATE OR REPLACE FUNCTION app_private.is_file_ready(attempt app_private.attempt, org_id text, file_id uuid, object_key text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(is_file_ready.attempt);
  return exists (
    select from app_public.files as f
    where f.org_id = is_file_ready.org_id and f.id = is_file_ready.file_id
      and f.object_key = is_file_ready.object_key
  );
end;
$function$
;
grant execute on function app_private.is_file_ready(app_private.attempt,text,uuid,text) to app_worker;

CREATE OR REPLACE FUNCTION app_private.is_gone(user_id text, org_id text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
BEGIN ATOMIC
 SELECT (EXISTS ( SELECT
            FROM app_private.clerk_versions v
           WHERE ((v.clerk_org_id = ANY (ARRAY[''::text, is_gone.org_id])) AND (v.clerk_user_id = ANY (ARRAY[''::text, is_gone.user_id])) AND v.is_deleted))) AS "exists";
END
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.is_type_allowed(content_type text, allowed text[])
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((split_part(content_type, ';'::text, 1) = ANY (allowed)) OR ((split_part(content_type, '/'::text, 1) || '/*'::text) = ANY (allowed)) OR ('*/*'::text = ANY (allowed)))
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.maintain_audit(attempt app_private.attempt)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(maintain_audit.attempt);
  perform app_private.make_audit_partitions();
  perform app_private.purge_audit();
end;
$function$
;
grant execute on function app_private.maintain_audit(app_private.attempt) to app_worker;

CREATE OR REPLACE FUNCTION app_private.make_audit_partitions()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '5s'
AS $function$
declare
  this_month constant timestamptz := pg_catalog.date_trunc('month', pg_catalog.now(), 'UTC');
  behind constant timestamptz := pg_catalog.date_add(this_month, interval '4 months', 'UTC');
  -- A clock that is set back finds its month at the start, too.
  missing timestamptz := pg_catalog.date_subtract(this_month, interval '1 month', 'UTC');
begin
  perform pg_catalog.pg_advisory_xact_lock(7218930017263047);
  missing := coalesce(
    (select pg_catalog.date_add(pg_catalog.max(m.month), interval '1 month', 'UTC') from app_private.audit_months() as m),
    missing
  );
  if missing >= behind then
    return;
  end if;
  if pg_catalog.to_regclass('app_private.audit_events_later') is not null then
    alter table app_public.audit_events detach partition app_private.audit_events_later;
    alter table app_private.audit_events_later rename to audit_events_moving;
  end if;
  perform app_private.add_audit_partition(m.month)
  from pg_catalog.generate_series(missing, pg_catalog.date_subtract(behind, interval '1 month', 'UTC'), interval '1 month', 'UTC') as m (month);
  perform app_private.add_last_audit_partition(behind);
  if pg_catalog.to_regclass('app_private.audit_events_moving') is not null then
    insert into app_public.audit_events (
      org_id, id, action, source, actor_id, impersonator_id, table_name, row_id, operation, changed,
      old_values, new_values, error_code, request_id, trace_id, login
    )
    select org_id, id, action, source, actor_id, impersonator_id, table_name, row_id, operation, changed,
      old_values, new_values, error_code, request_id, trace_id, login
    from app_private.audit_events_moving;
    drop table app_private.audit_events_moving;
  end if;
end;
$function$
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

CREATE OR REPLACE FUNCTION app_private.missing_in_clerk(walk_id uuid, max_rows integer)
 RETURNS TABLE(org_id text, user_id text, born_at timestamp with time zone, of_all bigint, known bigint)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return query
    with mirrored as (
      select '' as org_id, u.id as user_id, u.created_at from app_public.users as u
      union all
      select o.id, '', o.created_at from app_public.organizations as o where o.kind = 'ORGANIZATION'
      union all
      select m.org_id, m.user_id, m.created_at from app_public.memberships as m where m.org_id <> m.user_id
    ), judged as (
      select x.org_id, x.user_id, coalesce(v.born_at, pg_catalog.to_timestamp(0)) as born_at,
        v.seen_in is distinct from missing_in_clerk.walk_id as is_missing
      from mirrored as x
      cross join app_private.clerk_reconciliations as r
      left join app_private.clerk_versions as v on v.clerk_org_id = x.org_id and v.clerk_user_id = x.user_id
      where r.id = missing_in_clerk.walk_id and v.is_deleted is not true and x.created_at < r.started_at
    ), counted as (
      select pg_catalog.count(*) as known, pg_catalog.count(*) filter (where j.is_missing) as of_all from judged as j
    )
    select j.org_id, j.user_id, j.born_at, c.of_all, c.known
    from judged as j cross join counted as c
    where j.is_missing
    order by j.org_id, j.user_id
    limit missing_in_clerk.max_rows;
end;
$function$
;
grant execute on function app_private.missing_in_clerk(uuid,integer) to app_worker;

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

CREATE OR REPLACE FUNCTION app_private.note_generation_cost(org_id text, generation_id uuid, used jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  before app_private.ai_ledger;
  noted app_private.ai_ledger;
begin
  if not note_generation_cost.used ? 'costMicros' then
    return;
  end if;
  select l.* into before from app_private.ai_ledger as l
  where l.org_id = note_generation_cost.org_id and l.generation_id = note_generation_cost.generation_id
    and l.settled_at is null
  for update;
  if not found then
    return;
  end if;
  update app_private.ai_ledger as l
  set reserved_micros = 0,
    cost_micros = (used ->> 'costMicros')::bigint,
    prompt_tokens = (used ->> 'promptTokens')::bigint,
    completion_tokens = (used ->> 'completionTokens')::bigint,
    latency_ms = (used ->> 'latencyMs')::bigint,
    provider = used ->> 'provider',
    model = used ->> 'model'
  where l.org_id = before.org_id and l.generation_id = before.generation_id
  returning l.* into noted;
  update app_private.ai_months as m
  set cost_micros = m.cost_micros + noted.cost_micros - before.cost_micros,
    reserved_micros = m.reserved_micros - before.reserved_micros,
    prompt_tokens = m.prompt_tokens + noted.prompt_tokens - before.prompt_tokens,
    completion_tokens = m.completion_tokens + noted.completion_tokens - before.completion_tokens
  where m.org_id = before.org_id and m.month = before.month;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.open_reconciliation()
 RETURNS app_private.clerk_reconciliations
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  walk app_private.clerk_reconciliations;
begin
  -- One that nobody has gone on with for a day: what it has seen is old.
  update app_private.clerk_reconciliations as r set finished_at = pg_catalog.now()
  where r.finished_at is null and r.updated_at < pg_catalog.now() - interval '1 day';
  insert into app_private.clerk_reconciliations default values
  on conflict ((finished_at is null)) where finished_at is null do nothing;
  select * into walk from app_private.clerk_reconciliations as r where r.finished_at is null;
  return walk;
end;
$function$
;
grant execute on function app_private.open_reconciliation() to app_worker;

CREATE OR REPLACE FUNCTION app_private.parse_file_key(key text)
 RETURNS TABLE(area text, org_id text, id uuid)
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
 SELECT m.found[1] AS found,
         CASE
             WHEN (m.found[2] ~~ '~%'::text) THEN convert_from(decode(substr(m.found[2], 2), 'hex'::text), 'UTF8'::name)
             ELSE m.found[2]
         END AS found,
     (m.found[3])::uuid AS found
    FROM regexp_match(parse_file_key.key, '^(incoming|files)/([A-Za-z0-9_-]+|~(?:[2-7][0-9a-f])+)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/[^/]+)?$'::text) m(found)
   WHERE (m.found IS NOT NULL);
END
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.postpone_attempt(attempt app_private.attempt, pause_ms bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  postponed record;
begin
  perform app_private.enter_attempt(postpone_attempt.attempt);
  select j.id, j.job_queue_id, j.locked_by, pg_catalog.now() - j.created_at as age into postponed
  from graphile_worker._private_jobs as j
  where j.id = (postpone_attempt.attempt).job_id;
  if postponed.age > interval '1 day' then
    return false;
  end if;
  update graphile_worker._private_jobs as j
  set locked_by = null, locked_at = null, updated_at = pg_catalog.now(),
    attempts = j.attempts - 1, revision = j.revision + 1,
    -- Not all at once, or the same few would find a place each time.
    run_at = pg_catalog.now() + (1 + pg_catalog.random() / 2) * greatest(
      interval '1 second', least(interval '1 minute', postponed.age / 4), postpone_attempt.pause_ms * interval '1 millisecond'),
    priority = greatest(j.priority, app_private.next_turn(j.payload ->> 'orgId'))
  where j.id = postponed.id;
  update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
  where q.id = postponed.job_queue_id and q.locked_by = postponed.locked_by;
  return true;
end;
$function$
;
grant execute on function app_private.postpone_attempt(app_private.attempt,bigint) to app_worker;

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
  -- members of a large organization would queue. Who has a tombstone has no membership.
  if exists (
    select from app_public.memberships as m
    join app_public.users as u on u.id = m.user_id
    join app_public.organizations as o on o.id = m.org_id
    where m.org_id = provision.org_id and m.user_id = provision.user_id and o.kind = org_kind
      and (
        m.role = member_role
        or exists (
          select from app_private.clerk_versions as v where v.clerk_org_id = m.org_id and v.clerk_user_id = m.user_id
        )
      )
      and (
        o.slug is not distinct from coalesce(provision.org_slug, o.slug)
        or exists (select from app_private.clerk_versions as v where v.clerk_org_id = o.id and v.clerk_user_id = '')
      )
      and (
        (u.email is not distinct from coalesce(provision.email, u.email)
          and u.name is not distinct from coalesce(provision.user_name, u.name))
        or exists (select from app_private.clerk_versions as v where v.clerk_org_id = '' and v.clerk_user_id = u.id)
      )
  ) then
    return;
  end if;

  -- Beside others that provision, but not while Clerk's word is applied: no tombstone
  -- can come between the look and the rows.
  perform pg_catalog.pg_advisory_xact_lock_shared(7218930017263047);
  if app_private.is_gone(provision.user_id, provision.org_id) then
    raise exception 'You are no longer a member of this organization.' using errcode = 'RW403';
  end if;

  insert into app_public.users as u (id, email, name)
  values (provision.user_id, provision.email, provision.user_name)
  on conflict (id) do update
    set email = coalesce(excluded.email, u.email), name = coalesce(excluded.name, u.name)
    where not exists (select from app_private.clerk_versions as v where v.clerk_org_id = '' and v.clerk_user_id = u.id);

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
    where o.kind = excluded.kind
      and not exists (select from app_private.clerk_versions as v where v.clerk_org_id = o.id and v.clerk_user_id = '');
  -- No token names a personal space as an organization, or the other way round.
  if not exists (
    select from app_public.organizations as o where o.id = provision.org_id and o.kind = org_kind
  ) then
    raise exception 'Organization and personal space differ.' using errcode = 'RW403';
  end if;

  insert into app_public.memberships as m (org_id, user_id, role)
  values (provision.org_id, provision.user_id, member_role)
  on conflict on constraint memberships_pkey do update set role = excluded.role
    where not exists (
      select from app_private.clerk_versions as v where v.clerk_org_id = m.org_id and v.clerk_user_id = m.user_id
    );
end;
$function$
;
grant execute on function app_private.provision(text,text,text,text,text,text) to app_api;

CREATE OR REPLACE FUNCTION app_private.purge_audit()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '5s'
AS $function$
declare
  expired regclass;
begin
  for expired in
    select m.partition from app_private.audit_months() as m, app_private.audit_retention as r
    where pg_catalog.date_add(m.month, interval '1 month', 'UTC') <= pg_catalog.now() - r.keep
  loop
    execute pg_catalog.format('drop table %s', expired);
  end loop;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.purge_clerk_events(attempt app_private.attempt)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(purge_clerk_events.attempt);
  delete from app_private.clerk_events as e
  where e.received_at < pg_catalog.now() - interval '7 days'
    and (e.outcome is not null or e.received_at < pg_catalog.now() - interval '30 days');
  delete from app_private.clerk_reconciliations as r where r.finished_at < pg_catalog.now() - interval '30 days';
end;
$function$
;
grant execute on function app_private.purge_clerk_events(app_private.attempt) to app_worker;

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

CREATE OR REPLACE FUNCTION app_private.receive_clerk_event(event_id text, type text, version_at timestamp with time zone, changes jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  job_id bigint;
begin
  insert into app_private.clerk_events (id, type, version_at, changes, outcome)
  values (
    receive_clerk_event.event_id, pg_catalog.left(receive_clerk_event.type, 100),
    receive_clerk_event.version_at, receive_clerk_event.changes,
    case when receive_clerk_event.changes is null then 'unreadable' end
  )
  on conflict on constraint clerk_events_pkey do nothing;
  if not found then
    return false;
  end if;
  -- As in app_private.enqueue: nothing is added where a worker takes the job meanwhile.
  for round in 1..10 loop
    exit when receive_clerk_event.changes is null or job_id is not null;
    select j.id into job_id
    from graphile_worker.add_job('clerk_events__apply', '{}', job_key => 'clerk_events__apply') as j;
  end loop;
  return true;
end;
$function$
;
grant execute on function app_private.receive_clerk_event(text,text,timestamp with time zone,jsonb) to app_api;

CREATE OR REPLACE FUNCTION app_private.reconcile_with_clerk(walk_id uuid, phase text, place bigint, changes jsonb, next_phase text, next_place bigint)
 RETURNS app_private.clerk_reconciliations
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  walk app_private.clerk_reconciliations;
  change jsonb;
  changed_now bigint := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(7218930017263047);
  for change in select c.value from pg_catalog.jsonb_array_elements(reconcile_with_clerk.changes) as c loop
    if app_private.apply_clerk_change(change || '{"isAsked": true}') = 'applied' then
      changed_now := changed_now + 1;
    end if;
  end loop;
  update app_private.clerk_versions as v set seen_in = reconcile_with_clerk.walk_id
  from pg_catalog.jsonb_to_recordset(reconcile_with_clerk.changes) as c ("orgId" text, "userId" text)
  where v.clerk_org_id = c."orgId" and v.clerk_user_id = c."userId";
  update app_private.clerk_reconciliations as r
  set phase = reconcile_with_clerk.next_phase, place = reconcile_with_clerk.next_place,
    seen = r.seen + pg_catalog.jsonb_array_length(reconcile_with_clerk.changes),
    changed = r.changed + changed_now, updated_at = pg_catalog.now(),
    finished_at = case when reconcile_with_clerk.next_phase in ('done', 'refused') then pg_catalog.now() end
  where r.id = reconcile_with_clerk.walk_id and r.phase = reconcile_with_clerk.phase
    and r.place = reconcile_with_clerk.place and r.finished_at is null
  returning * into walk;
  if not found then
    raise exception 'This reconciliation is somewhere else by now.' using errcode = 'RW409';
  end if;
  return walk;
end;
$function$
;
grant execute on function app_private.reconcile_with_clerk(uuid,text,bigint,jsonb,text,bigint) to app_worker;

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
 SET enable_seqscan TO 'off'
AS $function$
declare
  added integer;
  hurried integer;
begin
  perform app_private.enter_attempt(resume_files.attempt);
  with late as (
    select f.org_id, f.id, pg_catalog.concat_ws(':', 'files__finalize', f.org_id, f.id) as key
    from app_public.files as f
    where f.status = 'FINALIZING' and f.updated_at < pg_catalog.now() - interval '1 hour'
  ), hurry as (
    update graphile_worker._private_jobs as j
    set attempts = 0, revision = j.revision + 1, run_at = pg_catalog.now(), last_error = null,
      updated_at = pg_catalog.now(), priority = app_private.next_turn(j.payload ->> 'orgId')
    from late
    where j.key = late.key and j.locked_at is null
      and app_private.error_code(j.last_error) in ('UNAVAILABLE', 'TIMEOUT', 'CONFLICT')
    returning j.id
  )
  select
    (
      select pg_catalog.count(app_private.enqueue('files__finalize', late.id, org_id => late.org_id)) from late
      where not exists (select from graphile_worker._private_jobs as j where j.key = late.key)
    ),
    (select pg_catalog.count(*) from hurry)
  into added, hurried;
  if hurried > 0 then
    perform pg_catalog.pg_notify('jobs:insert', pg_catalog.json_build_object('r', pg_catalog.random(), 'count', hurried)::text);
  end if;
  return added + hurried;
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
    with retried as (
      update graphile_worker._private_jobs as j
      set attempts = 0, revision = j.revision + 1, run_at = pg_catalog.now(), last_error = null,
        max_attempts = greatest(j.max_attempts, 25), updated_at = pg_catalog.now(),
        priority = app_private.next_turn(j.payload ->> 'orgId')
      where j.id = any (retry_jobs.job_ids) and j.locked_at is null and j.attempts >= j.max_attempts
      returning j.id, j.payload, j.task_id
    ), noted as (
      insert into app_public.audit_events (org_id, action, source, operation, table_name, row_id, new_values)
      select coalesce(r.payload ->> 'orgId', ''), 'COMMAND', 'SYSTEM', 'jobs retry',
        pg_catalog.split_part(t.identifier, '__', 1), r.payload ->> 'rowId', pg_catalog.jsonb_build_object('task', t.identifier)
      from retried as r join graphile_worker._private_tasks as t on t.id = r.task_id
    )
    select r.id from retried as r;
  perform pg_catalog.pg_notify('jobs:insert', pg_catalog.json_build_object(
    'r', pg_catalog.random(), 'count', pg_catalog.cardinality(retry_jobs.job_ids))::text);
end;
$function$
;
grant execute on function app_private.retry_jobs(bigint[]) to app_worker;

CREATE OR REPLACE FUNCTION app_private.return_generation(attempt app_private.attempt, generation_id uuid, taken integer, used jsonb DEFAULT '{}'::jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  generation app_public.generations;
begin
  perform app_private.enter_organization(return_generation.attempt);
  select g.* into generation from app_public.generations as g
  where g.org_id = (select app_hidden.current_org_id()) and g.id = return_generation.generation_id
    and g.attempt = return_generation.taken and g.status in ('RUNNING', 'CANCELED')
  for no key update;
  if not found then
    return false;
  end if;
  if generation.status = 'CANCELED' then
    perform app_private.settle_generation(generation.org_id, generation.id, return_generation.used);
    return false;
  end if;
  perform app_private.note_generation_cost(generation.org_id, generation.id, return_generation.used);
  update app_public.generations as g set status = 'QUEUED'
  where g.org_id = generation.org_id and g.id = generation.id;
  return true;
end;
$function$
;
grant execute on function app_private.return_generation(app_private.attempt,uuid,integer,jsonb) to app_worker;

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

CREATE OR REPLACE FUNCTION app_private.sample_of_mirror(max_rows integer)
 RETURNS TABLE(org_id text, user_id text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return query
    select x.org_id, x.user_id
    from (
      select '' as org_id, u.id as user_id from app_public.users as u
      union all
      select o.id, '' from app_public.organizations as o where o.kind = 'ORGANIZATION'
    ) as x
    where not exists (
      select from app_private.clerk_versions as v
      where v.clerk_org_id = x.org_id and v.clerk_user_id = x.user_id and v.is_deleted
    )
    order by pg_catalog.random()
    limit sample_of_mirror.max_rows;
end;
$function$
;
grant execute on function app_private.sample_of_mirror(integer) to app_worker;

CREATE OR REPLACE FUNCTION app_private.settle_generation(org_id text, generation_id uuid, used jsonb DEFAULT '{}'::jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  settled app_private.ai_ledger;
begin
  perform app_private.note_generation_cost(settle_generation.org_id, settle_generation.generation_id, settle_generation.used);
  update app_private.ai_ledger as l
  set settled_at = pg_catalog.now()
  where l.org_id = settle_generation.org_id and l.generation_id = settle_generation.generation_id and l.settled_at is null
  returning l.* into settled;
  if not found then
    return false;
  end if;
  -- Nothing was noted since something was reserved.
  update app_private.ai_months as m
  set reserved_micros = m.reserved_micros - settled.reserved_micros,
    cost_micros = m.cost_micros + settled.cost_micros,
    prompt_tokens = m.prompt_tokens + settled.prompt_tokens,
    completion_tokens = m.completion_tokens + settled.completion_tokens
  where m.org_id = settled.org_id and m.month = settled.month and settled.reserved_micros > 0;
  return true;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.store_embedding(attempt app_private.attempt, document_id uuid, content_hash bytea, model text, vector real[])
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$
;
grant execute on function app_private.store_embedding(app_private.attempt,uuid,bytea,text,real[]) to app_worker;

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

CREATE OR REPLACE FUNCTION app_private.swept_to(attempt app_private.attempt, key text DEFAULT NULL::text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  reached text;
begin
  perform app_private.enter_attempt(swept_to.attempt);
  update app_private.file_patrol as p set swept_key = coalesce(swept_to.key, p.swept_key)
  returning p.swept_key into reached;
  return reached;
end;
$function$
;
grant execute on function app_private.swept_to(app_private.attempt,text) to app_worker;

CREATE OR REPLACE FUNCTION app_private.take_generation(attempt app_private.attempt, generation_id uuid, default_budget_micros bigint DEFAULT NULL::bigint)
 RETURNS TABLE(prompt text, document_text text, max_tokens integer, taken integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  org text;
  generation app_public.generations;
begin
  perform app_private.enter_organization(take_generation.attempt);
  org := app_hidden.current_org_id();
  select g.* into generation from app_public.generations as g
  where g.org_id = org and g.id = take_generation.generation_id
  for no key update;
  perform app_private.enter_attempt(take_generation.attempt);
  if generation.id is null or generation.status not in ('QUEUED', 'RUNNING') then
    perform app_private.settle_generation(org, take_generation.generation_id);
    return;
  end if;
  if exists (
    select from app_private.ai_ledger as l
    join app_private.ai_months as m on m.org_id = l.org_id and m.month = l.month
    left join app_private.ai_settings as s on s.org_id = l.org_id
    where l.org_id = org and l.generation_id = generation.id
      -- The service answers what it was paid for by its key.
      and l.provider is null
      and m.cost_micros + l.reserved_micros > coalesce(s.monthly_budget_micros, take_generation.default_budget_micros)
  ) then
    update app_public.generations as g set status = 'FAILED', error_code = 'AI_BUDGET_EXCEEDED'
    where g.org_id = org and g.id = generation.id;
    perform app_private.settle_generation(org, generation.id);
    return;
  end if;
  return query
    update app_public.generations as g
    set status = 'RUNNING', attempt = g.attempt + 1
    where g.org_id = org and g.id = generation.id
    returning g.prompt, g.document_text, g.max_tokens, g.attempt;
end;
$function$
;
grant execute on function app_private.take_generation(app_private.attempt,uuid,bigint) to app_worker;

CREATE OR REPLACE FUNCTION app_private.tg__audit()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  id_columns constant text[] := tg_argv[1];
  personal constant text[] := tg_argv[2];
  ignored constant text[] := tg_argv[3];
  old_row jsonb;
  new_row jsonb;
  either jsonb;
  changed text[] := '{}';
  old_values jsonb;
  new_values jsonb;
begin
  if tg_op = 'TRUNCATE' then
    insert into app_public.audit_events (org_id, action, source, table_name)
    values ('', 'TRUNCATE', 'SYSTEM', tg_table_name);
    return null;
  end if;

  if tg_op <> 'INSERT' then
    old_row := pg_catalog.to_jsonb(old) - ignored;
  end if;
  if tg_op <> 'DELETE' then
    new_row := pg_catalog.to_jsonb(new) - ignored;
  end if;
  either := coalesce(new_row, old_row);
  if tg_op = 'UPDATE' then
    select pg_catalog.array_agg(n.key order by n.key) into changed
    from pg_catalog.jsonb_each(new_row) as n
    where n.value is distinct from old_row -> n.key;
    if changed is null then
      return null;
    end if;
    select pg_catalog.jsonb_object_agg(c.name, old_row -> c.name), pg_catalog.jsonb_object_agg(c.name, new_row -> c.name)
    into old_values, new_values
    from pg_catalog.unnest(changed) as c (name) where c.name <> all (personal);
  else
    old_values := old_row - personal;
    new_values := new_row - personal;
  end if;

  insert into app_public.audit_events (
    org_id, action, source, actor_id, impersonator_id, request_id, trace_id, table_name, row_id, changed, old_values, new_values
  ) values (
    either ->> tg_argv[0],
    tg_op::app_public.audit_action,
    app_private.audit_source(),
    app_hidden.current_user_id(),
    app_hidden.current_actor_id(),
    app_hidden.current_request_id(),
    app_hidden.current_trace_id(),
    tg_table_name,
    case when pg_catalog.cardinality(id_columns) = 1 then either ->> id_columns[1]
      else (
        select pg_catalog.string_agg(either ->> i.name, ',' order by i.place)
        from pg_catalog.unnest(id_columns) with ordinality as i (name, place)
      ) end,
    changed,
    old_values,
    new_values
  );
  return null;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg__refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  raise exception 'Audit events stay as they are.' using errcode = 'RW403';
end;
$function$
;
-- granted to nobody

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

CREATE OR REPLACE FUNCTION app_private.tg_dead_letters__fail_generation()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  generation_id uuid;
begin
  -- Of a job that somebody has added by hand it may be anything.
  if pg_catalog.pg_input_is_valid(new.subject, 'uuid') then
    generation_id := new.subject::uuid;
    update app_public.generations as g set status = 'FAILED', error_code = new.error_code
    where g.org_id = new.org_id and g.id = generation_id and g.status in ('QUEUED', 'RUNNING');
    perform app_private.settle_generation(new.org_id, generation_id);
  end if;
  return null;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_documents__enqueue_embed()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if (select s.is_enabled from app_private.embedding_settings as s) then
    perform app_private.enqueue('documents__embed', new.id, run_at => pg_catalog.now() + interval '5 seconds', org_id => new.org_id);
  end if;
  return null;
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

CREATE OR REPLACE FUNCTION app_private.tg_generations__move()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  ended constant app_public.generation_status[] := '{SUCCEEDED,FAILED,CANCELED}';
  personal constant text[] := array['prompt', 'text', 'document_text', 'idempotency_key', 'arguments_sha256', 'sent_sha256'];
  was constant jsonb := pg_catalog.to_jsonb(old);
  becomes jsonb;
begin
  if new.status = any (ended) and old.status <> all (ended) then
    new.finished_at := pg_catalog.now();
    new.document_text := null;
  end if;
  if new.status = 'RUNNING' then
    new.started_at := coalesce(old.started_at, pg_catalog.now());
  end if;
  becomes := pg_catalog.to_jsonb(new);
  if (
      old.status = any (ended)
      and was - personal - array['document_id', 'updated_at'] <> becomes - personal - array['document_id', 'updated_at']
    ) or (
      new.status <> old.status
      and (old.status, new.status) not in (
        ('QUEUED', 'RUNNING'), ('QUEUED', 'FAILED'), ('QUEUED', 'CANCELED'),
        ('RUNNING', 'QUEUED'), ('RUNNING', 'SUCCEEDED'), ('RUNNING', 'FAILED'), ('RUNNING', 'CANCELED'))
    ) or (
      new.attempt <> old.attempt and (new.attempt <> old.attempt + 1 or new.status <> 'RUNNING')
    ) or exists (
      select from pg_catalog.unnest(array['org_id', 'id', 'user_id', 'max_tokens', 'is_cached', 'created_at']) as name
      where was -> name <> becomes -> name
    ) or exists (
      -- Set once, with the row; the text with its end.
      select from pg_catalog.unnest(personal || array['document_id']) as name
      where was -> name <> becomes -> name and becomes -> name <> 'null'
        and (name <> 'text' or old.status = any (ended))
    )
  then
    raise exception 'The state of the generation does not allow it.' using errcode = 'RW409';
  end if;
  return new;
end;
$function$
;
-- granted to nobody

CREATE OR REPLACE FUNCTION app_private.tg_generations__release()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if tg_op = 'DELETE' or old.status = 'QUEUED' then
    perform app_private.settle_generation(old.org_id, old.id);
  end if;
  return null;
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
    select given.key
    from pg_catalog.unnest(unneeded_objects.keys) as given (key)
    cross join lateral app_private.parse_file_key(given.key) as k
    left join app_public.files as f on f.org_id = k.org_id and f.id = k.id
    where not coalesce(f.status = 'FINALIZING' or (k.area = 'incoming' and f.status = 'PENDING')
      or f.object_key = given.key, false);
end;
$function$
;
grant execute on function app_private.unneeded_objects(app_private.attempt,text[]) to app_worker;

CREATE OR REPLACE FUNCTION app_private.unneeded_uploads(attempt app_private.attempt, keys text[], upload_ids text[])
 RETURNS TABLE(key text, upload_id text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform app_private.enter_attempt(unneeded_uploads.attempt);
  return query
    select given.key, given.upload_id
    from rows from (
      pg_catalog.unnest(unneeded_uploads.keys), pg_catalog.unnest(unneeded_uploads.upload_ids)
    ) as given (key, upload_id)
    cross join lateral app_private.parse_file_key(given.key) as k
    left join app_public.files as f on f.org_id = k.org_id and f.id = k.id
    where not coalesce(
      case k.area
        -- A copy that an attempt makes.
        when 'files' then f.status = 'FINALIZING'
        else f.status in ('PENDING', 'FINALIZING')
          and coalesce(f.multipart_upload_id = given.upload_id, f.status = 'PENDING')
      end, false);
end;
$function$
;
grant execute on function app_private.unneeded_uploads(app_private.attempt,text[],text[]) to app_worker;

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
AS $function$
  select u.* from app_public.users as u where u.id = (select app_hidden.current_user_id())
$function$
;
grant execute on function app_public.me() to app_user;

CREATE OR REPLACE FUNCTION app_public.search_documents(query text)
 RETURNS SETOF app_public.documents
 LANGUAGE sql
 STABLE PARALLEL RESTRICTED
AS $function$
  select d.* from app_public.documents as d
  where d.search @@ app_hidden.search_query(search_documents.query)
$function$
;
grant execute on function app_public.search_documents(text) to app_user;

CREATE OR REPLACE FUNCTION app_public.similar_documents(document uuid)
 RETURNS SETOF app_public.documents
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select d.*
  from app_public.documents as asked
  join app_public.document_embeddings as this on this.org_id = asked.org_id and this.document_id = asked.id
  join app_public.document_embeddings as e
    on e.org_id = this.org_id and e.model = this.model
      and pg_catalog.cardinality(e.vector) = pg_catalog.cardinality(this.vector)
  join app_public.documents as d on d.org_id = e.org_id and d.id = e.document_id
  where asked.org_id = (select app_hidden.current_org_id())
    and asked.id = similar_documents.document and e.document_id <> similar_documents.document
$function$
;
grant execute on function app_public.similar_documents(uuid) to app_user;
