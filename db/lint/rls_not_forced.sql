-- Title: Row-level security is forced on the owner
-- Level: error
-- Reason: The owner of a table passes by its policies, and so does every function that runs as the owner.
-- Remedy: Force it. What the owner may do is then an explicit policy.

/* Bad: app_public.documents
alter table app_public.documents no force row level security;
*/

/* Good:
alter table app_public.documents force row level security;
*/

select
  t.name as object,
  format('%s, who owns it, passes by its policies.', t.relowner::regrole) as detail,
  format('alter table %s force row level security;', t.name) as fix
from guarded_table t where t.relrowsecurity and not t.relforcerowsecurity
