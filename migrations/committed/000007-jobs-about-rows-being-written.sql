--! Previous: sha1:bd56d3ccedb367c75105960d1698d0d6c135dbb8
--! Hash: sha1:42f3e42cd314d1e2db8cb66ae6e7c1fc98f9bbee
--! Message: jobs about rows being written

-- Jobs about a row that is being written: what two transactions at once got wrong,
-- and what enqueue let through.
--
-- A job could be lost: added in the moment in which a worker took the one about the
-- same row, it was neither put in its place nor added. And a write to a document and
-- the end of its job locked document and job in opposite orders, so that each waited
-- for the other until Postgres ended one of them.

-- As before, but for its checks and the loop.
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
        'requestId', app_hidden.current_request_id(),
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

-- Puts the claims of the job of an attempt into the settings; holds nothing. For a row
-- whose writes add jobs: they lock the row and then the job, and so must the job's end.
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
  perform
    pg_catalog.set_config('jwt.org_id', coalesce(job.payload ->> 'orgId', ''), true),
    pg_catalog.set_config('jwt.user_id', coalesce(job.payload ->> 'userId', ''), true),
    pg_catalog.set_config('jwt.org_role', '', true),
    pg_catalog.set_config('jwt.permissions', '', true),
    pg_catalog.set_config('app.request_id', coalesce(job.payload ->> 'requestId', ''), true),
    pg_catalog.set_config('app.traceparent', coalesce(job.payload ->> 'traceparent', ''), true);
end;
$$;

create or replace function app_private.enter_attempt(attempt app_private.attempt) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  perform from graphile_worker._private_jobs as j
  where j.id = (enter_attempt.attempt).job_id
    and j.revision = (enter_attempt.attempt).revision
    and j.attempts = (enter_attempt.attempt).number
    and j.locked_by = nullif(pg_catalog.current_setting('app.worker_id', true), '')
  for no key update;
  if not found then
    raise exception 'This attempt is over.' using errcode = 'RW409', constraint = 'attempt_is_held';
  end if;
  perform app_private.enter_organization(enter_attempt.attempt);
end;
$$;

create or replace function app_private.index_document(attempt app_private.attempt, document_id uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
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
$$;

-- How many jobs were added, for metrics: whichever worker asks first is told, so that
-- the numbers of all workers add up. The queue numbers each job that is added, also
-- one that replaces another and one whose transaction rolls back.
alter table app_private.queue_turn add column if not exists counted_to bigint;
comment on table app_private.queue_turn is 'What the queue has reached, in one row.';
comment on column app_private.queue_turn.counted_to is 'The number of the last job that a worker has counted as added.';

create or replace function app_private.count_added() returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  latest bigint := coalesce(pg_catalog.pg_sequence_last_value(
    pg_catalog.pg_get_serial_sequence('graphile_worker._private_jobs', 'id')::pg_catalog.regclass), 0);
  before bigint;
begin
  select q.counted_to into before from app_private.queue_turn as q for update;
  update app_private.queue_turn as q set counted_to = latest where q.counted_to is distinct from latest;
  return greatest(0, latest - coalesce(before, latest));
end;
$$;
grant execute on function app_private.count_added() to app_worker;

comment on function app_private.enter_organization(app_private.attempt) is 'Enters the organization of an attempt that this worker holds, and holds nothing; RW409 of the constraint attempt_is_held when it is over.';
comment on function app_private.count_added() is 'How many jobs were added since a worker last asked.';
