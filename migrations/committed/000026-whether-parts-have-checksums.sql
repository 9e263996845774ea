--! Previous: sha1:5ac24a0de48011ba0fe5786aa37bc88f5ac3143a
--! Hash: sha1:0699ffef633b43d880b0869da852f6215c04bf1a
--! Message: whether parts have checksums

-- Whether the parts of an upload come with checksums, beside the store's name of the upload: what
-- the first request for parts does holds for all, at the store. With it the API can say so, where
-- else the store would refuse the part.
--
-- Written together with that name, by the owner's request; read by it alone, and shown to nobody.

alter table app_public.files add column if not exists has_part_checksums boolean;

-- As before: it is of no use to who looks for what was done.
select app_private.audit('app_public.files',
  personal => array['file_name', 'checksum_sha256'],
  ignored => array['updated_at', 'multipart_upload_id', 'has_part_checksums', 'parts', 'object_key', 'object_version',
    'object_etag']);

grant update (has_part_checksums) on app_public.files to app_user;

comment on column app_public.files.has_part_checksums is 'Whether its parts come with checksums, once the upload in parts is begun; not shown.';
