-- Title: No request calls a function that runs as its owner
-- Level: error
-- Reason: Such a function is its own guard: what it forgets to check, every caller may do.
-- Remedy: Let it run as the caller, or let a trigger or another login call it. Where there is no other way,
--   ignore it, and say how it checks its caller.
-- Needs: request role

/* Bad: app_hidden.count_members()
create function app_hidden.count_members() returns bigint
language sql stable security definer set search_path = ''
return (select count(*) from app_public.memberships);
grant execute on function app_hidden.count_members() to app_user;
comment on function app_hidden.count_members() is 'How many memberships there are.';
*/

/* Good:
create function app_hidden.count_members() returns bigint language sql stable
return (select count(*) from app_public.memberships);
grant execute on function app_hidden.count_members() to app_user;
comment on function app_hidden.count_members() is 'How many memberships the caller sees.';
*/

select
  f.name as object,
  format('Requests may execute it, and it runs as %s.', f.proowner::regrole) as detail,
  format('alter %s %s security invoker;', f.kind, f.name) as fix
from request_function f
-- Everybody's is told of by function_executable_by_public, and the private schemas' by private_schema_granted.
where f.prosecdef and not f.is_private
  and not exists (select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a where a.grantee = 0)
