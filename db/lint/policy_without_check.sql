-- Title: Policies of writes have a check of their own
-- Level: error
-- Reason: `using` says which rows may be changed, `with check` what they may become. Where the second is
--   missing, a reader has to know which rule Postgres falls back on.
-- Remedy: Add `with check`, also where it repeats `using`.

/* Bad: app_public.documents.update_own
drop policy update_own on app_public.documents;
create policy update_own on app_public.documents for update to app_user
  using (owner_id = (select app_hidden.current_user_id()));
*/

/* Good:
drop policy update_own on app_public.documents;
create policy update_own on app_public.documents for update to app_user
  using (owner_id = (select app_hidden.current_user_id()))
  with check (owner_id = (select app_hidden.current_user_id()));
*/

select
  p.name as object,
  format('It is for %s and has no check.', p.command) as detail,
  case when p.polqual is not null then format('alter policy %s on %s with check (%s);', p.policy_name, p.table_name, p.qual) end as fix
from linted_policy p
where p.polcmd in ('a', 'w', '*') and p.polwithcheck is null
