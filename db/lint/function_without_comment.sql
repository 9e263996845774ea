-- Title: Functions have a comment
-- Level: warning
-- Reason: An exposed function is a field or a mutation, which the comment documents. Of the others it says
--   what they are for, to whoever reads the grants.
-- Remedy: `comment on function … is '…'`.

/* Bad: app_public.me()
comment on function app_public.me() is null;
*/

/* Good:
comment on function app_public.me() is 'The caller.';
*/

select f.name as object, 'It has no comment.' as detail, null as fix
from linted_function f where obj_description(f.oid, 'pg_proc') is null
