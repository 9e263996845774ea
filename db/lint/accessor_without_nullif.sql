-- Title: Settings are read with nullif
-- Level: error
-- Reason: A custom setting that was never set is null, and after its first use on a connection it is an empty
--   text. A cast of that raises an error, a comparison with it may be true.
-- Remedy: `nullif(current_setting('…', true), '')`, and only then a cast. A connection without claims then
--   sees no rows.

/* Bad: app_hidden.current_team()
create function app_hidden.current_team() returns uuid language sql stable
return current_setting('jwt.team', true)::uuid;
comment on function app_hidden.current_team() is 'The team of the caller.';
*/

/* Good:
create function app_hidden.current_team() returns uuid language sql stable
return nullif(current_setting('jwt.team', true), '')::uuid;
comment on function app_hidden.current_team() is 'The team of the caller.';
*/

select object, detail, null as fix
from (
  select f.name as object, f.body as text from linted_function f
  union all
  select p.name, p.qual || ' ' || p.with_check from linted_policy p
  union all
  select c.name, c.default_text from linted_column c
) s
cross join lateral (
  select case
    -- An empty text is an empty list as well: no harm.
    when regexp_replace(s.text, '\m(nullif|string_to_array)\s*\(\s*(pg_catalog\.)?current_setting\s*\(', '', 'gi') ~* '\mcurrent_setting\s*\('
      then 'It reads a setting that may be an empty text.'
    when s.text ~* '\mcurrent_setting\s*\([^(),]*\)'
      then 'It raises an error where the setting is not there: pass true as the second argument.'
  end as detail
) d
where d.detail is not null
