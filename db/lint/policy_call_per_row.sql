-- Title: Functions in policies run once a query
-- Level: warning
-- Reason: A function in a policy runs for every row that is looked at, and keeps indexes from being used. In
--   a sub-select of its own it runs once.
-- Remedy: Wrap the call: `(select f())`. Where it takes a column, join or look up instead.

/* Bad: app_public.documents.delete_own
drop policy delete_own on app_public.documents;
create policy delete_own on app_public.documents for delete to app_user
  using (owner_id = app_hidden.current_user_id());
*/

/* Good:
drop policy delete_own on app_public.documents;
create policy delete_own on app_public.documents for delete to app_user
  using (owner_id = (select app_hidden.current_user_id()));
*/

with policy_text as (
  select p.*, p.qual || ' ' || p.with_check as text,
    -- A sub-select without a table, brackets four deep.
    '\( SELECT (?:(?! FROM )[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)' as wrapped
  from linted_policy p
),
-- What is left when wrapped calls are taken out; a wrapped call with a column runs for each row all the same.
bare as (
  select t.*, regexp_replace(t.text, t.wrapped, '', 'g') || coalesce((
    select string_agg(m[1], ' ') from regexp_matches(t.text, '(' || t.wrapped || ')', 'g') as m
    where m[1] ~ ('\m' || t.relname || '\.')
  ), '') as rest
  from policy_text t
)
select
  b.name as object,
  format('It calls %s for each row.', string_agg(distinct c.called, ', ')) as detail,
  null as fix
from bare b
join lateral (
  select p.oid::regproc::text as called
  from pg_depend d join pg_proc p on p.oid = d.refobjid
  where d.classid = 'pg_policy'::regclass and d.objid = b.oid and d.refclassid = 'pg_proc'::regclass and p.provolatile <> 'i'
    and strpos(b.rest, p.proname || '(') > 0
  union all
  select 'current_setting' where b.rest ~ '\mcurrent_setting\('
) c on true
group by b.name
