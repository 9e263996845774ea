-- Title: A policy says whose rows it permits
-- Level: error
-- Reason: `using (true)` is row-level security in name only: where no restrictive policy narrows it, each
--   caller has the rows of all tenants.
-- Remedy: Say whose rows, or pin the table to the caller's tenant. A table that holds nobody's rows, such as a
--   list of countries, is ignored with the reason.
-- Needs: request role

/* Bad: app_public.users.select_all
drop policy select_member on app_public.users;
create policy select_all on app_public.users for select to app_user using (true);
*/

/* Good:
drop policy select_member on app_public.users;
create policy select_own on app_public.users for select to app_user
  using (id = (select app_hidden.current_user_id()));
*/

select
  p.name as object,
  format('It permits %s of every row.', p.command) as detail,
  null as fix
from linted_policy p
where p.polpermissive and 'true' in (p.qual, p.with_check)
  and exists (select from unnest(p.polroles) as role join request_grantee g on g.oid = role)
  and not exists (
    select from linted_policy q
    where q.polrelid = p.polrelid and not q.polpermissive and q.polcmd in (p.polcmd, '*')
      and 'true' not in (q.qual, q.with_check)
      and (0 = any (q.polroles) or not exists (select from request_role r where r.oid <> all (q.polroles)))
  )
