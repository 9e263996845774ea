--! Previous: sha1:e53dc839be21798b283dd5d8d40a9517ed1da49c
--! Hash: sha1:e5ebed08c6e74f6fcc7defe11e5d44bf650adb1f
--! Message: sweeping of uploads

-- Sweeping of uploads: what a process that was killed has left at the store, all of it, and
-- from where an earlier run was cut short.
--
-- An upload in parts that was begun at the store by an API that did not live to write its name
-- down is known to no row. The sweep now lists these too. It keeps its place, so that it does
-- not begin again each time it is cut short; and it looks twice before it calls a file lost, as
-- its owner may have deleted it meanwhile.

drop function if exists app_private.parse_file_key(text);
drop function if exists app_private.unneeded_uploads(app_private.attempt, text[], text[]);
drop function if exists app_private.is_file_ready(app_private.attempt, text, uuid, text);
drop function if exists app_private.swept_to(app_private.attempt, text);

alter table app_private.file_patrol add column if not exists swept_key text not null default '';

-- As before, but two that ask at once get the same answer: the second statement sees what the
-- other request has written, for which the first one waited.
create or replace function app_hidden.complete_multipart(file_id uuid, parts jsonb) returns boolean
language sql volatile
begin atomic
  update app_public.files as f set status = 'FINALIZING', parts = complete_multipart.parts
  where f.org_id = (select app_hidden.current_org_id()) and f.id = complete_multipart.file_id
    and f.owner_id = (select app_hidden.current_user_id()) and f.status = 'PENDING'
    and f.multipart_upload_id is not null;
  select f.part_size is not null and f.status <> 'PENDING'
  from app_public.files as f
  where f.org_id = (select app_hidden.current_org_id()) and f.id = complete_multipart.file_id
    and f.owner_id = (select app_hidden.current_user_id());
end;

-- Which file an object is of, and whether it lies where its owner or where the worker writes;
-- nothing for what is not a key of ours.
create function app_private.parse_file_key(key text) returns table (area text, org_id text, id uuid)
language sql immutable parallel safe rows 1
begin atomic
  select m.found[1],
    case when m.found[2] like '~%' then convert_from(decode(substr(m.found[2], 2), 'hex'), 'UTF8')
      else m.found[2] end,
    m.found[3]::uuid
  from regexp_match(parse_file_key.key,
    '^(incoming|files)/([A-Za-z0-9_-]+|~(?:[2-7][0-9a-f])+)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/[^/]+)?$'
  ) as m (found)
  where m.found is not null;
end;

-- As before.
create or replace function app_private.unneeded_objects(attempt app_private.attempt, keys text[]) returns setof text
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- By the clock: which of these uploads in parts nobody will complete. A file that is still to
-- be uploaded may have one whose name is about to be written down: it stays until the file has
-- that of another, or has ended.
create function app_private.unneeded_uploads(attempt app_private.attempt, keys text[], upload_ids text[])
returns table (key text, upload_id text)
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- By the clock: whether a file is ready still, and its bytes lie under that key.
create function app_private.is_file_ready(attempt app_private.attempt, org_id text, file_id uuid, object_key text)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(is_file_ready.attempt);
  return exists (
    select from app_public.files as f
    where f.org_id = is_file_ready.org_id and f.id = is_file_ready.file_id
      and f.object_key = is_file_ready.object_key
  );
end;
$$;

-- By the clock: how far the sweep of objects has come, after it has come as far as it says;
-- '' before the first object.
create function app_private.swept_to(attempt app_private.attempt, key text default null) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  reached text;
begin
  perform app_private.enter_attempt(swept_to.attempt);
  update app_private.file_patrol as p set swept_key = coalesce(swept_to.key, p.swept_key)
  returning p.swept_key into reached;
  return reached;
end;
$$;

grant execute on function
  app_private.unneeded_uploads(app_private.attempt, text[], text[]),
  app_private.is_file_ready(app_private.attempt, text, uuid, text),
  app_private.swept_to(app_private.attempt, text)
to app_worker;

comment on column app_private.file_patrol.swept_key is 'The last object that the sweep has looked at; empty before the first.';
comment on function app_private.parse_file_key(text) is 'Which file an object is of, by its key.';
comment on function app_private.unneeded_uploads(app_private.attempt, text[], text[]) is 'Which uploads in parts nobody will complete; the job files__reconcile.';
comment on function app_private.is_file_ready(app_private.attempt, text, uuid, text) is 'Whether a file is ready still; the job files__reconcile.';
comment on function app_private.swept_to(app_private.attempt, text) is 'How far the sweep of objects has come; the job files__reconcile.';
