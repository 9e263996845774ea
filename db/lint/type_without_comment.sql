-- Title: Exposed types have a comment
-- Level: warning
-- Reason: The comment is the API's documentation of the type.
-- Remedy: `comment on type … is '…'`.

/* Bad: app_public.size
create type app_public.size as enum ('SMALL', 'LARGE');
*/

/* Good:
create type app_public.size as enum ('SMALL', 'LARGE');
comment on type app_public.size is 'How large something is.';
*/

select t.name as object, 'It has no comment.' as detail, null as fix
from linted_type t where t.is_exposed and obj_description(t.oid, 'pg_type') is null
