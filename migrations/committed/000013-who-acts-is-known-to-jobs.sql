--! Previous: sha1:f60aebf9c7c1e7c1dfb672a042df1a46da0753f0
--! Hash: sha1:0dde56e9aaf6c4785ff0ac73299624947fcfe153
--! Message: who acts is known to jobs

-- Who acts in a user's place is known to the jobs they ask for.
--
-- A job says for whom it runs: organization, user, request. It did not say who acted in
-- the user's place, so what it did was in the audit trail as if the user alone had asked;
-- nor the trace of the request, where that came without a header traceparent.

-- Puts what a job says of who asked for it into the settings. Whoever calls it has made
-- sure that the job is this worker's.
create or replace function app_private.enter_job(payload json) returns void
language plpgsql volatile set search_path = ''
as $$
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
$$;

-- As before, but for who acts and the trace.
create or replace function app_private.enter_organization(attempt app_private.attempt) returns void
language plpgsql volatile set search_path = ''
as $$
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
$$;

-- The same, and asks the queue once instead of twice.
create or replace function app_private.enter_attempt(attempt app_private.attempt) returns void
language plpgsql volatile set search_path = ''
as $$
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
$$;

create or replace function app_private.enqueue(
  task text,
  row_id uuid,
  payload jsonb default '{}',
  job_key text default null,
  run_at timestamptz default null,
  max_attempts integer default null,
  queue_name text default null,
  org_id text default app_hidden.current_org_id()
) returns bigint
language plpgsql volatile set search_path = '' set enable_seqscan = off
as $$
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
$$;

comment on function app_private.enter_job(json) is 'Puts what a job says of who asked for it into the settings.';
