-- Title: Exposed tables have a comment
-- Level: warning
-- Reason: The comment is the API's documentation of the type.
-- Remedy: `comment on table … is '…'`, written for the reader of the API.

/* Bad: app_public.documents
comment on table app_public.documents is null;
*/

/* Good:
comment on table app_public.documents is 'A document of an organization.';
*/

select r.name as object, 'It has no comment.' as detail, null as fix
from relation r
where r.is_exposed and r.relkind in ('r', 'p', 'v', 'm', 'f') and not r.relispartition
  and obj_description(r.oid, 'pg_class') is null
