-- Title: Row-level security is enabled
-- Level: error
-- Reason: Without it, whoever is granted the table reads and writes the rows of all tenants.
-- Remedy: Enable it, force it, and say by policies who may do what. This holds for exposed tables, for those
--   with a tenant column, and for all that requests are granted.

/* Bad: app_public.documents
alter table app_public.documents disable row level security;
*/

/* Good:
alter table app_public.documents enable row level security;
*/

select
  t.name as object,
  'Row-level security is off.' as detail,
  format('alter table %s enable row level security, force row level security;', t.name) as fix
from guarded_table t where not t.relrowsecurity
