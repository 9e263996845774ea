-- How near two vectors are: by pgvector where the database has it, or else in plain SQL. Runs
-- after our migrations, each time; idempotent, and does nothing where nothing has changed.
-- The result is the same but for the last digits: pgvector adds up in single precision.
--
-- pgvector is no trusted extension, so that only a superuser can create it, and we do not:
-- an operator does, in any schema, and runs the migrations again. The bodies are parsed here
-- and now: whoever calls needs no right to that schema, and the extension cannot be dropped
-- from under us.

do $$
declare
  home constant text := (
    select n.nspname from pg_catalog.pg_extension as e
    join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
    where e.extname = 'vector'
  );
  body text;
begin
  if exists (
    select from pg_catalog.pg_proc as p
    where p.oid = pg_catalog.to_regprocedure('app_hidden.dot_product(real[], real[])')
      and (pg_catalog.pg_get_function_sqlbody(p.oid) like '%<#>%') = (home is not null)
  ) then
    return;
  end if;
  body := case
    -- What pgvector knows is the negative one.
    when home is not null then pg_catalog.format(
      'select - (dot_product.a::%1$I.vector operator(%1$I.<#>) dot_product.b::%1$I.vector)', home)
    -- Not inlined, so that it is one call a pair; its sum is in the order of the places.
    else 'select sum(t.x::double precision * t.y) from unnest(dot_product.a, dot_product.b) as t (x, y)'
  end;
  execute pg_catalog.concat(
    'create or replace function app_hidden.dot_product(a real[], b real[]) returns double precision ',
    'language sql immutable parallel safe strict begin atomic ', body, '; end');
end
$$;
