-- Title: Requests create nothing in a schema
-- Level: error
-- Reason: Whoever creates in a schema can put a function or an operator where another's search_path finds it.
-- Remedy: Revoke it.

/* Bad: public
grant create on schema public to public;
*/

/* Good:
grant usage on schema app_public to app_user;
*/

select
  quote_ident(n.nspname) as object,
  format('%s may create in it.', g.name) as detail,
  format('revoke create on schema %I from %s;', n.nspname, g.name) as fix
from pg_namespace n
cross join lateral aclexplode(n.nspacl) a
join request_grantee g on g.oid = a.grantee
where a.privilege_type = 'CREATE' and g.oid <> n.nspowner
  and (n.nspname = 'public' or n.oid in (select s.oid from linted_schema s where not s.is_private))
