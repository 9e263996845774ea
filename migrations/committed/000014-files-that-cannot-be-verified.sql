--! Previous: sha1:0dde56e9aaf6c4785ff0ac73299624947fcfe153
--! Hash: sha1:a3f59c80ca279a8ac3e309242ea5824d1e56d359
--! Message: files that cannot be verified

-- Files that cannot be verified: each ends, ready or rejected with a reason.
--
-- While the store or the virus scanner was away, the job of a file used up its attempts,
-- and the file stayed FINALIZING until an operator came. Now such jobs run again each hour,
-- once the store is there, as often as it takes; and what could not be verified in two days
-- is rejected, whatever stood in the way. Its bytes go by then: the bucket keeps what came
-- in for three days.

-- By the clock, over all organizations: uploads that nobody finalized in time, and those
-- that could not be verified in time. Returns how many ended.
create or replace function app_private.expire_files(attempt app_private.attempt) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- By the clock, once the store has answered: files that have been on their way for an hour
-- and whose job is gone, because an operator dropped it, or waits or has failed for good
-- because something outside was away. What failed for another reason stays as it is: a dead
-- letter, for operators.
create or replace function app_private.resume_files(attempt app_private.attempt) returns integer
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
as $$
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
$$;

comment on function app_private.expire_files(app_private.attempt) is 'Ends uploads that nobody finalized in time, and those that could not be verified; the job files__expire.';
comment on function app_private.resume_files(app_private.attempt) is 'Has the worker go on with files whose job is gone, or failed because something was away; the job files__reconcile.';
