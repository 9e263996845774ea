--! Previous: sha1:0699ffef633b43d880b0869da852f6215c04bf1a
--! Hash: sha1:b00664fb6329a9a32de9c38c6e2477d6d8de44fd
--! Message: what is said is heeded

-- What a client, an organization's settings and the AI service say is heeded as it is meant.
--
-- Media types come with any parameters (`video/webm;codecs=vp9`), what an organization is allowed is
-- written so that it can match, a refusal says the limit, and the job that takes over a generation
-- leaves the service alone for as long as it asked the request to.

alter table app_public.files drop constraint if exists files_content_type_check;
-- Wider than the one it takes the place of: no row can fail. A million take about a second.
-- squawk-ignore constraint-missing-not-valid
alter table app_public.files add constraint files_content_type_check check (
  length(content_type) <= 255
  and content_type ~ '^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?[a-z0-9!#$&^_.+*-]+=([a-z0-9!#$%&''*+.^_`|~:/,-]+|"([!#-\[\]-~]+( [!#-\[\]-~]+)*)?"))*$'
);

-- Types are compared in lower case, and what is no type matches none.
update app_private.upload_settings as s
set allowed_types = array(
    select t from (select lower(u.name) as t from unnest(s.allowed_types) as u (name)) as named
    where t ~ '^([a-z0-9][a-z0-9!#$&^_.+-]*/([a-z0-9][a-z0-9!#$&^_.+-]*|[*])|[*]/[*])$'
  )
where s.allowed_types is not null;
update app_private.upload_settings as s
set max_bytes = greatest(s.max_bytes, 0), quota_bytes = greatest(s.quota_bytes, 0), quota_files = greatest(s.quota_files, 0)
where least(s.max_bytes, s.quota_bytes, s.quota_files) < 0;

alter table app_private.upload_settings
  drop constraint if exists upload_settings_allowed_types_check,
  drop constraint if exists upload_settings_max_bytes_check,
  drop constraint if exists upload_settings_quota_bytes_check,
  drop constraint if exists upload_settings_quota_files_check;
-- A row for each organization that has limits of its own: few.
-- squawk-ignore constraint-missing-not-valid
alter table app_private.upload_settings add constraint upload_settings_allowed_types_check check (
  array_to_string(allowed_types, ' ', 'null')
    ~ '^(([a-z0-9][a-z0-9!#$&^_.+-]*/([a-z0-9][a-z0-9!#$&^_.+-]*|[*])|[*]/[*])( ([a-z0-9][a-z0-9!#$&^_.+-]*/([a-z0-9][a-z0-9!#$&^_.+-]*|[*])|[*]/[*]))*)?$'
  -- None of them holds a blank, or is empty.
  and cardinality(allowed_types) = cardinality(string_to_array(array_to_string(allowed_types, ' ', 'null'), ' '))
);
-- squawk-ignore constraint-missing-not-valid
alter table app_private.upload_settings add constraint upload_settings_max_bytes_check check (max_bytes >= 0);
-- squawk-ignore constraint-missing-not-valid
alter table app_private.upload_settings add constraint upload_settings_quota_bytes_check check (quota_bytes >= 0);
-- squawk-ignore constraint-missing-not-valid
alter table app_private.upload_settings add constraint upload_settings_quota_files_check check (quota_files >= 0);

-- As before, but for what its refusals say.
create or replace function app_hidden.create_file(
  file_name text, content_type text, byte_size bigint, checksum_sha256 text, document_id uuid, limits jsonb
) returns table (id uuid, incoming_key text, part_size bigint, expires_at timestamptz)
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;


-- As before, and the job begins no sooner than the service asked to be left alone until.
drop function if exists app_hidden.hand_off_generation(uuid, integer, jsonb);
drop function if exists app_hidden.hand_off_generation(uuid, integer, jsonb, bigint);
create function app_hidden.hand_off_generation(
  generation_id uuid, taken integer, used jsonb default '{}', pause_ms bigint default 0
) returns boolean
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off set lock_timeout = '2s'
as $$
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
$$;
grant execute on function app_hidden.hand_off_generation(uuid, integer, jsonb, bigint) to app_user;
comment on function app_hidden.hand_off_generation(uuid, integer, jsonb, bigint) is 'Leaves a generation that the caller''s request has taken to a job, which begins after the pause; false where that came too late.';
