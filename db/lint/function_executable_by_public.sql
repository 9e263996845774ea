-- Title: No function may be executed by everybody
-- Level: error
-- Reason: Postgres grants each new function to everybody, and so to logins nobody thought of.
-- Remedy: Revoke it and grant the function to the roles that need it; and once for all later ones,
--   `alter default privileges revoke execute on functions from public`.

/* Bad: app_private.migration_level()
grant execute on function app_private.migration_level() to public;
*/

/* Good:
grant execute on function app_private.migration_level() to app_worker;
*/

select
  f.name as object,
  'Everybody may execute it.' as detail,
  format('revoke execute on %s %s from public;', case when f.kind = 'procedure' then f.kind else 'function' end, f.name) as fix
from linted_function f
where exists (select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a where a.grantee = 0)
