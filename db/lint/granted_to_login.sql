-- Title: No login has a right to a table
-- Level: error
-- Reason: A login reads before anybody has said for whom: no claims, and where policies are for the role of
--   requests, none for the login. What it may do itself, it does with whatever statement reaches it.
-- Remedy: Revoke it: the API reads as the role of requests, and all else goes through functions. A login that
--   reads tables for a purpose of its own, as for backups, is ignored with the reason.

/* Bad: app_public.documents
grant select on app_public.documents to rowhouse_api;
*/

/* Good:
grant select on app_public.documents to app_user;
*/

select
  r.name as object,
  format('%s has %s.', h.holder, string_agg(distinct g.privilege, ', ')) as detail,
  format('revoke %s on %s from %s;', string_agg(distinct lower(g.privilege), ', '), r.name, h.grantee) as fix
from relation r
join (
  select c.oid, a.privilege_type as privilege, a.grantee from relation c, aclexplode(c.relacl) a
  union all
  select c.table_oid, format('%s (%s)', a.privilege_type, c.column_name), a.grantee from linted_column c, aclexplode(c.attacl) a
) g on g.oid = r.oid
join (
  -- A login, and the groups it is in; what requests are granted they are meant to have.
  select x.login, x.grantee_oid, x.grantee_oid::regrole::text as grantee,
    case when x.login = x.grantee_oid then x.login::regrole::text
      else format('%s, by way of %s,', x.login::regrole, x.grantee_oid::regrole) end as holder
  from (
    with recursive reached as (
      select l.oid as login, l.oid as grantee_oid from pg_roles l, option o
      where l.rolcanlogin and not l.rolsuper and (cardinality(o.login_roles) = 0 or l.rolname = any (o.login_roles))
      union
      select r.login, m.roleid from pg_auth_members m join reached r on r.grantee_oid = m.member
    )
    select login, grantee_oid from reached
  ) x
  where x.grantee_oid not in (select q.oid from request_grantee q)
) h on h.grantee_oid = g.grantee
where r.relowner not in (h.login, h.grantee_oid)
group by r.name, h.holder, h.grantee
