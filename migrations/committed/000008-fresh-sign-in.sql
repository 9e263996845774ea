--! Previous: sha1:42f3e42cd314d1e2db8cb66ae6e7c1fc98f9bbee
--! Hash: sha1:4bfe0d6483ef5dd104da070f14e2c403b82635a5
--! Message: fresh sign in

-- When the caller last proved who they are, for policies that ask it of what must not be
-- done at an unwatched desk: `(select app_hidden.is_fresh(10))`.

-- Whether a time in seconds since 1970 lies less than so many minutes back. Null and
-- whatever is no such number are never.
create or replace function app_hidden.is_within(seconds text, minutes integer) returns boolean
language sql stable parallel safe
return coalesce(
  case when is_within.seconds ~ '^[0-9]{1,12}$'
    then pg_catalog.to_timestamp(is_within.seconds::double precision)
      > pg_catalog.now() - pg_catalog.make_interval(mins => is_within.minutes)
  end,
  false
);

create or replace function app_hidden.is_fresh(minutes integer) returns boolean
language sql stable parallel safe
return app_hidden.is_within(nullif(pg_catalog.current_setting('jwt.first_factor_at', true), ''), is_fresh.minutes);

-- As Clerk has it: who has no second factor is asked for the first.
create or replace function app_hidden.is_second_factor_fresh(minutes integer) returns boolean
language sql stable parallel safe
return app_hidden.is_within(
  coalesce(
    nullif(pg_catalog.current_setting('jwt.second_factor_at', true), ''),
    nullif(pg_catalog.current_setting('jwt.first_factor_at', true), '')
  ),
  is_second_factor_fresh.minutes
);

grant execute on function
  app_hidden.is_within(text, integer),
  app_hidden.is_fresh(integer),
  app_hidden.is_second_factor_fresh(integer)
to app_user;

comment on function app_hidden.is_within(text, integer) is 'Whether a time in seconds since 1970 lies less than so many minutes back.';
comment on function app_hidden.is_fresh(integer) is 'Whether the caller gave a first factor (a password, say) less than so many minutes ago.';
comment on function app_hidden.is_second_factor_fresh(integer) is 'Whether the caller gave a second factor less than so many minutes ago; the first, for who has no second.';
