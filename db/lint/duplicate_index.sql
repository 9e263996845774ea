-- Title: No index is a copy or the beginning of another
-- Level: warning
-- Reason: Each index is kept up at every write. What a shorter one can do, the longer does as well.
-- Remedy: Drop it.

/* Bad: app_public.documents_org_id_idx
create index documents_org_id_idx on app_public.documents (org_id);
*/

/* Good:
create index documents_org_id_title_idx on app_public.documents (org_id, title);
*/

with index_ranked as (
  select
    i.*, c.conname,
    -- Of two that are the same the first of these stays: unique, primary, of a constraint, older.
    row(not i.indisunique, not i.indisprimary, c.oid is null, i.indexrelid) as rank
  from linted_index i
  left join pg_constraint c on c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x')
  where i.indpred is null and i.indexprs is null and not i.indisexclusion and i.indisvalid
)
select
  i.name as object,
  format('%s does as well.', string_agg(o.name, ', ' order by o.name)) as detail,
  case when i.conname is null then format('drop index concurrently %s;', i.name)
    else format('alter table %s drop constraint %I;', i.table_name, i.conname) end as fix
from index_ranked i
join index_ranked o on o.indrelid = i.indrelid and o.indexrelid <> i.indexrelid and o.relam = i.relam
where o.keys[1:i.indnkeyatts] = i.keys
  and o.classes[1:i.indnkeyatts] = i.classes
  and o.collations[1:i.indnkeyatts] = i.collations
  and o.options[1:i.indnkeyatts] = i.options
  and case
    when o.indnkeyatts = i.indnkeyatts then o.rank < i.rank
    -- Only a B-tree serves the beginning of its keys, and a key that is unique is one for its own sake.
    else not i.indisunique and i.relam = (select oid from pg_am where amname = 'btree')
  end
group by i.name, i.table_name, i.conname
