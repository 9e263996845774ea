-- Title: What answers with rows of a table has all its columns
-- Level: error
-- Reason: `begin atomic select d.*` means the columns that the table had when the function was created. With
--   one more in the table, each call fails: the rows have too few.
-- Remedy: Create the function again, word for word, in the migration that adds the column.

/* Bad: app_private.all_forks()
create table app_private.forks (
  id uuid not null,
  title text not null,
  constraint forks_pkey primary key (id)
);
create function app_private.all_forks() returns setof app_private.forks language sql stable
begin atomic select f.* from app_private.forks as f; end;
comment on function app_private.all_forks() is 'All forks.';
alter table app_private.forks add column prongs integer;
*/

/* Good:
create table app_private.forks (
  id uuid not null,
  title text not null,
  constraint forks_pkey primary key (id)
);
alter table app_private.forks add column prongs integer;
create function app_private.all_forks() returns setof app_private.forks language sql stable
begin atomic select f.* from app_private.forks as f; end;
comment on function app_private.all_forks() is 'All forks.';
*/

select
  f.name as object,
  format('It lacks %s of %s.', string_agg(a.attname, ', ' order by a.attnum) filter (where not n.is_named), c.oid::regclass) as detail,
  null as fix
from linted_function f
join pg_type t on t.oid = f.prorettype
join pg_class c on c.oid = t.typrelid and c.relkind in ('r', 'p')
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
cross join lateral (
  select exists (
    select from pg_depend d
    where d.classid = 'pg_proc'::regclass and d.objid = f.oid
      and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum
  ) as is_named
) n
where f.is_bound -- Postgres knows which columns such a body names: with `*`, all that there were.
  and f.body !~ '\.\*::' -- But a whole row is whole whenever it is asked for.
group by f.name, c.oid
-- Those it lacks came after all that it names.
having bool_or(not n.is_named)
  and count(*) filter (where n.is_named) > 1
  and max(a.attnum) filter (where n.is_named) < min(a.attnum) filter (where not n.is_named)
