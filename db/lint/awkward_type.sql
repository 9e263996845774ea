-- Title: No column is money, json, name or "char"
-- Level: warning
-- Reason: `money` depends on the locale of the server, `json` is text that cannot be compared, `name` and
--   `"char"` are for Postgres's own catalogue and cut off silently.
-- Remedy: `numeric` or a whole number of cents, `jsonb`, `text`.

/* Bad: app_private.spoons.price
create table app_private.spoons (id uuid, price money, constraint spoons_pkey primary key (id));
*/

/* Good:
create table app_private.spoons (id uuid, price numeric, constraint spoons_pkey primary key (id));
*/

select c.name as object, format('It is a %s.', format_type(c.atttypid, c.atttypmod)) as detail, null as fix
from linted_column c
where c.relkind in ('r', 'p', 'f')
  and c.atttypid in ('money'::regtype, 'json'::regtype, 'name'::regtype, '"char"'::regtype,
    'money[]'::regtype, 'json[]'::regtype)
union all
select t.name, format('It is a domain over %s.', t.base_name), null
from linted_type t
where t.base_type in ('money'::regtype, 'json'::regtype, 'name'::regtype, '"char"'::regtype,
    'money[]'::regtype, 'json[]'::regtype)
