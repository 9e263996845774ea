-- Title: No function runs as a role that row-level security does not bind
-- Level: error
-- Reason: A security definer function runs as its owner. Forced row-level security binds owners, but no
--   superuser and no role with BYPASSRLS.
-- Remedy: Let the role that owns the tables own the function.

/* Bad: app_private.count_documents()
reset role;
create function app_private.count_documents() returns bigint
language sql stable security definer set search_path = ''
return (select count(*) from app_public.documents);
revoke execute on function app_private.count_documents() from public;
comment on function app_private.count_documents() is 'How many documents there are.';
*/

/* Good:
create function app_private.count_documents() returns bigint
language sql stable security definer set search_path = ''
return (select count(*) from app_public.documents);
comment on function app_private.count_documents() is 'How many documents the policies of the owner show.';
*/

select
  f.name as object,
  format('It runs as %s, who %s.', r.rolname, case when r.rolsuper then 'is a superuser' else 'has BYPASSRLS' end) as detail,
  null as fix
from linted_function f join pg_roles r on r.oid = f.proowner
where f.prosecdef and (r.rolsuper or r.rolbypassrls)
