-- What the worker's login may do in graphile-worker's own schema: run the queue.
-- Runs after graphile-worker's migrations, each time; idempotent.
--
-- The tables come with row-level security on and no policies, which would show
-- the worker an empty queue. Requests (app_user) get nothing here: they add jobs
-- through functions of ours, which run as the owner.

revoke execute on all functions in schema graphile_worker from public;
grant usage on schema graphile_worker to app_worker;
grant select on graphile_worker.migrations to app_worker;
grant select, insert, update, delete on
  graphile_worker._private_jobs,
  graphile_worker._private_job_queues,
  graphile_worker._private_tasks,
  graphile_worker._private_known_crontabs
to app_worker;
grant usage on all sequences in schema graphile_worker to app_worker;
grant execute on all functions in schema graphile_worker to app_worker;

do $$
declare
  queue_table text;
begin
  foreach queue_table in array array['_private_jobs', '_private_job_queues', '_private_tasks', '_private_known_crontabs'] loop
    if not exists (
      select from pg_catalog.pg_policies
      where schemaname = 'graphile_worker' and tablename = queue_table and policyname = 'all_worker'
    ) then
      execute pg_catalog.format(
        'create policy all_worker on graphile_worker.%I for all to app_worker using (true) with check (true)',
        queue_table
      );
    end if;
  end loop;
end
$$;
