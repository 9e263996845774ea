-- Title: Exposed columns have a comment
-- Level: warning
-- Reason: The comment is the API's documentation of the field.
-- Remedy: `comment on column … is '…'`: say what the type does not.

/* Bad: app_public.documents.title
comment on column app_public.documents.title is null;
*/

/* Good:
comment on column app_public.documents.title is 'Title, 1 to 500 characters.';
*/

select c.name as object, 'It has no comment.' as detail, null as fix
from linted_column c
where c.is_exposed and not c.relispartition and col_description(c.table_oid, c.attnum) is null
union all
select t.name || '.' || quote_ident(a.attname), 'It has no comment.', null
from linted_type t join pg_attribute a on a.attrelid = t.typrelid
where t.is_exposed and t.typtype = 'c' and a.attnum > 0 and not a.attisdropped and col_description(t.typrelid, a.attnum) is null
