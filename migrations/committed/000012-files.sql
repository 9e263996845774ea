--! Previous: sha1:53b7594f3a362a8161f273c382408e545e4d8e96
--! Hash: sha1:f60aebf9c7c1e7c1dfb672a042df1a46da0753f0
--! Message: files

-- Files: the ledger of uploads, and the files themselves.
--
-- A file marked READY is, byte for byte, what its owner declared before uploading
-- it. Rows move PENDING → FINALIZING → READY or REJECTED, or PENDING → EXPIRED, and
-- nowhere else; what was declared never changes, and a row that has arrived stays as
-- it is. The object of a READY row lies under a key that was written once, by the
-- worker, and that no client ever gets a URL to write to.
--
-- Members read the files of their organization; owners upload and delete their own;
-- managers of files delete any.

drop table if exists app_public.files cascade;
drop type if exists app_public.file_status cascade;
drop table if exists app_private.file_usage, app_private.upload_settings, app_private.file_patrol cascade;
drop function if exists app_hidden.can_manage_files();
drop function if exists app_hidden.create_file(text, text, bigint, text, uuid, jsonb);
drop function if exists app_hidden.finalize_file(uuid);
drop function if exists app_hidden.complete_multipart(uuid, jsonb);
drop function if exists app_hidden.abort_upload(uuid);
drop function if exists app_hidden.own_upload(uuid);
drop function if exists app_private.is_type_allowed(text, text[]);
drop function if exists app_hidden.file_prefix(text, text, uuid);
drop function if exists app_private.unneeded_objects(app_private.attempt, text[]);
drop function if exists app_private.next_ready_files(app_private.attempt, integer);
drop function if exists app_private.resume_files(app_private.attempt);
drop function if exists app_private.expire_files(app_private.attempt);
drop function if exists app_private.file_to_finalize(app_private.attempt, uuid);
drop function if exists app_private.accept_file(app_private.attempt, uuid, text, text, text, integer, integer);
drop function if exists app_private.reject_file(app_private.attempt, uuid, text);
drop function if exists app_private.file_to_purge(app_private.attempt, uuid);
drop function if exists app_private.tg_files__move();
drop function if exists app_private.tg_files__follow();

create type app_public.file_status as enum ('PENDING', 'FINALIZING', 'READY', 'REJECTED', 'EXPIRED');
grant usage on type app_public.file_status to app_user, app_worker;

create table app_public.files (
  org_id text not null default app_hidden.current_org_id(),
  id uuid not null default uuidv7(),
  owner_id text not null default app_hidden.current_user_id(),
  document_id uuid,
  file_name text not null,
  content_type text not null,
  byte_size bigint not null,
  checksum_sha256 text not null,
  status app_public.file_status not null default 'PENDING',
  error text,
  -- As wide as GraphQL's Int.
  -- squawk-ignore prefer-bigint-over-int
  width integer,
  -- squawk-ignore prefer-bigint-over-int
  height integer,
  part_size bigint,
  multipart_upload_id text,
  parts jsonb,
  object_key text,
  object_version text,
  object_etag text,
  expires_at timestamptz not null,
  ready_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint files_pkey primary key (org_id, id),
  constraint files_org_id_fkey foreign key (org_id) references app_public.organizations (id),
  constraint files_owner_id_fkey foreign key (owner_id) references app_public.users (id),
  constraint files_document_id_fkey foreign key (org_id, document_id)
    references app_public.documents (org_id, id) on delete set null (document_id),
  constraint files_file_name_check check (length(file_name) between 1 and 255),
  constraint files_content_type_check check (
    length(content_type) <= 255
    and content_type ~ '^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?charset=[a-z0-9_-]+)?$'
  ),
  constraint files_byte_size_check check (byte_size between 0 and 5497558138880),
  -- The 32 bytes in base64: the last digit before the sign carries four bits.
  constraint files_checksum_sha256_check check (checksum_sha256 ~ '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$'),
  constraint files_part_size_check check (part_size > 0),
  constraint files_multipart_upload_id_check check (multipart_upload_id is null or part_size is not null),
  constraint files_parts_check check (parts is null or part_size is not null),
  constraint files_error_check check ((error is not null) = (status in ('REJECTED', 'EXPIRED'))),
  constraint files_object_key_check check ((object_key is not null) = (status = 'READY')),
  constraint files_ready_at_check check ((ready_at is not null) = (status = 'READY')),
  constraint files_width_check check (width >= 0 and (width is null) = (height is null)),
  constraint files_height_check check (height >= 0)
);

alter table app_public.files enable row level security, force row level security;

create index files_org_id_created_at_id_idx on app_public.files (org_id, created_at desc, id desc);
create index files_org_id_owner_id_created_at_id_idx on app_public.files (org_id, owner_id, created_at desc, id desc);
create index files_org_id_document_id_created_at_id_idx on app_public.files (org_id, document_id, created_at desc, id desc);
-- What is on its way, of all organizations, for the jobs by the clock.
create index files_org_id_expires_at_idx on app_public.files (org_id, expires_at)
  where status in ('PENDING', 'FINALIZING');

create statistics app_public.files_org_id_owner_id_stat (ndistinct, dependencies, mcv)
  on org_id, owner_id from app_public.files;
create statistics app_public.files_org_id_document_id_stat (ndistinct, dependencies, mcv)
  on org_id, document_id from app_public.files;

-- What an organization's files take: those that are ready and those on their way.
create table app_private.file_usage (
  org_id text not null,
  files bigint not null default 0,
  bytes bigint not null default 0,
  constraint file_usage_pkey primary key (org_id),
  constraint file_usage_org_id_fkey foreign key (org_id) references app_public.organizations (id) on delete cascade,
  constraint file_usage_files_check check (files >= 0),
  constraint file_usage_bytes_check check (bytes >= 0)
);
alter table app_private.file_usage set (fillfactor = 50);

-- Where an organization has other limits than the settings say; null: as they say.
create table app_private.upload_settings (
  org_id text not null,
  allowed_types text[],
  max_bytes bigint,
  quota_bytes bigint,
  quota_files bigint,
  constraint upload_settings_pkey primary key (org_id),
  constraint upload_settings_org_id_fkey foreign key (org_id) references app_public.organizations (id) on delete cascade
);

-- How far the reconciliation has looked for files whose objects are gone.
create table app_private.file_patrol (
  is_only boolean not null default true,
  reached_org text not null default '',
  reached_id uuid not null default '00000000-0000-0000-0000-000000000000',
  constraint file_patrol_pkey primary key (is_only),
  constraint file_patrol_is_only_check check (is_only)
);
insert into app_private.file_patrol default values;

alter table app_private.file_usage enable row level security, force row level security;
alter table app_private.upload_settings enable row level security, force row level security;

-- Whether the caller may delete files of others.
create function app_hidden.can_manage_files() returns boolean
language sql stable parallel safe
return coalesce(app_hidden.current_org_role() = 'admin', false)
  or app_hidden.has_permission('org:files:manage');
grant execute on function app_hidden.can_manage_files() to app_user;

-- Where the objects of a file lie: `incoming/…`, which its owner may write, and
-- `files/…/`, which the worker writes. Ids of Clerk may hold any visible character;
-- what could mean something in a path is written as hexadecimal digits.
create function app_hidden.file_prefix(area text, org_id text, file_id uuid) returns text
language sql immutable parallel safe
return area || '/'
  || case when org_id ~ '^[A-Za-z0-9_-]+$' then org_id
     else '~' || encode(convert_to(org_id, 'UTF8'), 'hex') end
  || '/' || file_id;

grant execute on function app_hidden.file_prefix(text, text, uuid) to app_user;

-- Whether a type fits a list such as `image/*, application/pdf`.
create function app_private.is_type_allowed(content_type text, allowed text[]) returns boolean
language sql immutable parallel safe
return split_part(content_type, ';', 1) = any (allowed)
  or split_part(content_type, '/', 1) || '/*' = any (allowed)
  or '*/*' = any (allowed);

-- Declares an upload: checks type, size and quota in the statement that adds the row.
-- Runs as the owner, since a request may not see what its organization uses, nor set
-- when its upload expires. Organization and owner are those of the claims. `limits` are
-- the API's settings, which an organization's own go before.
create function app_hidden.create_file(
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
$$;
grant execute on function app_hidden.create_file(text, text, bigint, text, uuid, jsonb) to app_user;

-- Says that the bytes are there. True wherever the caller's file stands by now: asking
-- again changes nothing. False for one that comes in parts and is not complete; null
-- where the caller owns no such file.
create function app_hidden.finalize_file(file_id uuid) returns boolean
language sql volatile
begin atomic
  with moved as (
    update app_public.files as f set status = 'FINALIZING'
    where f.org_id = (select app_hidden.current_org_id()) and f.id = finalize_file.file_id
      and f.owner_id = (select app_hidden.current_user_id()) and f.status = 'PENDING' and f.part_size is null
    returning 1
  )
  select f.status <> 'PENDING' or f.part_size is null or exists (select from moved)
  from app_public.files as f
  where f.org_id = (select app_hidden.current_org_id()) and f.id = finalize_file.file_id
    and f.owner_id = (select app_hidden.current_user_id());
end;
grant execute on function app_hidden.finalize_file(uuid) to app_user;

-- The same for an upload in parts: which there are, and their entity tags.
create function app_hidden.complete_multipart(file_id uuid, parts jsonb) returns boolean
language sql volatile
begin atomic
  with moved as (
    update app_public.files as f set status = 'FINALIZING', parts = complete_multipart.parts
    where f.org_id = (select app_hidden.current_org_id()) and f.id = complete_multipart.file_id
      and f.owner_id = (select app_hidden.current_user_id()) and f.status = 'PENDING'
      and f.multipart_upload_id is not null
    returning 1
  )
  select f.part_size is not null and (f.status <> 'PENDING' or exists (select from moved))
  from app_public.files as f
  where f.org_id = (select app_hidden.current_org_id()) and f.id = complete_multipart.file_id
    and f.owner_id = (select app_hidden.current_user_id());
end;
grant execute on function app_hidden.complete_multipart(uuid, jsonb) to app_user;

-- Gives up an upload that is not finalized. True wherever the caller's file stands by
-- now; null where the caller owns no such file.
create function app_hidden.abort_upload(file_id uuid) returns boolean
language sql volatile
begin atomic
  with moved as (
    update app_public.files as f set status = 'EXPIRED'
    where f.org_id = (select app_hidden.current_org_id()) and f.id = abort_upload.file_id
      and f.owner_id = (select app_hidden.current_user_id()) and f.status = 'PENDING'
    returning 1
  )
  select true or exists (select from moved)
  from app_public.files as f
  where f.org_id = (select app_hidden.current_org_id()) and f.id = abort_upload.file_id
    and f.owner_id = (select app_hidden.current_user_id());
end;
grant execute on function app_hidden.abort_upload(uuid) to app_user;

-- What the API needs to know of the caller's own upload to sign parts of it.
create function app_hidden.own_upload(file_id uuid) returns table (
  status app_public.file_status, content_type text, byte_size bigint, part_size bigint,
  multipart_upload_id text, incoming_key text, is_late boolean
)
language sql stable rows 1
begin atomic
  select f.status, f.content_type, f.byte_size, f.part_size, f.multipart_upload_id,
    app_hidden.file_prefix('incoming', f.org_id, f.id), f.expires_at <= now()
  from app_public.files as f
  where f.org_id = (select app_hidden.current_org_id()) and f.id = own_upload.file_id
    and f.owner_id = (select app_hidden.current_user_id());
end;
grant execute on function app_hidden.own_upload(uuid) to app_user;

-- Lets a row move forward only, and nothing else about it change. An upload that is
-- finalized too late has expired.
create function app_private.tg_files__move() returns trigger
language plpgsql volatile set search_path = ''
as $$
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
$$;

-- What follows from a change: the job that does it, and room for other files. Runs as
-- the owner: requests may not touch the queue, nor what an organization uses.
create function app_private.tg_files__follow() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

create trigger _100_touch before update on app_public.files
  for each row execute function app_private.tg__touch();
create trigger _200_move before update on app_public.files
  for each row execute function app_private.tg_files__move();
create trigger _900_follow_move after update of status on app_public.files
  for each row when (old.status is distinct from new.status)
  execute function app_private.tg_files__follow();
create trigger _900_follow_delete after delete on app_public.files
  for each row execute function app_private.tg_files__follow();

-- What was declared, for the attempt at finalizing it; nothing where there is nothing to do.
create function app_private.file_to_finalize(attempt app_private.attempt, file_id uuid)
returns table (
  content_type text, byte_size bigint, checksum_sha256 text,
  multipart_upload_id text, parts jsonb, incoming_key text, object_prefix text
)
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- The bytes are as declared: pins the object that holds them. False when the file is
-- no longer there.
create function app_private.accept_file(
  attempt app_private.attempt, file_id uuid,
  object_key text, object_version text, object_etag text, width integer, height integer
) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(accept_file.attempt);
  update app_public.files as f
  set status = 'READY', object_key = accept_file.object_key, object_version = accept_file.object_version,
    object_etag = accept_file.object_etag, width = accept_file.width, height = accept_file.height
  where f.org_id = (select app_hidden.current_org_id()) and f.id = accept_file.file_id and f.status = 'FINALIZING';
  return found;
end;
$$;

-- The bytes are not as declared, or not there.
create function app_private.reject_file(attempt app_private.attempt, file_id uuid, error text) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(reject_file.attempt);
  update app_public.files as f set status = 'REJECTED', error = reject_file.error
  where f.org_id = (select app_hidden.current_org_id()) and f.id = reject_file.file_id and f.status = 'FINALIZING';
  return found;
end;
$$;

-- Where objects of a file may lie, and which of them is still wanted: the pinned one,
-- and the incoming one while the file is on its way.
create function app_private.file_to_purge(attempt app_private.attempt, file_id uuid)
returns table (incoming_key text, object_prefix text, is_on_its_way boolean, object_key text)
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- By the clock, over all organizations: uploads that nobody finalized in time. Returns
-- how many.
create function app_private.expire_files(attempt app_private.attempt) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- By the clock: files on their way whose job is gone, because an operator dropped it.
create function app_private.resume_files(attempt app_private.attempt) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- By the clock: which of these objects no row wants. What is not a key of ours is left alone.
create function app_private.unneeded_objects(attempt app_private.attempt, keys text[]) returns setof text
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- By the clock: the next files whose objects are to be looked for, all organizations in turn.
create function app_private.next_ready_files(attempt app_private.attempt, how_many integer)
returns table (org_id text, id uuid, object_key text, object_version text, byte_size bigint)
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

grant execute on function
  app_private.file_to_finalize(app_private.attempt, uuid),
  app_private.accept_file(app_private.attempt, uuid, text, text, text, integer, integer),
  app_private.reject_file(app_private.attempt, uuid, text),
  app_private.file_to_purge(app_private.attempt, uuid),
  app_private.expire_files(app_private.attempt),
  app_private.resume_files(app_private.attempt),
  app_private.unneeded_objects(app_private.attempt, text[]),
  app_private.next_ready_files(app_private.attempt, integer)
to app_worker;

-- Whatever else is allowed: only rows of the caller's organization.
create policy all_same_org on app_public.files as restrictive for all to app_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));
-- Members read every file of the organization.
create policy select_member on app_public.files for select to app_user
  using (org_id = (select app_hidden.current_org_id()));
-- Owners say that the bytes are there. The trigger above lets a row move forward only, and
-- the columns that make it READY are granted to nobody.
create policy update_own on app_public.files for update to app_user
  using (owner_id = (select app_hidden.current_user_id()))
  with check (owner_id = (select app_hidden.current_user_id()));
-- Owners delete their own; managers delete all.
create policy delete_own on app_public.files for delete to app_user
  using (owner_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_files()));
-- The functions above run as the owner, for callers and for jobs, those by the clock among
-- them; each says which organization it means.
create policy select_ledger on app_public.files for select to current_user using (true);
create policy insert_ledger on app_public.files for insert to current_user
  with check (org_id = (select app_hidden.current_org_id()) and owner_id = (select app_hidden.current_user_id()));
create policy update_ledger on app_public.files for update to current_user using (true) with check (true);

-- No request reads or writes these two: the functions above do, as the owner, and operators.
create policy select_ledger on app_private.file_usage for select to current_user using (true);
create policy insert_ledger on app_private.file_usage for insert to current_user with check (true);
create policy update_ledger on app_private.file_usage for update to current_user using (true) with check (true);
create policy select_operator on app_private.upload_settings for select to current_user using (true);
create policy insert_operator on app_private.upload_settings for insert to current_user with check (true);
create policy update_operator on app_private.upload_settings for update to current_user using (true) with check (true);
create policy delete_operator on app_private.upload_settings for delete to current_user using (true);

-- No insert: app_hidden.create_file adds rows, within limits and quota. Of what a caller may
-- change, the trigger leaves the way into FINALIZING; the columns are in no input of the API.
grant select, delete on app_public.files to app_user;
grant update (status, multipart_upload_id, parts) on app_public.files to app_user;

comment on table app_public.files is 'A file of an organization. Once it is ready, it is byte for byte what was declared before the upload, for ever.';
comment on column app_public.files.org_id is 'The organization it belongs to.';
comment on column app_public.files.id is 'Sorts by time of creation.';
comment on column app_public.files.owner_id is 'The member who uploads it.';
comment on column app_public.files.document_id is 'The document it belongs to, if any.';
comment on column app_public.files.file_name is 'Its name on the owner''s side, 1 to 255 characters. To be shown, never to be used as a path.';
comment on column app_public.files.content_type is 'Media type, in small letters, such as `image/png`.';
comment on column app_public.files.byte_size is 'Size in bytes.';
comment on column app_public.files.checksum_sha256 is 'SHA-256 of its bytes, in base64.';
comment on column app_public.files.status is 'Where the upload stands.';
comment on column app_public.files.error is 'Why it was rejected or has expired: a code such as `UPLOAD_CHECKSUM_MISMATCH`; else null.';
comment on column app_public.files.width is 'Width in pixels, of an image that is ready.';
comment on column app_public.files.height is 'Height in pixels, of an image that is ready.';
comment on column app_public.files.part_size is 'Size in bytes of each part but the last, where it is uploaded in parts; else null.';
comment on column app_public.files.multipart_upload_id is 'The store''s name of the upload in parts; not shown.';
comment on column app_public.files.parts is 'The parts that were uploaded, with their entity tags; not shown.';
comment on column app_public.files.object_key is 'The object that holds the bytes; not shown.';
comment on column app_public.files.object_version is 'The version of the object, where the store keeps versions; not shown.';
comment on column app_public.files.object_etag is 'The entity tag of the object; not shown.';
comment on column app_public.files.expires_at is 'Until when it has to be uploaded and finalized.';
comment on column app_public.files.ready_at is 'Since when it is ready.';
comment on column app_public.files.created_at is 'When it was declared.';
comment on column app_public.files.updated_at is 'When its state last changed.';
comment on type app_public.file_status is 'Where an upload stands.';
comment on table app_private.file_usage is 'What the files of each organization take: those that are ready and those on their way.';
comment on column app_private.file_usage.org_id is 'The organization.';
comment on column app_private.file_usage.files is 'How many.';
comment on column app_private.file_usage.bytes is 'How many bytes.';
comment on table app_private.upload_settings is 'Limits of single organizations; null where the settings of the API hold.';
comment on column app_private.upload_settings.org_id is 'The organization.';
comment on column app_private.upload_settings.allowed_types is 'Media types it may upload, such as `image/*`.';
comment on column app_private.upload_settings.max_bytes is 'The largest file it may upload, in bytes.';
comment on column app_private.upload_settings.quota_bytes is 'How many bytes its files may take together.';
comment on column app_private.upload_settings.quota_files is 'How many files it may have.';
comment on table app_private.file_patrol is 'How far the reconciliation has come, in one row.';
comment on column app_private.file_patrol.is_only is 'True: there is one row.';
comment on column app_private.file_patrol.reached_org is 'The organization of the last file it looked at.';
comment on column app_private.file_patrol.reached_id is 'The last file it looked at.';
comment on function app_hidden.can_manage_files() is 'Whether the caller may delete files of others: administrators, and holders of `org:files:manage`.';
comment on function app_hidden.create_file(text, text, bigint, text, uuid, jsonb) is 'Declares an upload, within the limits and the quota.';
comment on function app_hidden.finalize_file(uuid) is 'Says that the bytes of a file are there; null where the caller owns none such.';
comment on function app_hidden.complete_multipart(uuid, jsonb) is 'Says that the parts of a file are there; null where the caller owns none such.';
comment on function app_hidden.abort_upload(uuid) is 'Gives up an upload; null where the caller owns none such.';
comment on function app_hidden.own_upload(uuid) is 'An upload of the caller, for signing parts of it.';
comment on function app_private.is_type_allowed(text, text[]) is 'Whether a media type fits a list.';
comment on function app_hidden.file_prefix(text, text, uuid) is 'Where objects of a file lie, in `incoming` or in `files`.';
comment on function app_private.tg_files__move() is 'Trigger: rows move forward, and what was declared stays.';
comment on function app_private.tg_files__follow() is 'Trigger: has the worker do what follows from a change, and keeps count of what is used.';
comment on function app_private.file_to_finalize(app_private.attempt, uuid) is 'What was declared of a file; the job files__finalize.';
comment on function app_private.accept_file(app_private.attempt, uuid, text, text, text, integer, integer) is 'A file is ready; the job files__finalize.';
comment on function app_private.reject_file(app_private.attempt, uuid, text) is 'A file is not as declared; the job files__finalize.';
comment on function app_private.file_to_purge(app_private.attempt, uuid) is 'Which objects of a file are wanted; the job files__purge.';
comment on function app_private.expire_files(app_private.attempt) is 'Ends uploads that nobody finalized in time; the job files__expire.';
comment on function app_private.resume_files(app_private.attempt) is 'Adds the jobs of files that have lost theirs; the job files__reconcile.';
comment on function app_private.unneeded_objects(app_private.attempt, text[]) is 'Which objects no row wants; the job files__reconcile.';
comment on function app_private.next_ready_files(app_private.attempt, integer) is 'Files whose objects are to be looked for; the job files__reconcile.';
