-- Title: Callers do not write what the database itself knows
-- Level: error
-- Reason: The tenant, the owner and the times of a row come from the claims and the clock. A caller who may
--   write the column may give a row to somebody else, or to another time.
-- Remedy: Revoke the column. Meant are the tenant column and columns whose default reads the claims or the
--   clock.
-- Needs: request role

/* Bad: app_public.documents.owner_id
grant update (owner_id) on app_public.documents to app_user;
*/

/* Good:
grant update (title) on app_public.documents to app_user;
*/

select
  c.name as object,
  format('%s may %s it, and it comes from %s.', g.grantee, string_agg(distinct lower(g.privilege), ' and '),
    coalesce(c.default_text, 'the claims')) as detail,
  format('revoke %s on %s from %s;', string_agg(distinct lower(g.privilege) || ' (' || c.column_name || ')', ', '), c.table_name, g.grantee) as fix
from linted_column c
join linted_table t on t.oid = c.table_oid
join request_column_grant g on g.table_oid = c.table_oid and g.attnum = c.attnum
where g.privilege in ('INSERT', 'UPDATE') and not c.is_private
  and (
    c.attnum = t.tenant
    or c.default_text ~* '\m(now|statement_timestamp|clock_timestamp|transaction_timestamp)\(\)|\mCURRENT_(TIMESTAMP|DATE|USER)\M|\mcurrent_setting\('
    or exists (select from accessor f where strpos(c.default_text, f.proname || '(') > 0)
  )
group by c.name, c.table_name, c.column_name, c.default_text, g.grantee
