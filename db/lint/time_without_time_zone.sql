-- Title: Times have a time zone
-- Level: warning
-- Reason: A `timestamp` says which time a clock showed, not when it was; what it means depends on the session.
-- Remedy: `timestamptz`.

/* Bad: app_private.spoons.made_at
create table app_private.spoons (made_at timestamp, constraint spoons_pkey primary key (made_at));
*/

/* Good:
create table app_private.spoons (made_at timestamptz, constraint spoons_pkey primary key (made_at));
*/

select c.name as object, format('It is a %s.', format_type(c.atttypid, c.atttypmod)) as detail, null as fix
from linted_column c
where c.relkind in ('r', 'p', 'f')
  and c.atttypid in ('timestamp'::regtype, 'timestamp[]'::regtype, 'timetz'::regtype, 'timetz[]'::regtype)
union all
select t.name, format('It is a domain over %s.', t.base_name), null
from linted_type t
where t.base_type in ('timestamp'::regtype, 'timestamp[]'::regtype, 'timetz'::regtype, 'timetz[]'::regtype)
