-- The roles that requests and jobs run as. They belong to the cluster, not to
-- one database, so no migration can create them: `npm run migrate` runs this
-- file first when its login may create roles, and otherwise says that an
-- administrator has to run it once (psql -f db/roles.sql).
--
-- None of them can log in, and none can bypass row-level security. The logins
-- become members: that in DATABASE_URL without inheritance of app_user (it has to
-- step into it, which only the claims scope does) and with inheritance of app_api;
-- that in DATABASE_WORKER_URL of app_worker alone, so that it acts for no
-- organization but through functions that take the attempt at a job of it. The only
-- rights of both groups are the few app_private functions granted to them, and, for
-- the worker, those of running the queue (db/queue.sql).

do $$
declare
  wanted text;
begin
  foreach wanted in array array['app_user', 'app_api', 'app_worker'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
      begin
        execute pg_catalog.format('create role %I nologin noinherit nobypassrls', wanted);
      exception
        -- Another deployer of another database of this cluster was faster.
        when duplicate_object or unique_violation then null;
      end;
    end if;
  end loop;
end
$$;
