-- Title: The tenant column is never null
-- Level: error
-- Reason: A row without a tenant belongs to nobody, and a composite foreign key with a null is not checked.
-- Remedy: Fill it and set it not null.
-- Needs: tenant

/* Bad: app_private.spoons.org_id
create table app_private.spoons (
  org_id text, id uuid not null default uuidv7(),
  constraint spoons_id_key unique (org_id, id)
);
alter table app_private.spoons enable row level security, force row level security;
*/

/* Good:
create table app_private.spoons (
  org_id text not null, id uuid not null default uuidv7(),
  constraint spoons_pkey primary key (org_id, id)
);
alter table app_private.spoons enable row level security, force row level security;
*/

select
  c.name as object,
  'It may be null.' as detail,
  format('alter table %s alter column %s set not null;', c.table_name, c.column_name) as fix
from linted_table t join linted_column c on c.table_oid = t.oid and c.attnum = t.tenant
where not t.tenant_is_required
