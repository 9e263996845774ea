--! Previous: sha1:9f7977e666a047ee01bcd0e9912768ad4001a23c
--! Hash: sha1:c3bc42c0eb10d2bbe6571a5a78804fa96104a354
--! Message: audit trail of files

-- The audit trail of files: who declared, finalized, gave up and deleted which, and what
-- the worker made of it.
--
-- Names are personal. The hash is left to be guessed from where the bytes are short, so it
-- is treated alike. Where the bytes lie is nobody's business but the worker's.
select app_private.audit('app_public.files',
  personal => array['file_name', 'checksum_sha256'],
  ignored => array['updated_at', 'multipart_upload_id', 'parts', 'object_key', 'object_version', 'object_etag']);
