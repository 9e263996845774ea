-- Title: No login can reach a role that row-level security does not bind
-- Level: error
-- Reason: A login can become any role it is a member of, directly or through others. As a superuser, with
--   BYPASSRLS or as the owner of the tables it reads and writes every tenant, or can let itself do so. So do
--   the roles of Postgres that read all data or run programs on the server.
-- Remedy: Revoke the membership, or give the login its own least rights. Superusers themselves are not
--   listed, nor is the owner; a login that has to read everything, as for backups, is ignored with the reason.

/* Bad: spoon_login
reset role;
create role spoon_login login noinherit;
create role spoon_group nologin bypassrls;
grant spoon_group to spoon_login;
*/

/* Good:
reset role;
create role spoon_login login noinherit;
grant app_user to spoon_login with inherit false, set true;
*/

select
  l.rolname as object,
  string_agg(case when p.oid = l.oid then 'It is a role that ' else format('It can become %s, which ', p.rolname) end || p.power, ' ' order by p.rolname) as detail,
  string_agg(case when p.oid <> l.oid and exists (select from pg_auth_members m where m.member = l.oid and m.roleid = p.oid)
    then format('revoke %I from %I;', p.rolname, l.rolname) end, ' ') as fix
from pg_roles l
join lateral (
  with recursive reached as (
    select l.oid
    union
    select m.roleid from pg_auth_members m join reached r on r.oid = m.member
  )
  select r.oid, r.rolname,
    case
      when r.rolsuper then 'is a superuser.'
      when r.rolbypassrls then 'has BYPASSRLS.'
      when r.rolname in ('pg_read_all_data', 'pg_write_all_data') then 'reads or writes every table.'
      when r.rolname in ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files') then 'reaches the server''s files, and so everything.'
      when r.oid <> l.oid and r.oid in (select t.relowner from linted_table t) then 'owns tables.'
    end as power
  from reached join pg_roles r using (oid)
) p on p.power is not null
cross join option o
where l.rolcanlogin
  and (not l.rolsuper or exists (
    select from pg_auth_members m where m.member = l.oid and m.roleid in (select r.oid from request_role r)
  ))
  and (cardinality(o.login_roles) = 0 or l.rolname = any (o.login_roles))
group by l.oid, l.rolname
