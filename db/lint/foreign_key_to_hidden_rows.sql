-- Title: Callers do not write references to rows that are hidden from them
-- Level: error
-- Reason: Postgres checks foreign keys without row-level security. Where a caller may write the column, and one
--   of the two tables has no tenant, the key accepts whom the caller cannot see, and tells by its error which
--   ids exist: of all users, say. What functions write that run as their owner is not seen here.
-- Remedy: Refer to a table of the tenant that holds the same id: (org_id, reviewer_id) to memberships
--   (org_id, user_id), with on delete set null (reviewer_id), as members leave. Or do not grant the column, and
--   set it by a default or a trigger.
-- Needs: request role

/* Bad: app_public.documents.documents_reviewer_id_fkey
alter table app_public.documents add column reviewer_id text;
alter table app_public.documents add constraint documents_reviewer_id_fkey
  foreign key (reviewer_id) references app_public.users (id);
create index on app_public.documents (org_id, reviewer_id);
comment on column app_public.documents.reviewer_id is 'Who reads it before it goes out.';
grant update (reviewer_id) on app_public.documents to app_user;
*/

/* Good:
alter table app_public.documents add column reviewer_id text;
alter table app_public.documents add constraint documents_reviewer_id_fkey
  foreign key (org_id, reviewer_id) references app_public.memberships (org_id, user_id)
  on delete set null (reviewer_id);
create index on app_public.documents (org_id, reviewer_id);
comment on column app_public.documents.reviewer_id is 'Who reads it before it goes out.';
grant update (reviewer_id) on app_public.documents to app_user;
*/

select
  t.name || '.' || quote_ident(c.conname) as object,
  format('Requests may write it, and rows of %s are hidden from them: %s.', target.name, pg_get_constraintdef(c.oid)) as detail,
  null as fix
from pg_constraint c
join linted_table t on t.oid = c.conrelid
join linted_table target on target.oid = c.confrelid
where c.contype = 'f' and c.conparentid = 0
  -- Between two tables with tenants: foreign_key_without_tenant.
  and (t.tenant is null or target.tenant is null)
  -- By column: another rule finds whole tables, and another what comes from the claims.
  and exists (
    select from request_column_grant g
    join linted_column k on k.table_oid = g.table_oid and k.attnum = g.attnum
    where g.table_oid = t.oid and g.attnum = any (c.conkey) and g.privilege in ('INSERT', 'UPDATE')
      and g.attnum is distinct from t.tenant
      and not exists (select from accessor f where strpos(k.default_text, f.proname || '(') > 0)
  )
  -- Every caller sees every row: there is nothing to find out.
  and not (
    exists (
      select from request_grant g where g.oid = target.oid and g.privilege = 'SELECT'
      union all
      select from request_column_grant g where g.table_oid = target.oid and g.attnum = any (c.confkey) and g.privilege = 'SELECT'
    )
    and (
      not target.relrowsecurity
      or exists (
        select from linted_policy p
        where p.polrelid = target.oid and p.polpermissive and p.polcmd in ('r', '*') and p.qual = 'true'
          and (0 = any (p.polroles) or not exists (select from request_role r where r.oid <> all (p.polroles)))
      )
      and not exists (
        select from linted_policy p where p.polrelid = target.oid and not p.polpermissive and p.polcmd in ('r', '*')
      )
    )
  )
