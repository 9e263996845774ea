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
  select f.oid from linted_function f
  where f.body ~* '\mset_config\s*\(' or f.body ~* '\mupdate\s+(pg_catalog\.)?pg_settings\M'
    or f.lanname = 'plpgsql' and f.code ~* '(?:^|;|\mbegin\M|\mthen\M|\melse\M|\mloop\M)\s*(?:set|reset)\s'
),
-- Backwards from there: whoever calls one of them, and whom it calls to get there.
reaching as (
  select c.oid, null::oid as by_way_of from changing c
  union
  select c.caller, c.callee from reaching r join function_call c on c.callee = r.oid
)
select
  f.name as object,
  case when f.oid in (select c.oid from changing c) then 'It changes settings.'
    else format('It calls %s, and so changes settings.', string_agg(r.by_way_of::regprocedure::text, ', ' order by r.by_way_of::regprocedure::text)) end as detail,
  null as fix
from reaching r join request_function f on f.oid = r.oid
group by f.oid, f.name
