--! Previous: sha1:53d3f895c9c2f6b27144f4a995ee191c14cf8109
--! Hash: sha1:03427e1d209eede711d1bc2112f68f7fd1634821
--! Message: jobs

-- Jobs: who works on them, how they are added, and how an attempt at one ends.
--
-- graphile-worker keeps the queue. What it lacks is here: a heartbeat per worker
-- process, so that the jobs of one that is gone are returned within seconds; an
-- attempt that only its holder can end; turns, so that one organization's flood
-- does not keep the others waiting. Only Postgres's clock counts.
--
-- The worker's login gets functions, no table. Those that touch a tenant's rows
-- take the attempt they work for and enter its organization themselves.

drop function if exists app_private.index_document(app_private.attempt, uuid);
drop function if exists app_private.purge_queue(app_private.attempt);
drop function if exists app_private.fail_attempt(app_private.attempt, text, text, boolean);
drop function if exists app_private.complete_attempt(app_private.attempt);
drop function if exists app_private.enter_attempt(app_private.attempt);
drop type if exists app_private.attempt;
drop function if exists app_private.drop_jobs(bigint[]);
drop function if exists app_private.retry_jobs(bigint[]);
drop function if exists app_private.enqueue(text, uuid, jsonb, text, timestamptz, integer, text, text);
drop function if exists app_private.next_turn(text);
drop function if exists app_private.sweep(text, interval);
drop function if exists app_private.advance_turn();
drop function if exists app_private.beat(text, bigint[], interval);
drop function if exists app_private.end_worker(text);
drop function if exists app_private.return_jobs(text[], bigint[], interval);
drop function if exists app_private.register_worker(text, text, text);
drop table if exists app_private.workers;
drop table if exists app_private.queue_turn;

-- One row per runner of a worker process, under the name by which it locks jobs.
-- One that ends in order takes its row along; one declared dead is fenced off and
-- comes back under a new name.
create table app_private.workers (
  id text not null,
  host text not null,
  version text not null,
  started_at timestamptz not null default now(),
  beat_at timestamptz not null default now(),
  late_at timestamptz,
  dead_at timestamptz,
  constraint workers_pkey primary key (id),
  constraint workers_id_check check (length(id) between 1 and 100)
);
-- Each worker changes its row every few seconds.
alter table app_private.workers set (fillfactor = 50);

comment on table app_private.workers is 'Worker processes and their heartbeats.';
comment on column app_private.workers.id is 'The name under which it locks jobs.';
comment on column app_private.workers.host is 'The machine or container it runs on.';
comment on column app_private.workers.version is 'The version of the program.';
comment on column app_private.workers.started_at is 'When it registered, before it took its first job.';
comment on column app_private.workers.beat_at is 'Its last heartbeat.';
comment on column app_private.workers.late_at is 'When it last came back after a gap as long as a death: for a while it judges no other.';
comment on column app_private.workers.dead_at is 'When it was declared dead; it takes and ends no job any more.';

create function app_private.register_worker(worker_id text, host text, version text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into app_private.workers (id, host, version)
  values (register_worker.worker_id, pg_catalog.left(register_worker.host, 255), pg_catalog.left(register_worker.version, 100));
end;
$$;

-- Returns jobs to the queue that these workers hold: all that were locked longer
-- ago than `older_than`, but for the ids in `held`. From the third attempt on with
-- a growing pause, because a job that kills its process would otherwise take one
-- worker after the other. A row that a transaction has locked right now is left
-- for the next time: that transaction may be ending it.
create function app_private.return_jobs(worker_ids text[], held bigint[], older_than interval) returns integer
language plpgsql volatile set search_path = '' set enable_seqscan = off
as $$
declare
  returned integer;
begin
  with lost as (
    select j.id, j.job_queue_id, j.locked_by
    from graphile_worker._private_jobs as j
    where j.locked_by = any (return_jobs.worker_ids)
      and j.locked_at <= pg_catalog.now() - return_jobs.older_than
      and j.id <> all (return_jobs.held)
    for update skip locked
  ), queues as (
    update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
    from lost where q.id = lost.job_queue_id and q.locked_by = lost.locked_by
  ), jobs as (
    update graphile_worker._private_jobs as j
    set locked_by = null, locked_at = null, last_error = 'INTERRUPTED: The worker ended in the middle of it.',
      run_at = case when j.attempts < 3 then j.run_at
        else pg_catalog.now() + pg_catalog.power(2, least(j.attempts, 10) - 2) * interval '1 second' end
    from lost where j.id = lost.id
  )
  select pg_catalog.count(*) into returned from lost;
  if returned > 0 then
    perform pg_catalog.pg_notify('jobs:insert', pg_catalog.json_build_object('r', pg_catalog.random(), 'count', returned)::text);
  end if;
  return returned;
end;
$$;

-- A worker says that it lives, and which jobs it is at. False when it was declared
-- dead. A job locked for it of which it never heard (the connection broke while the
-- answer was on its way) goes back to the queue.
create function app_private.beat(worker_id text, held bigint[], dead_after interval) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update app_private.workers as w
  set beat_at = pg_catalog.now(),
    late_at = case when w.beat_at < pg_catalog.now() - beat.dead_after then pg_catalog.now() else w.late_at end
  where w.id = beat.worker_id and w.dead_at is null;
  if not found then
    return false;
  end if;
  perform app_private.return_jobs(array[beat.worker_id], beat.held, beat.dead_after);
  return true;
end;
$$;

-- A worker that ends in order: what it did not finish is for the others.
create function app_private.end_worker(worker_id text) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  delete from app_private.workers as w where w.id = end_worker.worker_id;
  return app_private.return_jobs(array[end_worker.worker_id], '{}', '0');
end;
$$;

-- Turns: each waiting job of an organization has a later one than the one before,
-- and the worker serves low turns first, so organizations with jobs waiting are
-- served in turns, however many jobs each has. A turn is graphile-worker's
-- priority. This row holds the lowest turn that waits, where newcomers join.
create table app_private.queue_turn (
  is_only boolean not null default true,
  -- As wide as graphile-worker's priority.
  -- squawk-ignore prefer-bigint-over-smallint
  turn smallint not null default 0,
  constraint queue_turn_pkey primary key (is_only),
  constraint queue_turn_is_only_check check (is_only)
);
insert into app_private.queue_turn default values;

comment on table app_private.queue_turn is 'The turn that the queue has reached, in one row.';
comment on column app_private.queue_turn.is_only is 'True: there is one row.';
comment on column app_private.queue_turn.turn is 'The lowest turn of the jobs that are due, as the last sweep saw it.';

-- The turn of the next job of an organization; one step into an index, without a
-- lock. The last turn, 32 767, is shared: jobs so far back are in the order of their
-- arrival, until their turns are given anew.
--
-- A session keeps its plans, and one made while the queue was empty would read all of
-- it ever after. Hence `enable_seqscan = off`, here and wherever the queue is searched.
create function app_private.next_turn(org_id text) returns smallint
language plpgsql stable set search_path = '' set enable_seqscan = off set enable_sort = off
as $$
begin
  return least(32767, greatest(
    (select q.turn from app_private.queue_turn as q),
    (
      -- The greatest entry of the index that is not after this organization's last.
      select case when latest.org_id = next_turn.org_id then latest.priority + 1 end
      from (
        select j.payload ->> 'orgId' as org_id, j.priority
        from graphile_worker._private_jobs as j
        where j.is_available and (j.payload ->> 'orgId', j.priority) <= (next_turn.org_id, 32767::smallint)
        order by j.payload ->> 'orgId' desc, j.priority desc limit 1
      ) as latest
    )
  ));
end;
$$;

-- Notes the turn that the queue has reached. Before turns run out, the next ones
-- to be served are numbered from 0 again, in the order they have.
create function app_private.advance_turn() returns void
language plpgsql volatile set search_path = ''
as $$
declare
  reached smallint := coalesce((
    select j.priority from graphile_worker._private_jobs as j
    where j.is_available and j.run_at <= pg_catalog.now()
    order by j.priority, j.run_at limit 1
  ), 0);
begin
  if reached > 16000 then
    with soonest as (
      select j.id, j.payload ->> 'orgId' as org_id, j.priority, j.run_at
      from graphile_worker._private_jobs as j
      where j.is_available
      order by j.priority, j.run_at limit 10000
      for update skip locked
    ), numbered as (
      select s.id, pg_catalog.row_number() over (partition by s.org_id order by s.priority, s.run_at, s.id) - 1 as turn
      from soonest as s
    )
    update graphile_worker._private_jobs as j set priority = numbered.turn
    from numbered where j.id = numbered.id;
    reached := 0;
  end if;
  update app_private.queue_turn as q set turn = reached where q.turn <> reached;
end;
$$;

-- Returns the jobs of workers that are gone, and of any that no heartbeat ever
-- knew. Every worker calls it again and again; one at a time does it.
--
-- Nobody is dead yet right after Postgres started, when all heartbeats are old;
-- and whoever was away for as long as a death itself judges nobody for a while.
create function app_private.sweep(worker_id text, dead_after interval, out workers integer, out jobs integer)
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
as $$
declare
  gone text[];
begin
  workers := 0;
  jobs := 0;
  if not pg_catalog.pg_try_advisory_xact_lock(7218930017263046) then
    return;
  end if;
  perform app_private.advance_turn();
  if pg_catalog.pg_postmaster_start_time() > pg_catalog.now() - sweep.dead_after
    or exists (
      select from app_private.workers as w
      where w.id = sweep.worker_id and w.late_at > pg_catalog.now() - sweep.dead_after
    )
  then
    return;
  end if;

  update app_private.workers as w set dead_at = pg_catalog.now()
  where w.dead_at is null and w.beat_at < pg_catalog.now() - sweep.dead_after and w.id <> sweep.worker_id;
  get diagnostics workers = row_count;
  gone := array(
    select distinct j.locked_by from graphile_worker._private_jobs as j
    where j.locked_by is not null
      and not exists (select from app_private.workers as w where w.id = j.locked_by and w.dead_at is null)
      and (j.locked_at < pg_catalog.now() - sweep.dead_after
        or exists (select from app_private.workers as w where w.id = j.locked_by))
  );
  jobs := app_private.return_jobs(gone, '{}', '0');
  update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
  where q.locked_at < pg_catalog.now() - sweep.dead_after
    and not exists (select from app_private.workers as w where w.id = q.locked_by and w.dead_at is null)
    and not exists (
      select from graphile_worker._private_jobs as j
      where j.job_queue_id = q.id and j.locked_by = q.locked_by
    );
end;
$$;

grant execute on function
  app_private.register_worker(text, text, text),
  app_private.beat(text, bigint[], interval),
  app_private.end_worker(text),
  app_private.sweep(text, interval)
to app_worker;

-- Adds a job about a row, in the transaction that needs it: both are there, or
-- neither is. For triggers and functions of the owner. User, request and trace are
-- the caller's, and so is the organization, unless a trigger says the row's. One job
-- per task and row waits at most, unless another key says otherwise; a job that runs
-- already is followed by a new one.
create function app_private.enqueue(
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
  job record;
begin
  if enqueue.org_id is null then
    raise exception 'A job needs an organization.' using errcode = 'RW403';
  end if;
  select * into job from graphile_worker.add_job(
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
  );
  return job.id;
end;
$$;

-- One attempt at a job, as its holder names it. Later attempts compare greater,
-- also where a job was replaced by another about the same row.
create type app_private.attempt as (job_id bigint, revision integer, number smallint);
grant usage on type app_private.attempt to app_worker;

-- Makes sure that an attempt is still this worker's, holds it until the end of the
-- transaction, and puts the claims of the job into the settings. Every function
-- granted to the worker that touches a tenant's rows calls it first.
create function app_private.enter_attempt(attempt app_private.attempt) returns void
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
  perform
    pg_catalog.set_config('jwt.org_id', coalesce(job.payload ->> 'orgId', ''), true),
    pg_catalog.set_config('jwt.user_id', coalesce(job.payload ->> 'userId', ''), true),
    pg_catalog.set_config('jwt.org_role', '', true),
    pg_catalog.set_config('jwt.permissions', '', true),
    pg_catalog.set_config('app.request_id', coalesce(job.payload ->> 'requestId', ''), true),
    pg_catalog.set_config('app.traceparent', coalesce(job.payload ->> 'traceparent', ''), true);
end;
$$;

-- Ends a job in the transaction that wrote its effect: both are there, or neither is.
create function app_private.complete_attempt(attempt app_private.attempt) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(complete_attempt.attempt);
  with done as (
    delete from graphile_worker._private_jobs as j where j.id = (complete_attempt.attempt).job_id
    returning j.job_queue_id, j.locked_by
  )
  update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
  from done where q.id = done.job_queue_id and q.locked_by = done.locked_by;
end;
$$;

-- Ends an attempt that failed: tried again after a growing pause, unless it was the
-- last or `is_final`. The code is one of the API's; the message is for operators.
create function app_private.fail_attempt(attempt app_private.attempt, error_code text, message text, is_final boolean) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(fail_attempt.attempt);
  with failed as (
    select j.id, j.job_queue_id, j.locked_by from graphile_worker._private_jobs as j
    where j.id = (fail_attempt.attempt).job_id
  ), jobs as (
    update graphile_worker._private_jobs as j
    set locked_by = null, locked_at = null, updated_at = pg_catalog.now(),
      last_error = pg_catalog.concat(fail_attempt.error_code, ': ', pg_catalog.left(fail_attempt.message, 2000)),
      run_at = pg_catalog.now() + pg_catalog.exp(least(j.attempts, 10)) * interval '1 second',
      -- So that an organization whose jobs all fail takes turns as well.
      priority = greatest(j.priority, app_private.next_turn(j.payload ->> 'orgId')),
      max_attempts = case when fail_attempt.is_final then j.attempts else j.max_attempts end
    from failed where j.id = failed.id
  )
  update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
  from failed where q.id = failed.job_queue_id and q.locked_by = failed.locked_by;
end;
$$;

-- Bookkeeping that nobody needs any more; the job queue__purge.
create function app_private.purge_queue(attempt app_private.attempt) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(purge_queue.attempt);
  delete from app_private.workers as w
  where w.dead_at < pg_catalog.now() - interval '1 day'
    and not exists (select from graphile_worker._private_jobs as j where j.locked_by = w.id);
  delete from graphile_worker._private_job_queues as q
  where q.locked_at is null
    and not exists (select from graphile_worker._private_jobs as j where j.job_queue_id = q.id);
end;
$$;

grant execute on function
  app_private.complete_attempt(app_private.attempt),
  app_private.fail_attempt(app_private.attempt, text, text, boolean),
  app_private.purge_queue(app_private.attempt)
to app_worker;

-- For operators, through `npm run jobs`: jobs that failed for good run again, under
-- the id and the key they have. A new revision sets the new attempts apart.
create function app_private.retry_jobs(job_ids bigint[]) returns setof bigint
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return query
    update graphile_worker._private_jobs as j
    set attempts = 0, revision = j.revision + 1, run_at = pg_catalog.now(), last_error = null,
      max_attempts = greatest(j.max_attempts, 25), updated_at = pg_catalog.now(),
      priority = app_private.next_turn(j.payload ->> 'orgId')
    where j.id = any (retry_jobs.job_ids) and j.locked_at is null and j.attempts >= j.max_attempts
    returning j.id;
  perform pg_catalog.pg_notify('jobs:insert', pg_catalog.json_build_object(
    'r', pg_catalog.random(), 'count', pg_catalog.cardinality(retry_jobs.job_ids))::text);
end;
$$;

create function app_private.drop_jobs(job_ids bigint[]) returns setof bigint
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return query
    delete from graphile_worker._private_jobs as j
    where j.id = any (drop_jobs.job_ids) and j.locked_at is null and j.attempts >= j.max_attempts
    returning j.id;
end;
$$;

grant execute on function app_private.retry_jobs(bigint[]), app_private.drop_jobs(bigint[]) to app_worker;

-- On the queue itself; npm run migrate puts these triggers there (db/queue.sql).

-- The worker's login may neither give a job to an organization nor take it from one,
-- nor make another task of it.
create or replace function app_private.tg_jobs__guard() returns trigger
language plpgsql volatile set search_path = ''
as $$
begin
  if (old.payload::text <> new.payload::text or old.task_id <> new.task_id)
    and (old.payload ->> 'orgId' is not null or new.payload ->> 'orgId' is not null)
    and pg_catalog.row_security_active('graphile_worker._private_jobs')
  then
    raise exception 'The payload of a job stays as it is.' using errcode = 'RW403';
  end if;
  return new;
end;
$$;

-- A job that runs while another about the same row is added loses its key and is not
-- tried again: the other will do. graphile-worker says so by raising its attempts,
-- which number the attempt that runs; lowering the limit says the same.
create or replace function app_private.tg_jobs__supersede() returns trigger
language plpgsql volatile set search_path = ''
as $$
begin
  new.flags := coalesce(new.flags, '{}') || '{"superseded": true}';
  if new.locked_at is not null then
    new.attempts := old.attempts;
    new.max_attempts := greatest(old.attempts, 1);
  end if;
  return new;
end;
$$;

comment on function app_private.tg_jobs__guard() is 'Trigger: the worker leaves payload and task of an organization''s job alone.';
comment on function app_private.tg_jobs__supersede() is 'Trigger: marks a job that another about the same row has replaced.';

-- Completes the search vector of a long document, for the attempt at a job of its
-- organization. True when the document was still there.
drop function if exists app_private.index_document(uuid);
create function app_private.index_document(attempt app_private.attempt, document_id uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(index_document.attempt);
  update app_public.documents as d
  set search = app_hidden.document_search(d.title, d.body)
  where d.org_id = (select app_hidden.current_org_id()) and d.id = index_document.document_id;
  return found;
end;
$$;
grant execute on function app_private.index_document(app_private.attempt, uuid) to app_worker;

create or replace function app_private.tg_documents__enqueue_index() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enqueue('documents__index', new.id, org_id => new.org_id);
  return null;
end;
$$;

-- Jobs that wait from before get what the new ones have. The database on which a
-- migration is tried first has no queue.
do $$
begin
  if pg_catalog.to_regclass('graphile_worker._private_jobs') is null then
    return;
  end if;
  update graphile_worker._private_jobs as j
  set payload = (j.payload::jsonb - 'documentId'
      || pg_catalog.jsonb_build_object('rowId', j.payload ->> 'documentId', 'traceparent', null))::json,
    flags = pg_catalog.jsonb_build_object('org:' || (j.payload ->> 'orgId'), true)
  where j.payload ->> 'documentId' is not null and j.payload ->> 'orgId' is not null
    and j.task_id = (select t.id from graphile_worker._private_tasks as t where t.identifier = 'documents__index');
end
$$;

comment on type app_private.attempt is 'One attempt at a job: job, revision, number. A later one compares greater.';
comment on function app_private.register_worker(text, text, text) is 'A worker says that it is there, before it takes jobs.';
comment on function app_private.return_jobs(text[], bigint[], interval) is 'Returns jobs to the queue that these workers hold.';
comment on function app_private.beat(text, bigint[], interval) is 'A worker says that it lives and which jobs it is at; false when it was declared dead.';
comment on function app_private.end_worker(text) is 'A worker says that it ends; what it holds is returned.';
comment on function app_private.next_turn(text) is 'The turn of the next job of an organization.';
comment on function app_private.advance_turn() is 'Notes the turn that the queue has reached.';
comment on function app_private.sweep(text, interval) is 'Declares workers dead that have not beaten for so long, and returns their jobs.';
comment on function app_private.enqueue(text, uuid, jsonb, text, timestamptz, integer, text, text) is 'Adds a job about a row of the caller''s organization; returns its id.';
comment on function app_private.enter_attempt(app_private.attempt) is 'Holds an attempt until the end of the transaction and enters its organization; RW409 of the constraint attempt_is_held when it is over.';
comment on function app_private.complete_attempt(app_private.attempt) is 'Ends a job that is done.';
comment on function app_private.fail_attempt(app_private.attempt, text, text, boolean) is 'Ends an attempt that failed.';
comment on function app_private.purge_queue(app_private.attempt) is 'Deletes heartbeats of dead workers and unused queue names; the job queue__purge.';
comment on function app_private.retry_jobs(bigint[]) is 'Lets jobs that failed for good run again; returns which.';
comment on function app_private.drop_jobs(bigint[]) is 'Deletes jobs that failed for good; returns which.';
comment on function app_private.index_document(app_private.attempt, uuid) is 'Completes the search vector of a long document; the job documents__index.';
