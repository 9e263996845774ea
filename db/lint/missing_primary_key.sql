-- Title: Every table has a primary key
-- Level: warning
-- Reason: Without one, rows cannot be told apart: the API has no node of them, and logical replication
--   cannot update or delete them.
-- Remedy: Add one.

/* Bad: app_private.spoons
create table app_private.spoons (name text not null);
*/

/* Good:
create table app_private.spoons (name text not null, constraint spoons_pkey primary key (name));
*/

select t.name as object, 'It has no primary key.' as detail, null as fix
from linted_table t
where t.tenant is null and not t.relispartition
  and not exists (select from pg_constraint c where c.conrelid = t.oid and c.contype = 'p')
