-- Title: Callers' conditions can use the indexes made for them
-- Level: warning
-- Reason: Under row-level security Postgres tries the policies before any condition whose operator is not
--   leakproof, because an error of the operator could tell about hidden rows. Such an index is never used for
--   callers; every query reads all rows that the policies let through.
-- Remedy: Drop the index, or ignore it where functions that run as another role use it. Equality and order of
--   text, uuid, numbers of fixed size and times are leakproof; full text, arrays, jsonb, numeric and
--   expressions are not.
-- Needs: request role

/* Bad: app_public.documents_search_idx
create index documents_search_idx on app_public.documents using gin (search);
*/

/* Good:
create index documents_org_id_title_idx on app_public.documents (org_id, title);
*/

select
  i.name as object,
  format('Of %s no operator that searches it is leakproof.', string_agg(pg_get_indexdef(i.indexrelid, k.place, true), ', ' order by k.place)) as detail,
  format('drop index concurrently %s;', i.name) as fix
from linted_index i
join guarded_table t on t.oid = i.indrelid and t.relrowsecurity
cross join lateral generate_series(1, i.indnkeyatts) as k (place)
join pg_opclass o on o.oid = i.classes[k.place]
where not i.indisunique and not i.indisexclusion
  and (
    exists (select from request_grant g where g.oid = t.oid and g.privilege = 'SELECT')
    or exists (select from request_column_grant g where g.table_oid = t.oid and g.privilege = 'SELECT')
  )
  and (
    i.keys[k.place] = 0
    or not exists (
      select from pg_amop a join pg_operator op on op.oid = a.amopopr join pg_proc p on p.oid = op.oprcode
      where a.amopfamily = o.opcfamily and a.amoppurpose = 's' and a.amoplefttype = o.opcintype and p.proleakproof
    )
  )
group by i.name
