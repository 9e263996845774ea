-- Title: One permissive policy says what a role may do by a command
-- Level: error
-- Reason: Permissive policies are joined by "or": a second one widens the first, and neither tells the
--   whole rule any more.
-- Remedy: Write the alternatives into one policy.

/* Bad: app_public.documents
create policy select_reader on app_public.documents for select to app_user
  using ((select app_hidden.has_permission('org:docs:read')));
*/

/* Good:
drop policy select_own on app_public.documents;
create policy select_own on app_public.documents for select to app_user
  using (
    owner_id = (select app_hidden.current_user_id())
    or (select app_hidden.has_permission('org:docs:read'))
  );
*/

select
  t.table_name as object,
  format('For %s to %s: %s.', t.command, string_agg(t.role, ' and to ' order by t.role), t.policies) as detail,
  null as fix
from (
  select p.table_name, c.command, r.role, string_agg(p.policy_name, ', ' order by p.policy_name) as policies
  from (
    select distinct q.polrelid, q.role_oid, case q.role_oid when 0 then 'public' else q.role_oid::regrole::text end as role
    from linted_policy, unnest(polroles) as role_oid, lateral (select polrelid, role_oid) q
  ) r
  cross join (values ('r', 'select'), ('a', 'insert'), ('w', 'update'), ('d', 'delete')) as c (letter, command)
  join linted_policy p on p.polrelid = r.polrelid and p.polpermissive
    and p.polcmd::text in (c.letter, '*') and p.polroles && array[0::oid, r.role_oid]
  group by p.table_name, c.command, r.role having count(*) > 1
) t
group by t.table_name, t.command, t.policies
