-- Title: No function that requests may call, or that runs as its owner, builds SQL
-- Level: error
-- Reason: SQL put together from text can be led to do something else, with the rights of whoever runs it.
-- Remedy: Write the statements out. Where names have to vary, choose among them by `case`.

/* Bad: app_private.count_rows(text)
create function app_private.count_rows(relation text) returns bigint
language plpgsql stable security definer set search_path = ''
as $$
declare
  counted bigint;
begin
  execute 'select count(*) from ' || relation into counted;
  return counted;
end;
$$;
comment on function app_private.count_rows(text) is 'How many rows a table has.';
*/

/* Good:
create function app_private.count_rows(relation text) returns bigint
language plpgsql stable security definer set search_path = ''
as $$
begin
  return case relation
    when 'documents' then (select pg_catalog.count(*) from app_public.documents)
    when 'users' then (select pg_catalog.count(*) from app_public.users)
  end;
end;
$$;
comment on function app_private.count_rows(text) is 'How many rows a table has.';
*/

select
  f.name as object,
  format('It executes text, %s.', case when f.prosecdef then format('as %s', f.proowner::regrole) else 'for requests' end) as detail,
  null as fix
from linted_function f
where f.lanname = 'plpgsql' and f.code ~* '\mexecute\M'
  and (f.prosecdef or f.oid in (select r.oid from request_function r))
