-- Title: A policy that permits is for one command
-- Level: error
-- Reason: `for all` permits to read, insert, update and delete by one sentence, and hardly ever means all four.
-- Remedy: Write one policy for each command. A restrictive policy may be for all.

/* Bad: app_public.memberships.all_own
drop policy select_member on app_public.memberships;
create policy all_own on app_public.memberships for all to app_user
  using (user_id = (select app_hidden.current_user_id()))
  with check (user_id = (select app_hidden.current_user_id()));
*/

/* Good:
drop policy select_member on app_public.memberships;
create policy select_own on app_public.memberships for select to app_user
  using (user_id = (select app_hidden.current_user_id()));
*/

select p.name as object, 'It permits all commands.' as detail, null as fix
from linted_policy p where p.polpermissive and p.polcmd = '*'
