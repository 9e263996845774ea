-- Title: Views ask as their caller
-- Level: error
-- Reason: A view reads its tables as its owner, whose policies are not the caller's.
-- Remedy: Set security_invoker.

/* Bad: app_public.titles
create view app_public.titles as select org_id, id, title from app_public.documents;
comment on view app_public.titles is 'Titles of documents.';
comment on column app_public.titles.org_id is 'The organization.';
comment on column app_public.titles.id is 'The document.';
comment on column app_public.titles.title is 'Its title.';
*/

/* Good:
create view app_public.titles with (security_invoker = true)
  as select org_id, id, title from app_public.documents;
comment on view app_public.titles is 'Titles of documents.';
comment on column app_public.titles.org_id is 'The organization.';
comment on column app_public.titles.id is 'The document.';
comment on column app_public.titles.title is 'Its title.';
*/

select
  r.name as object,
  format('It reads as %s.', r.relowner::regrole) as detail,
  format('alter view %s set (security_invoker = true);', r.name) as fix
from relation r
where r.relkind = 'v' and not exists (
  select from pg_options_to_table(r.reloptions)
  where option_name = 'security_invoker' and option_value::boolean
)
