--! Previous: sha1:4bfe0d6483ef5dd104da070f14e2c403b82635a5
--! Hash: sha1:f27f5e7a7093359b5ada3db5e60ee1c4e29e4ffe
--! Message: what clerk says

-- The mirror follows Clerk: users, organizations and memberships as its events and its
-- own lists tell of them, beside the first sight of a token.
--
-- Whatever is told is merged by what Clerk says of its age, so that events which come
-- twice, late, in any order or not at all end in the same state. What is deleted leaves
-- a tombstone: nothing older brings it back, and whoever it shuts out is refused from
-- then on, whatever their token says.

drop function if exists app_private.purge_clerk_events(app_private.attempt);
drop function if exists app_private.missing_in_clerk(uuid, integer);
drop function if exists app_private.reconcile_with_clerk(uuid, text, bigint, jsonb, text, bigint);
drop function if exists app_private.open_reconciliation();
drop function if exists app_private.apply_clerk_events(app_private.attempt, integer);
drop function if exists app_private.receive_clerk_event(text, text, timestamptz, jsonb);
drop function if exists app_private.apply_clerk_change(jsonb);
drop function if exists app_private.is_gone(text, text);
drop function if exists app_private.admit(text, text);
drop policy if exists delete_mirror on app_public.memberships;
drop policy if exists delete_personal on app_public.documents;
drop table if exists app_private.gone_members;
drop table if exists app_private.clerk_reconciliations;
drop table if exists app_private.clerk_versions;
drop table if exists app_private.clerk_events;

-- The inbox: an event is acknowledged once it is here. What it says goes when it has
-- been applied; its id stays for a while, since Clerk may send it again.
create table app_private.clerk_events (
  id text not null,
  type text not null,
  changes jsonb,
  version_at timestamptz not null,
  received_at timestamptz not null default now(),
  attempts bigint not null default 0,
  tried_at timestamptz,
  error_code text,
  outcome text,
  constraint clerk_events_pkey primary key (id),
  constraint clerk_events_id_check check (length(id) between 1 and 255),
  constraint clerk_events_type_check check (length(type) <= 100),
  constraint clerk_events_outcome_check check (outcome in ('applied', 'stale', 'unreadable'))
);
create index clerk_events_version_at_idx on app_private.clerk_events (version_at) where outcome is null;
create index clerk_events_received_at_idx on app_private.clerk_events (received_at);

-- How new the word of Clerk's is that the mirror holds of a user (no organization), an
-- organization (no user) or a membership (both). Compared in this order: when a
-- membership began, since who leaves may come back; whether it is over, since nothing
-- else can follow then; when Clerk last changed it; when Clerk said so.
create table app_private.clerk_versions (
  clerk_org_id text not null,
  clerk_user_id text not null,
  born_at timestamptz not null,
  is_deleted boolean not null,
  version_at timestamptz not null,
  told_at timestamptz not null,
  seen_in uuid,
  constraint clerk_versions_pkey primary key (clerk_org_id, clerk_user_id)
);

-- A walk through all that Clerk has, and where it is.
create table app_private.clerk_reconciliations (
  id uuid not null default uuidv7(),
  phase text not null default 'users',
  place bigint not null default 0,
  seen bigint not null default 0,
  changed bigint not null default 0,
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint clerk_reconciliations_pkey primary key (id),
  constraint clerk_reconciliations_phase_check
    check (phase in ('users', 'organizations', 'memberships', 'missing', 'done'))
);
-- One at a time.
create unique index clerk_reconciliations_open_idx on app_private.clerk_reconciliations ((finished_at is null))
  where finished_at is null;

-- Who was a member and is none any more, by whatever ended it: what every transaction
-- of a caller looks at, so small and by one key. Who was never seen is not here, and is
-- refused at first sight.
create table app_private.gone_members (
  clerk_org_id text not null,
  clerk_user_id text not null,
  constraint gone_members_pkey primary key (clerk_org_id, clerk_user_id)
);

-- Refuses a caller who is no longer a member of the organization; gives the organization
-- otherwise. Part of the statement that sets the claims of every transaction, so it holds
-- for whatever is read or written, from the moment that the end is known, and costs one
-- step into an index. Runs as the owner: nobody else may read who is gone.
create function app_private.admit(user_id text, org_id text) returns text
language plpgsql stable security definer set search_path = ''
as $$
begin
  if exists (
    select from app_private.gone_members as g
    where g.clerk_org_id = admit.org_id and g.clerk_user_id = admit.user_id
  ) then
    raise exception 'You are no longer a member of this organization.' using errcode = 'RW403';
  end if;
  return admit.org_id;
end;
$$;
grant execute on function app_private.admit(text, text) to app_api;

-- Whether Clerk has deleted the user, the organization or the membership.
create function app_private.is_gone(user_id text, org_id text) returns boolean
language sql stable set search_path = ''
begin atomic
  select exists (
    select from app_private.clerk_versions as v
    where v.clerk_org_id in ('', is_gone.org_id) and v.clerk_user_id in ('', is_gone.user_id) and v.is_deleted
  );
end;

-- As before, but for what Clerk itself has told: a token does not change that, since it
-- may be older, and brings nothing back that has a tombstone.
create or replace function app_private.provision(
  user_id text, email text, user_name text, org_id text, org_slug text, org_role text
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  org_kind app_public.organization_kind :=
    case when provision.org_id = provision.user_id then 'PERSONAL' else 'ORGANIZATION' end;
  member_role text := coalesce(provision.org_role, 'owner');
begin
  -- Mostly there is nothing to do. Reading first takes no locks, for which the
  -- members of a large organization would queue. Who has a tombstone has no membership.
  if exists (
    select from app_public.memberships as m
    join app_public.users as u on u.id = m.user_id
    join app_public.organizations as o on o.id = m.org_id
    where m.org_id = provision.org_id and m.user_id = provision.user_id and o.kind = org_kind
      and (
        m.role = member_role
        or exists (
          select from app_private.clerk_versions as v where v.clerk_org_id = m.org_id and v.clerk_user_id = m.user_id
        )
      )
      and (
        o.slug is not distinct from coalesce(provision.org_slug, o.slug)
        or exists (select from app_private.clerk_versions as v where v.clerk_org_id = o.id and v.clerk_user_id = '')
      )
      and (
        (u.email is not distinct from coalesce(provision.email, u.email)
          and u.name is not distinct from coalesce(provision.user_name, u.name))
        or exists (select from app_private.clerk_versions as v where v.clerk_org_id = '' and v.clerk_user_id = u.id)
      )
  ) then
    return;
  end if;

  -- Beside others that provision, but not while Clerk's word is applied: no tombstone
  -- can come between the look and the rows.
  perform pg_catalog.pg_advisory_xact_lock_shared(7218930017263047);
  if app_private.is_gone(provision.user_id, provision.org_id) then
    raise exception 'You are no longer a member of this organization.' using errcode = 'RW403';
  end if;

  insert into app_public.users as u (id, email, name)
  values (provision.user_id, provision.email, provision.user_name)
  on conflict (id) do update
    set email = coalesce(excluded.email, u.email), name = coalesce(excluded.name, u.name)
    where not exists (select from app_private.clerk_versions as v where v.clerk_org_id = '' and v.clerk_user_id = u.id);

  insert into app_public.organizations as o (id, kind, name, slug)
  values (
    provision.org_id,
    org_kind,
    case org_kind when 'PERSONAL' then 'Personal' else coalesce(provision.org_slug, provision.org_id) end,
    provision.org_slug
  )
  on conflict (id) do update
    set slug = coalesce(excluded.slug, o.slug),
      -- Known by its id only until a token says more.
      name = case when o.name = o.id then coalesce(excluded.slug, o.name) else o.name end
    where o.kind = excluded.kind
      and not exists (select from app_private.clerk_versions as v where v.clerk_org_id = o.id and v.clerk_user_id = '');
  -- No token names a personal space as an organization, or the other way round.
  if not exists (
    select from app_public.organizations as o where o.id = provision.org_id and o.kind = org_kind
  ) then
    raise exception 'Organization and personal space differ.' using errcode = 'RW403';
  end if;

  insert into app_public.memberships as m (org_id, user_id, role)
  values (provision.org_id, provision.user_id, member_role)
  on conflict on constraint memberships_pkey do update set role = excluded.role
    where not exists (
      select from app_private.clerk_versions as v where v.clerk_org_id = m.org_id and v.clerk_user_id = m.user_id
    );
end;
$$;

-- The mirror's functions take away what Clerk has taken away.
create policy delete_mirror on app_public.memberships for delete to current_user using (true);
-- They empty the personal space of a deleted user, which they enter for that, and no
-- organization: there nobody owns documents who is called as it is.
create policy delete_personal on app_public.documents for delete to current_user
  using (org_id = (select app_hidden.current_org_id()) and owner_id = org_id);

-- Merges one thing that Clerk says into the mirror, as `ClerkChange` in
-- services/clerk/changes.ts. `stale` when something newer is known, `applied` when the
-- mirror changed, else `same`. The caller holds the lock.
create function app_private.apply_clerk_change(change jsonb) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  told record;
  rows_now bigint;
  rows_changed bigint := 0;
begin
  select * into told from pg_catalog.jsonb_to_record(apply_clerk_change.change) as c (
    "orgId" text, "userId" text, "bornAt" timestamptz, "isDeleted" boolean, "versionAt" timestamptz,
    "toldAt" timestamptz, email text, name text, slug text, role text
  );
  insert into app_private.clerk_versions as v (clerk_org_id, clerk_user_id, born_at, is_deleted, version_at, told_at)
  values (told."orgId", told."userId", told."bornAt", told."isDeleted", told."versionAt", told."toldAt")
  on conflict on constraint clerk_versions_pkey do update
    set born_at = excluded.born_at, is_deleted = excluded.is_deleted,
      version_at = excluded.version_at, told_at = excluded.told_at
    where (v.born_at, v.is_deleted, v.version_at, v.told_at)
      < (excluded.born_at, excluded.is_deleted, excluded.version_at, excluded.told_at);
  if not found then
    return 'stale';
  end if;

  if told."isDeleted" then
    with ended as (
      delete from app_public.memberships as m
      where (told."orgId" = '' or m.org_id = told."orgId") and (told."userId" = '' or m.user_id = told."userId")
      returning m.org_id, m.user_id
    )
    insert into app_private.gone_members (clerk_org_id, clerk_user_id)
    select e.org_id, e.user_id from ended as e
    on conflict on constraint gone_members_pkey do nothing;
    get diagnostics rows_changed = row_count;
    if told."orgId" = '' then
      -- The id stays: documents of organizations name their owner by it.
      update app_public.users as u set email = null, name = null
      where u.id = told."userId" and (u.email is not null or u.name is not null);
      get diagnostics rows_now = row_count;
      perform pg_catalog.set_config('jwt.org_id', told."userId", true);
      delete from app_public.documents as d where d.org_id = told."userId";
      perform pg_catalog.set_config('jwt.org_id', '', true);
      rows_changed := rows_changed + rows_now;
    end if;
  elsif told."orgId" = '' then
    insert into app_public.users as u (id, email, name) values (told."userId", told.email, told.name)
    on conflict (id) do update set email = excluded.email, name = excluded.name
      where (u.email, u.name) is distinct from (excluded.email, excluded.name);
    get diagnostics rows_changed = row_count;
  elsif told."userId" = '' then
    insert into app_public.organizations as o (id, kind, name, slug)
    values (told."orgId", 'ORGANIZATION', told.name, told.slug)
    on conflict (id) do update set name = excluded.name, slug = excluded.slug
      where (o.name, o.slug) is distinct from (excluded.name, excluded.slug);
    get diagnostics rows_changed = row_count;
  elsif not app_private.is_gone(told."userId", told."orgId") then
    -- An event about them may still be on its way.
    insert into app_public.users (id) values (told."userId") on conflict (id) do nothing;
    insert into app_public.organizations (id, kind, name)
    values (told."orgId", 'ORGANIZATION', told."orgId") on conflict (id) do nothing;
    insert into app_public.memberships as m (org_id, user_id, role)
    values (told."orgId", told."userId", told.role)
    on conflict on constraint memberships_pkey do update set role = excluded.role
      where m.role <> excluded.role;
    get diagnostics rows_changed = row_count;
    delete from app_private.gone_members as g
    where g.clerk_org_id = told."orgId" and g.clerk_user_id = told."userId";
  end if;
  return case when rows_changed > 0 then 'applied' else 'same' end;
end;
$$;

-- Puts an event into the inbox, and has the worker look there. False for one that is
-- there already. One whose contents nobody could read is noted, and no more.
create function app_private.receive_clerk_event(
  event_id text, type text, version_at timestamptz, changes jsonb
) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  job_id bigint;
begin
  insert into app_private.clerk_events (id, type, version_at, changes, outcome)
  values (
    receive_clerk_event.event_id, pg_catalog.left(receive_clerk_event.type, 100),
    receive_clerk_event.version_at, receive_clerk_event.changes,
    case when receive_clerk_event.changes is null then 'unreadable' end
  )
  on conflict on constraint clerk_events_pkey do nothing;
  if not found then
    return false;
  end if;
  -- As in app_private.enqueue: nothing is added where a worker takes the job meanwhile.
  for round in 1..10 loop
    exit when receive_clerk_event.changes is null or job_id is not null;
    select j.id into job_id
    from graphile_worker.add_job('clerk_events__apply', '{}', job_key => 'clerk_events__apply') as j;
  end loop;
  return true;
end;
$$;
grant execute on function app_private.receive_clerk_event(text, text, timestamptz, jsonb) to app_api;

-- Applies events that wait, oldest word first, and counts what became of them. One that
-- fails keeps no other waiting: it is tried again, ten times at most.
create function app_private.apply_clerk_events(
  attempt app_private.attempt, max_events integer,
  out applied integer, out stale integer, out failed integer
)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  event record;
  change jsonb;
  is_stale boolean;
begin
  perform app_private.enter_attempt(apply_clerk_events.attempt);
  perform pg_catalog.pg_advisory_xact_lock(7218930017263047);
  applied := 0;
  stale := 0;
  failed := 0;
  for event in
    select e.id, e.changes from app_private.clerk_events as e
    where e.outcome is null and e.attempts < 10
      and (e.tried_at is null or e.tried_at < pg_catalog.now() - interval '1 minute')
    order by e.version_at, e.id
    limit apply_clerk_events.max_events
  loop
    begin
      is_stale := true;
      for change in select c.value from pg_catalog.jsonb_array_elements(event.changes) as c loop
        if app_private.apply_clerk_change(change) <> 'stale' then
          is_stale := false;
        end if;
      end loop;
      update app_private.clerk_events as e
      set outcome = case when is_stale then 'stale' else 'applied' end, changes = null,
        attempts = e.attempts + 1, tried_at = pg_catalog.now(), error_code = null
      where e.id = event.id;
      if is_stale then
        stale := stale + 1;
      else
        applied := applied + 1;
      end if;
    exception when others then
      -- Not what another transaction may have caused: the whole is tried again.
      if sqlstate like '40%' or sqlstate like '57%' or sqlstate like '53%' then
        raise;
      end if;
      update app_private.clerk_events as e
      set attempts = e.attempts + 1, tried_at = pg_catalog.now(), error_code = sqlstate
      where e.id = event.id;
      failed := failed + 1;
    end;
  end loop;
end;
$$;

-- Forgets events that were applied or could not be read, and old walks.
create function app_private.purge_clerk_events(attempt app_private.attempt) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(purge_clerk_events.attempt);
  delete from app_private.clerk_events as e
  where e.received_at < pg_catalog.now() - interval '7 days'
    and (e.outcome is not null or e.received_at < pg_catalog.now() - interval '30 days');
  delete from app_private.clerk_reconciliations as r where r.finished_at < pg_catalog.now() - interval '30 days';
end;
$$;

-- The walk that is under way, or a new one.
create function app_private.open_reconciliation() returns app_private.clerk_reconciliations
language plpgsql volatile security definer set search_path = ''
as $$
declare
  walk app_private.clerk_reconciliations;
begin
  -- One that nobody has gone on with for a day: what it has seen is old.
  update app_private.clerk_reconciliations as r set finished_at = pg_catalog.now()
  where r.finished_at is null and r.updated_at < pg_catalog.now() - interval '1 day';
  insert into app_private.clerk_reconciliations default values
  on conflict ((finished_at is null)) where finished_at is null do nothing;
  select * into walk from app_private.clerk_reconciliations as r where r.finished_at is null;
  return walk;
end;
$$;

-- Merges one page of a walk and notes how far it is, together. Refuses a page from a
-- place where the walk no longer is: another walker came first.
create function app_private.reconcile_with_clerk(
  walk_id uuid, phase text, place bigint, changes jsonb, next_phase text, next_place bigint
) returns app_private.clerk_reconciliations
language plpgsql volatile security definer set search_path = ''
as $$
declare
  walk app_private.clerk_reconciliations;
  change jsonb;
  changed_now bigint := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(7218930017263047);
  for change in select c.value from pg_catalog.jsonb_array_elements(reconcile_with_clerk.changes) as c loop
    if app_private.apply_clerk_change(change) = 'applied' then
      changed_now := changed_now + 1;
    end if;
  end loop;
  update app_private.clerk_versions as v set seen_in = reconcile_with_clerk.walk_id
  from pg_catalog.jsonb_to_recordset(reconcile_with_clerk.changes) as c ("orgId" text, "userId" text)
  where v.clerk_org_id = c."orgId" and v.clerk_user_id = c."userId";
  update app_private.clerk_reconciliations as r
  set phase = reconcile_with_clerk.next_phase, place = reconcile_with_clerk.next_place,
    seen = r.seen + pg_catalog.jsonb_array_length(reconcile_with_clerk.changes),
    changed = r.changed + changed_now, updated_at = pg_catalog.now(),
    finished_at = case when reconcile_with_clerk.next_phase = 'done' then pg_catalog.now() end
  where r.id = reconcile_with_clerk.walk_id and r.phase = reconcile_with_clerk.phase
    and r.place = reconcile_with_clerk.place and r.finished_at is null
  returning * into walk;
  if not found then
    raise exception 'This reconciliation is somewhere else by now.' using errcode = 'RW409';
  end if;
  return walk;
end;
$$;

-- What the mirror has and a walk has not seen: gone from Clerk, or passed over because
-- pages shift while they are read. `of_all` says how many there are, `known` of how many.
create function app_private.missing_in_clerk(walk_id uuid, max_rows integer)
returns table (org_id text, user_id text, born_at timestamptz, of_all bigint, known bigint)
language plpgsql stable security definer set search_path = ''
as $$
begin
  return query
    with mirrored as (
      select '' as org_id, u.id as user_id, u.created_at from app_public.users as u
      union all
      select o.id, '', o.created_at from app_public.organizations as o where o.kind = 'ORGANIZATION'
      union all
      select m.org_id, m.user_id, m.created_at from app_public.memberships as m where m.org_id <> m.user_id
    ), judged as (
      select x.org_id, x.user_id, coalesce(v.born_at, pg_catalog.to_timestamp(0)) as born_at,
        v.seen_in is distinct from missing_in_clerk.walk_id and x.created_at < r.started_at as is_missing
      from mirrored as x
      cross join app_private.clerk_reconciliations as r
      left join app_private.clerk_versions as v on v.clerk_org_id = x.org_id and v.clerk_user_id = x.user_id
      where r.id = missing_in_clerk.walk_id and v.is_deleted is not true
    ), counted as (
      select pg_catalog.count(*) as known, pg_catalog.count(*) filter (where j.is_missing) as of_all from judged as j
    )
    select j.org_id, j.user_id, j.born_at, c.of_all, c.known
    from judged as j cross join counted as c
    where j.is_missing
    order by j.org_id, j.user_id
    limit missing_in_clerk.max_rows;
end;
$$;

grant execute on function
  app_private.apply_clerk_events(app_private.attempt, integer),
  app_private.purge_clerk_events(app_private.attempt),
  app_private.open_reconciliation(),
  app_private.reconcile_with_clerk(uuid, text, bigint, jsonb, text, bigint),
  app_private.missing_in_clerk(uuid, integer)
to app_worker;

comment on table app_private.clerk_events is 'Events of Clerk: the inbox.';
comment on column app_private.clerk_events.id is 'The id of the delivery (`svix-id`), the same each time it is tried.';
comment on column app_private.clerk_events.type is 'What happened, in Clerk''s words: `user.updated`.';
comment on column app_private.clerk_events.changes is 'What it says, until it has been applied.';
comment on column app_private.clerk_events.version_at is 'When Clerk changed what it tells of: the order in which events are applied.';
comment on column app_private.clerk_events.received_at is 'When it was acknowledged.';
comment on column app_private.clerk_events.attempts is 'How often it was tried.';
comment on column app_private.clerk_events.tried_at is 'When it was last tried.';
comment on column app_private.clerk_events.error_code is 'SQLSTATE of the last attempt, where that failed.';
comment on column app_private.clerk_events.outcome is 'applied; stale, where something newer was known; unreadable. Null while it waits.';
comment on table app_private.clerk_versions is 'How new the mirror''s knowledge is of a user, an organization or a membership; also of those that are gone.';
comment on column app_private.clerk_versions.clerk_org_id is 'The organization; empty for a user.';
comment on column app_private.clerk_versions.clerk_user_id is 'The user; empty for an organization.';
comment on column app_private.clerk_versions.born_at is 'When the membership began; the same for all users and organizations.';
comment on column app_private.clerk_versions.is_deleted is 'Whether this is a tombstone.';
comment on column app_private.clerk_versions.version_at is 'When Clerk last changed it.';
comment on column app_private.clerk_versions.told_at is 'When Clerk said so.';
comment on column app_private.clerk_versions.seen_in is 'The last reconciliation that found it at Clerk.';
comment on table app_private.gone_members is 'Who was a member of an organization, or had a personal space, and is refused now.';
comment on column app_private.gone_members.clerk_org_id is 'The organization, or the personal space.';
comment on column app_private.gone_members.clerk_user_id is 'The user.';
comment on table app_private.clerk_reconciliations is 'Walks through all that Clerk has.';
comment on column app_private.clerk_reconciliations.id is 'Sorts by time.';
comment on column app_private.clerk_reconciliations.phase is 'What is read now; missing: what Clerk did not list is asked for one by one.';
comment on column app_private.clerk_reconciliations.place is 'How many of the phase are done.';
comment on column app_private.clerk_reconciliations.seen is 'Things looked at.';
comment on column app_private.clerk_reconciliations.changed is 'Things that the mirror had otherwise.';
comment on column app_private.clerk_reconciliations.started_at is 'When it began.';
comment on column app_private.clerk_reconciliations.updated_at is 'When it last went on.';
comment on column app_private.clerk_reconciliations.finished_at is 'When it ended.';
comment on function app_private.admit(text, text) is 'Gives the organization back; RW403 for who is no longer a member.';
comment on function app_private.is_gone(text, text) is 'Whether Clerk has deleted the user, the organization or the membership.';
comment on function app_private.apply_clerk_change(jsonb) is 'Merges one thing that Clerk says into the mirror: applied, same or stale.';
comment on function app_private.receive_clerk_event(text, text, timestamptz, jsonb) is 'Puts an event of Clerk into the inbox; false when it is there already.';
comment on function app_private.apply_clerk_events(app_private.attempt, integer) is 'Applies events of Clerk that wait; the job clerk_events__apply.';
comment on function app_private.purge_clerk_events(app_private.attempt) is 'Forgets old events and reconciliations; the job clerk_events__purge.';
comment on function app_private.open_reconciliation() is 'The reconciliation that is under way, or a new one.';
comment on function app_private.reconcile_with_clerk(uuid, text, bigint, jsonb, text, bigint) is 'Merges a page of a reconciliation and notes its place; RW409 when it is somewhere else.';
comment on function app_private.missing_in_clerk(uuid, integer) is 'What the mirror has and a reconciliation has not seen.';
