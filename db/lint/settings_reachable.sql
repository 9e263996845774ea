-- Title: No function that requests may call changes settings
-- Level: error
-- Reason: The claims of a request are settings. A caller who reaches set_config becomes another user, or
--   another tenant. Followed are calls that stand in the bodies of functions; not followed are triggers, views
--   and operators.
-- Remedy: Take the call out, or revoke the function from requests.
-- Needs: request role

/* Bad: app_public.act_for(text)
create function app_private.enter(tenant text) returns text language sql volatile
return set_config('jwt.org_id', tenant, true);
create function app_public.act_for(tenant text) returns text language sql volatile
return app_private.enter(tenant);
grant execute on function app_public.act_for(text) to app_user;
comment on function app_private.enter(text) is 'Switches the organization.';
comment on function app_public.act_for(text) is 'Switches the organization.';
*/

/* Good:
create function app_private.enter(tenant text) returns text language sql volatile
return set_config('jwt.org_id', tenant, true);
create function app_public.act_for(tenant text) returns text language sql volatile
return app_hidden.current_org_id();
grant execute on function app_public.act_for(text) to app_user;
comment on function app_private.enter(text) is 'Switches the organization; granted to nobody.';
comment on function app_public.act_for(text) is 'The organization there is.';
*/

with recursive changing as (
  select f.oid, f.name from linted_function f
  where f.body ~* '\mset_config\s*\(' or f.body ~* '\mupdate\s+(pg_catalog\.)?pg_settings\M'
    or f.lanname = 'plpgsql' and f.code ~* '(?:^|;|\mbegin\M|\mthen\M|\melse\M|\mloop\M)\s*(?:set|reset)\s'
),
path as (
  select r.oid as start, r.oid, array[r.oid] as seen from request_function r
  union all
  select p.start, c.callee, p.seen || c.callee
  from path p join function_call c on c.caller = p.oid
  where c.callee <> all (p.seen) and p.oid not in (select oid from changing)
)
select distinct on (f.name)
  f.name as object,
  format('It reaches a change of settings: %s.', (
    select string_agg(s.oid::regprocedure::text, ' → ' order by s.place) from unnest(p.seen) with ordinality as s (oid, place)
  )) as detail,
  null as fix
from path p join changing c on c.oid = p.oid join linted_function f on f.oid = p.start
order by f.name, cardinality(p.seen)
