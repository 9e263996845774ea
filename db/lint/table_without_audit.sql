-- Title: Changes of tables with tenants' rows are in the audit trail
-- Level: warning
-- Reason: Who changed a row is asked after it has happened, and what was not written down then cannot be told.
--   Whether a table is audited, and which of its columns are personal, is decided when it is made.
-- Remedy: Call `select app_private.audit('…')` in the table's migration; or keep the finding, with the reason
--   why nobody will ask.
-- Needs: tenant

/* Bad: app_public.documents
drop trigger _900_audit on app_public.documents;
*/

/* Good:
drop trigger _900_audit on app_public.documents;
select app_private.audit('app_public.documents', personal => array['title', 'body'], ignored => array['search']);
*/

select
  t.name as object,
  'It holds tenants'' rows, and its changes are in no audit trail.' as detail,
  format('select app_private.audit(%L);', t.name) as fix
from linted_table t
where t.is_exposed and not t.relispartition and t.tenant is not null
  and coalesce((
    -- Row by row, on insert (4), delete (8) and update (16).
    select bit_or(g.tgtype) & 28 from pg_trigger g join linted_function f on f.oid = g.tgfoid
    where g.tgrelid = t.oid and g.tgtype & 1 = 1 and not g.tgisinternal and g.tgenabled in ('O', 'A')
      and f.proname ~ '(^|_)audit(_|$)'
  ), 0) <> 28
