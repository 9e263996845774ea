-- Title: Functions that run as their owner pin the search_path
-- Level: error
-- Reason: The caller chooses the search_path, and with it which tables, functions and operators a name
--   without a schema means. Temporary tables are looked up first unless pg_temp comes last.
-- Remedy: Set it to nothing and qualify the names.

/* Bad: app_private.count_members()
create function app_private.count_members() returns bigint
language sql stable security definer
return (select count(*) from app_public.memberships);
comment on function app_private.count_members() is 'How many memberships there are.';
*/

/* Good:
create function app_private.count_members() returns bigint
language sql stable security definer set search_path = ''
return (select count(*) from app_public.memberships);
comment on function app_private.count_members() is 'How many memberships there are.';
*/

select
  f.name as object,
  coalesce('Its search_path is ' || p.path || ', where pg_temp does not come last.', 'It runs with the search_path of its caller.') as detail,
  format('alter %s %s set search_path = '''';', f.kind, f.name) as fix
from linted_function f
left join lateral (
  select substr(c, strpos(c, '=') + 1) as path from unnest(f.proconfig) as c where c like 'search\_path=%'
) p on true
where f.prosecdef and p.path is distinct from '""' and p.path is distinct from 'pg_catalog'
  and coalesce(p.path, '') !~ '(^|[ ,])pg_temp$'
