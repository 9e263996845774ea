-- Title: Policies are for requests or for the owner
-- Level: error
-- Reason: A policy that names no role is for everybody, also for roles that are still to come.
-- Remedy: Say `to` the role of requests; where functions that run as the owner need one, `to current_user` in
--   the migration.
-- Needs: request role

/* Bad: app_public.documents.insert_own
drop policy insert_own on app_public.documents;
create policy insert_own on app_public.documents for insert
  with check (owner_id = (select app_hidden.current_user_id()));
*/

/* Good:
drop policy insert_own on app_public.documents;
create policy insert_own on app_public.documents for insert to app_user
  with check (owner_id = (select app_hidden.current_user_id()));
*/

select
  p.name as object,
  format('It is for %s.', (
    select string_agg(case role when 0 then 'everybody' else role::regrole::text end, ', ') from unnest(p.polroles) as role
  )) as detail,
  (select format('alter policy %s on %s to %s;', p.policy_name, p.table_name, string_agg(quote_ident(r.rolname), ', ')) from request_role r) as fix
from linted_policy p
where exists (
  select from unnest(p.polroles) as role
  where role <> p.relowner and role not in (select r.oid from request_role r)
)
