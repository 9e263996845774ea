--! Previous: -
--! Hash: sha1:d22cb33d0ebe9d5468fa6827d58d9c866bbe6201
--! Message: schemas and claims

-- Schemas as permission levels, and the caller's claims as SQL sees them.
--
-- app_public  exposed as the GraphQL API; app_user may use it
-- app_hidden  callable by app_user (policies need it), but not exposed
-- app_private neither: tables and functions for the API's and worker's logins
--
-- Nothing of ours lives in public, and nobody may create anything there.

create schema if not exists app_public;
create schema if not exists app_hidden;
create schema if not exists app_private;

comment on schema app_public is 'Exposed as the GraphQL API.';
comment on schema app_hidden is 'Callable by requests, but not exposed.';
comment on schema app_private is 'Reachable by the API and worker logins through single granted functions only.';

revoke all on schema public from public;
-- A request has no use for temporary tables.
revoke temporary on database :DATABASE_NAME from public;
grant usage on schema app_public, app_hidden to app_user;
grant usage on schema app_private to app_api, app_worker;

-- Postgres lets everyone execute a new function; here every grant is explicit.
alter default privileges revoke execute on functions from public;
alter default privileges revoke usage on types from public;

-- What the API put into this transaction's settings. Each returns null when the
-- claim is absent: an unset custom setting reads '' after its first use on a
-- connection, and null compares equal to nothing, so no policy can pass by it.
-- They never raise and cast nothing. `return` bodies are bound when created, so
-- no search_path can redirect them, and the planner can inline them.

create or replace function app_hidden.current_user_id() returns text
language sql stable parallel safe
return nullif(pg_catalog.current_setting('jwt.user_id', true), '');

create or replace function app_hidden.current_org_id() returns text
language sql stable parallel safe
return nullif(pg_catalog.current_setting('jwt.org_id', true), '');

create or replace function app_hidden.current_org_role() returns text
language sql stable parallel safe
return nullif(pg_catalog.current_setting('jwt.org_role', true), '');

create or replace function app_hidden.has_permission(permission text) returns boolean
language sql stable parallel safe
return coalesce(
  permission = any (pg_catalog.string_to_array(pg_catalog.current_setting('jwt.permissions', true), ',')),
  false
);

create or replace function app_hidden.current_request_id() returns text
language sql stable parallel safe
return nullif(pg_catalog.current_setting('app.request_id', true), '');

grant execute on function
  app_hidden.current_user_id(),
  app_hidden.current_org_id(),
  app_hidden.current_org_role(),
  app_hidden.has_permission(text),
  app_hidden.current_request_id()
to app_user;

comment on function app_hidden.current_user_id() is 'The caller''s user id, null without claims.';
comment on function app_hidden.current_org_id() is 'The organization the caller acts in: the active one, else the personal space, whose id is the user''s. Null without claims.';
comment on function app_hidden.current_org_role() is 'The caller''s role in the current organization, without Clerk''s `org:` prefix; null in the personal space.';
comment on function app_hidden.has_permission(text) is 'Whether the token carries a custom permission such as `org:docs:manage`.';
comment on function app_hidden.current_request_id() is 'The id of the HTTP request or job this transaction belongs to.';

-- Sets updated_at on every update; callers are not granted the column.
create or replace function app_private.tg__touch() returns trigger
language plpgsql volatile set search_path = ''
as $$
begin
  new.updated_at := pg_catalog.now();
  return new;
end;
$$;
comment on function app_private.tg__touch() is 'Trigger: stamps updated_at.';

-- The newest migration, for readiness: the API's login may read nothing else of
-- graphile-migrate's schema. Runs as the owner.
create or replace function app_private.migration_level() returns text
language plpgsql stable security definer set search_path = ''
as $$
begin
  return (select pg_catalog.max(filename) from graphile_migrate.migrations);
end;
$$;
comment on function app_private.migration_level() is 'File name of the newest migration.';
grant execute on function app_private.migration_level() to app_api, app_worker;
