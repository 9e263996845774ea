-- Title: Nothing counts with a sequence
-- Level: warning
-- Reason: Ids from a sequence tell how many rows all tenants have made, and can be guessed.
-- Remedy: `id uuid not null default uuidv7()`. In a table that is not exposed, an identity column is fine.

/* Bad: app_private.spoons.number
create table app_private.spoons (number serial, constraint spoons_pkey primary key (number));
*/

/* Good:
create table app_private.spoons (
  number bigint generated always as identity,
  constraint spoons_pkey primary key (number)
);
*/

select
  c.name as object,
  case when c.attidentity <> '' then 'It is an identity column of an exposed table.' else format('It defaults to %s.', c.default_text) end as detail,
  null as fix
from linted_column c
where c.default_text ~ '\mnextval\(' or c.attidentity <> '' and c.is_exposed
