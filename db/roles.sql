-- The roles that requests and jobs run as. They belong to the cluster, not to
-- one database, so no migration can create them: `npm run migrate` runs this
-- file first when its login may create roles, and otherwise says that an
-- administrator has to run it once (psql -f db/roles.sql).
--
-- None of them can log in, and none can bypass row-level security. The logins
-- in DATABASE_URL and DATABASE_WORKER_URL become members: without inheritance
-- of app_user (they have to step into it, which only the claims scope does) and
-- with inheritance of app_api or app_worker, whose only rights are to execute
-- the few app_private functions granted to them.

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
