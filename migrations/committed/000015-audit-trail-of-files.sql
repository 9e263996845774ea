--! Previous: sha1:a3f59c80ca279a8ac3e309242ea5824d1e56d359
--! Hash: sha1:00f760eaccfd307177d0becfdb5cfff649c09843
--! Message: audit trail of files

-- The audit trail of files: who declared, finalized, gave up and deleted which, and what
-- the worker made of it.
--
-- Names are personal. The hash is left to be guessed from where the bytes are short, so it
-- is treated alike. Where the bytes lie is nobody's business but the worker's.
select app_private.audit('app_public.files',
  personal => array['file_name', 'checksum_sha256'],
  ignored => array['updated_at', 'multipart_upload_id', 'parts', 'object_key', 'object_version', 'object_etag']);
