-- Title: Text is text
-- Level: warning
-- Reason: `varchar(n)` cannot be widened without a thought for views and functions that use it, names no
--   constraint in its error, and `char(n)` pads with spaces. `text` is stored the same.
-- Remedy: `text` with a named check.

/* Bad: app_private.spoons.name
create table app_private.spoons (name varchar(20), constraint spoons_pkey primary key (name));
*/

/* Good:
create table app_private.spoons (
  name text,
  constraint spoons_pkey primary key (name),
  constraint spoons_name_check check (length(name) <= 20)
);
*/

select c.name as object, format('It is a %s.', format_type(c.atttypid, c.atttypmod)) as detail, null as fix
from linted_column c
where c.relkind in ('r', 'p', 'f')
  and c.atttypid in ('varchar'::regtype, 'varchar[]'::regtype, 'bpchar'::regtype, 'bpchar[]'::regtype)
union all
select t.name, format('It is a domain over %s.', t.base_name), null
from linted_type t
where t.base_type in ('varchar'::regtype, 'varchar[]'::regtype, 'bpchar'::regtype, 'bpchar[]'::regtype)
