-- Title: Functions whose body is text pin the search_path
-- Level: warning
-- Reason: Names in a body that is kept as text are looked up at each call, by the search_path of the caller.
-- Remedy: Set it to nothing and qualify the names; or write the body as `return …` or `begin atomic`, which
--   is bound when the function is created.

/* Bad: app_private.twice(integer)
create function app_private.twice(number integer) returns integer language sql immutable
as 'select 2 * number';
comment on function app_private.twice(integer) is 'Two times a number.';
*/

/* Good:
create function app_private.twice(number integer) returns integer language sql immutable
return 2 * number;
comment on function app_private.twice(integer) is 'Two times a number.';
*/

select
  f.name as object,
  'Its names mean what the caller''s search_path says.' as detail,
  format('alter %s %s set search_path = '''';', f.kind, f.name) as fix
from linted_function f
where not f.prosecdef and not f.is_bound and f.lanname in ('sql', 'plpgsql')
  and not exists (select from unnest(f.proconfig) as c where c like 'search\_path=%')
