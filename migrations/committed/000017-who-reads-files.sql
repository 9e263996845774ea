--! Previous: sha1:b94a8a2e22abf97a4cc1808abf527ba8ccabdda6
--! Hash: sha1:18ea1f4d060e3ddf9239e0e27abcd7402e8c86f0
--! Message: who reads files

-- Who reads files: their owners, and managers of files; and where a file belongs to a
-- document, whoever reads the document. Before, members read every file of the
-- organization, those of documents they may not read among them. And a file may be given to
-- a document only by who may change it.

drop policy if exists select_member on app_public.files;
drop policy if exists select_own on app_public.files;
-- Owners read their own, managers all, and readers of a document what belongs to it. The
-- documents are those that the caller sees: their policies hold in here too.
create policy select_own on app_public.files for select to app_user
  using (
    owner_id = (select app_hidden.current_user_id())
    or (select app_hidden.can_manage_files())
    -- One lookup for each row; `exists` may be planned as a hash of all documents.
    or document_id = (
      select d.id from app_public.documents as d
      where d.org_id = files.org_id and d.id = files.document_id
    )
  );

-- As before, but for the document.
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
    raise exception 'The file is too large.' using errcode = 'RW413', hint = 'byteSize';
  end if;
  if not app_private.is_type_allowed(wanted_type, coalesce(
    own.allowed_types, array(select pg_catalog.jsonb_array_elements_text(limits -> 'allowedTypes'))
  )) then
    raise exception 'Files of this type are not allowed.' using errcode = 'RW415', hint = 'contentType';
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

comment on function app_hidden.can_manage_files() is 'Whether the caller may read and delete files of others: administrators, and holders of `org:files:manage`.';
