-- What graphile-worker's own schema gets from us: the rights of the worker's login,
-- the fence around jobs, and what follows from the end of a job. Runs after
-- graphile-worker's migrations and ours, each time; idempotent. A policy or trigger
-- that changes gets a new name here and a `drop … if exists` of the old one, so that
-- nothing is locked where there is nothing to do.
--
-- Requests (app_user) get nothing here: they add jobs through functions of ours,
-- which run as the owner, whom these policies do not bind.

revoke execute on all functions in schema graphile_worker from public, app_worker;
grant usage on schema graphile_worker to app_worker;
grant select on graphile_worker.migrations to app_worker;
grant select, insert, update, delete on
  graphile_worker._private_jobs,
  graphile_worker._private_job_queues,
  graphile_worker._private_tasks,
  graphile_worker._private_known_crontabs
to app_worker;
grant usage on all sequences in schema graphile_worker to app_worker;
grant usage on type graphile_worker.job_spec to app_worker;
-- For jobs by the clock, as the worker itself: the policies below apply.
grant execute on function
  graphile_worker.add_job(text, json, text, timestamptz, integer, text, integer, text[], text),
  graphile_worker.add_jobs(graphile_worker.job_spec[], boolean)
to app_worker;

do $$
declare
  -- Who this connection is. One that was declared dead and does not know it yet may
  -- take a job: the next sweep returns it.
  me constant text := $sql$pg_catalog.current_setting('app.worker_id', true)$sql$;
  tenantless constant text := $sql$payload ->> 'orgId' is null$sql$;
  wanted record;
begin
  for wanted in
    select * from (values
      -- graphile-worker completes a job by its id alone, so a process that was stopped
      -- and goes on would complete what another runs by now. Here a connection touches
      -- nothing but what is free and what its own worker holds. Jobs by the clock belong
      -- to no organization; adding one replaces the one before, whoever runs it.
      ('_private_jobs', 'select_worker', 'for select', 'true', null),
      ('_private_jobs', 'insert_clockwork', 'for insert', null,
        'locked_by is null and ' || tenantless),
      ('_private_jobs', 'update_held', 'for update',
        'locked_by is null or locked_by = ' || me || ' or ' || tenantless,
        'locked_by is null or locked_by = ' || me || ' or ' || tenantless),
      ('_private_jobs', 'delete_held', 'for delete', 'locked_by = ' || me, null),
      ('_private_job_queues', 'select_worker', 'for select', 'true', null),
      ('_private_job_queues', 'insert_worker', 'for insert', null, 'locked_by is null'),
      ('_private_job_queues', 'update_held', 'for update',
        'locked_by is null or locked_by = ' || me, 'locked_by is null or locked_by = ' || me),
      ('_private_tasks', 'all_worker', 'for all', 'true', 'true'),
      -- A worker whose clock is ahead must not note a run that is still to come: nobody
      -- would run the task until then.
      ('_private_known_crontabs', 'all_in_time', 'for all', 'true',
        $sql$last_execution is null or last_execution <= pg_catalog.now() + interval '1 minute'$sql$)
    ) as p (relation, policy, command, using_sql, check_sql)
  loop
    if not exists (
      select from pg_catalog.pg_policies
      where schemaname = 'graphile_worker' and tablename = wanted.relation and policyname = wanted.policy
    ) then
      execute pg_catalog.concat(
        pg_catalog.format('create policy %I on graphile_worker.%I %s to app_worker', wanted.policy, wanted.relation, wanted.command),
        ' using (' || wanted.using_sql || ')', ' with check (' || wanted.check_sql || ')');
    end if;
  end loop;

  -- The policy of earlier versions, which let the worker do everything.
  for wanted in
    select tablename from pg_catalog.pg_policies
    where schemaname = 'graphile_worker' and policyname = 'all_worker' and tablename <> '_private_tasks'
  loop
    execute pg_catalog.format('drop policy all_worker on graphile_worker.%I', wanted.tablename);
  end loop;
end
$$;

-- The turns of an organization's waiting jobs.
create index if not exists jobs_org_id_priority_idx on graphile_worker._private_jobs
  ((payload ->> 'orgId'), priority) where is_available;
-- What a worker holds.
create index if not exists jobs_locked_by_idx on graphile_worker._private_jobs
  (locked_by) where locked_by is not null;

-- Each on the columns that change only there, so that taking a job costs nothing:
-- whatever ends an attempt writes its error or the time of the next.
do $$
declare
  wanted record;
begin
  for wanted in
    select * from (values
      ('_100_guard', $sql$before update of payload, task_id on graphile_worker._private_jobs for each row
        execute function app_private.tg_jobs__guard()$sql$),
      ('_200_supersede', $sql$before update of key on graphile_worker._private_jobs for each row
        when (old.key is not null and new.key is null)
        execute function app_private.tg_jobs__supersede()$sql$),
      ('_500_bury', $sql$after update of last_error, run_at, max_attempts, key on graphile_worker._private_jobs for each row
        when ((new.locked_at is null and new.attempts >= new.max_attempts)
            <> (old.locked_at is null and old.attempts >= old.max_attempts)
          or (new.locked_at is null and new.flags ? 'superseded'))
        execute function app_private.tg_jobs__bury()$sql$),
      ('_500_forget', $sql$after delete on graphile_worker._private_jobs for each row
        when (old.locked_at is null and old.attempts >= old.max_attempts)
        execute function app_private.tg_jobs__forget()$sql$)
    ) as t (name, definition)
  loop
    if not exists (
      select from pg_catalog.pg_trigger
      where tgrelid = 'graphile_worker._private_jobs'::pg_catalog.regclass and tgname = wanted.name
    ) then
      execute pg_catalog.concat('create trigger ', wanted.name, ' ', wanted.definition);
    end if;
  end loop;
end
$$;
