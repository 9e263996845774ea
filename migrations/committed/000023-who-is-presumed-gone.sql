--! Previous: sha1:5017901fbf8e5049d8d73eb802f79583b05fc1dc
--! Hash: sha1:051ca03bd7577bafbeb4d1c6de4d97bae51a99c8
--! Message: who is presumed gone

-- What reconciliation concludes from Clerk's silence is no word of Clerk's: a key of
-- another instance is silent about everybody. So it shuts out, and no more. Whoever it
-- later finds at Clerk is let in again, and what people wrote in their personal space
-- goes a week after, unless an event of Clerk's says that they are gone.

-- Users whose own space is still to be emptied: read and written by the mirror's functions alone.
create table if not exists app_private.pending_erasures (
  clerk_user_id text not null,
  due_at timestamptz not null,
  constraint pending_erasures_pkey primary key (clerk_user_id)
);
create index if not exists pending_erasures_due_at_idx on app_private.pending_erasures (due_at);

alter table app_private.clerk_versions add column if not exists is_inferred boolean not null default false;

-- A walk that was broken off, because Clerk lacks more than can be true, is over too.
alter table app_private.clerk_reconciliations
  drop constraint if exists clerk_reconciliations_phase_check,
  add constraint clerk_reconciliations_phase_check
    check (phase in ('users', 'organizations', 'memberships', 'missing', 'done', 'refused')) not valid;
-- The table has a row a walk.
-- squawk-ignore constraint-missing-not-valid
alter table app_private.clerk_reconciliations validate constraint clerk_reconciliations_phase_check;

-- What a user who is gone wrote for nobody else: their own space is emptied, and what
-- they asked the AI service is erased in organizations too.
create or replace function app_private.erase_user(user_id text) returns bigint
language plpgsql volatile set search_path = ''
as $$
declare
  rows_now bigint;
  rows_erased bigint;
begin
  perform pg_catalog.set_config('jwt.org_id', erase_user.user_id, true);
  delete from app_public.documents as d where d.org_id = erase_user.user_id;
  get diagnostics rows_erased = row_count;
  -- Their objects follow: each row adds the job that deletes them.
  delete from app_public.files as f where f.org_id = erase_user.user_id;
  get diagnostics rows_now = row_count;
  perform pg_catalog.set_config('jwt.org_id', '', true);
  return rows_erased + rows_now + app_private.erase_generations(erase_user.user_id);
end;
$$;

-- As before, but that reconciliation, which has asked (`isAsked`), concludes what it may
-- take back. Its words and its conclusions about one thing are compared by when it asked.
-- An event that says something is gone is beyond both, and one that says anything else
-- does not bring back what reconciliation did not find: it does, when it asks again.
create or replace function app_private.apply_clerk_change(change jsonb) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  told record;
  rows_now bigint;
  rows_changed bigint := 0;
begin
  select * into told from pg_catalog.jsonb_to_record(apply_clerk_change.change) as c (
    "orgId" text, "userId" text, "bornAt" timestamptz, "isDeleted" boolean, "versionAt" timestamptz,
    "toldAt" timestamptz, email text, name text, slug text, role text, "isAsked" boolean
  );
  insert into app_private.clerk_versions as v
    (clerk_org_id, clerk_user_id, born_at, is_deleted, is_inferred, version_at, told_at)
  values (
    told."orgId", told."userId", told."bornAt", told."isDeleted", told."isDeleted" and told."isAsked" is true,
    told."versionAt", told."toldAt"
  )
  on conflict on constraint clerk_versions_pkey do update
    set born_at = excluded.born_at, is_deleted = excluded.is_deleted, is_inferred = excluded.is_inferred,
      version_at = excluded.version_at, told_at = excluded.told_at
    where case
      when v.born_at <> excluded.born_at then v.born_at < excluded.born_at
      -- What was found by asking and what was not: whichever was asked for later.
      when v.is_inferred and not excluded.is_deleted then told."isAsked" is true and v.told_at < excluded.told_at
      when excluded.is_inferred and not v.is_deleted then v.told_at < excluded.told_at
      else (v.is_deleted, not v.is_inferred, v.version_at, v.told_at)
        < (excluded.is_deleted, not excluded.is_inferred, excluded.version_at, excluded.told_at)
    end;
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
      rows_changed := rows_changed + rows_now;
      if told."isAsked" is true then
        insert into app_private.pending_erasures (clerk_user_id, due_at)
        values (told."userId", pg_catalog.now() + interval '7 days')
        on conflict on constraint pending_erasures_pkey do nothing;
      else
        rows_changed := rows_changed + app_private.erase_user(told."userId");
        -- And what a request that was let in before this commits after it.
        insert into app_private.pending_erasures as p (clerk_user_id, due_at)
        values (told."userId", pg_catalog.now() + interval '15 minutes')
        on conflict on constraint pending_erasures_pkey do update set due_at = excluded.due_at;
      end if;
    end if;
  elsif told."orgId" = '' then
    insert into app_public.users as u (id, email, name) values (told."userId", told.email, told.name)
    on conflict (id) do update set email = excluded.email, name = excluded.name
      where (u.email, u.name) is distinct from (excluded.email, excluded.name);
    get diagnostics rows_changed = row_count;
    -- Who was taken for gone has their own space again. Organizations tell of their members themselves.
    delete from app_private.pending_erasures as p where p.clerk_user_id = told."userId";
    with back as (
      delete from app_private.gone_members as g
      where g.clerk_org_id = told."userId" and g.clerk_user_id = told."userId"
      returning g.clerk_user_id
    )
    insert into app_public.memberships (org_id, user_id, role)
    select b.clerk_user_id, b.clerk_user_id, 'owner' from back as b
    on conflict on constraint memberships_pkey do nothing;
    get diagnostics rows_now = row_count;
    rows_changed := rows_changed + rows_now;
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

-- As before, but that it asks, and that a walk can be refused.
create or replace function app_private.reconcile_with_clerk(
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
    if app_private.apply_clerk_change(change || '{"isAsked": true}') = 'applied' then
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
    finished_at = case when reconcile_with_clerk.next_phase in ('done', 'refused') then pg_catalog.now() end
  where r.id = reconcile_with_clerk.walk_id and r.phase = reconcile_with_clerk.phase
    and r.place = reconcile_with_clerk.place and r.finished_at is null
  returning * into walk;
  if not found then
    raise exception 'This reconciliation is somewhere else by now.' using errcode = 'RW409';
  end if;
  return walk;
end;
$$;

-- As before, but of what was there before the walk: what a walk brought itself says
-- nothing of whether it is right.
create or replace function app_private.missing_in_clerk(walk_id uuid, max_rows integer)
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
        v.seen_in is distinct from missing_in_clerk.walk_id as is_missing
      from mirrored as x
      cross join app_private.clerk_reconciliations as r
      left join app_private.clerk_versions as v on v.clerk_org_id = x.org_id and v.clerk_user_id = x.user_id
      where r.id = missing_in_clerk.walk_id and v.is_deleted is not true and x.created_at < r.started_at
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

-- Some users and organizations of the mirror that Clerk has to know, drawn by lot: where
-- it knows none, it is another instance.
create or replace function app_private.sample_of_mirror(max_rows integer)
returns table (org_id text, user_id text)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return query
    select x.org_id, x.user_id
    from (
      select '' as org_id, u.id as user_id from app_public.users as u
      union all
      select o.id, '' from app_public.organizations as o where o.kind = 'ORGANIZATION'
    ) as x
    where not exists (
      select from app_private.clerk_versions as v
      where v.clerk_org_id = x.org_id and v.clerk_user_id = x.user_id and v.is_deleted
    )
    order by pg_catalog.random()
    limit sample_of_mirror.max_rows;
end;
$$;

-- Erases what is due of users who are gone, and says of how many.
create or replace function app_private.erase_gone_users(attempt app_private.attempt, max_users integer) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  due record;
  erased integer := 0;
begin
  perform app_private.enter_attempt(erase_gone_users.attempt);
  -- Nobody comes back meanwhile.
  perform pg_catalog.pg_advisory_xact_lock(7218930017263047);
  for due in
    delete from app_private.pending_erasures as p
    where p.clerk_user_id in (
      select q.clerk_user_id from app_private.pending_erasures as q
      where q.due_at <= pg_catalog.now()
      order by q.due_at
      limit erase_gone_users.max_users
    )
    returning p.clerk_user_id
  loop
    perform app_private.erase_user(due.clerk_user_id);
    erased := erased + 1;
  end loop;
  return erased;
end;
$$;

grant execute on function
  app_private.sample_of_mirror(integer),
  app_private.erase_gone_users(app_private.attempt, integer)
to app_worker;

-- Whatever was being written while its user went.
insert into app_private.pending_erasures (clerk_user_id, due_at)
select v.clerk_user_id, pg_catalog.now() from app_private.clerk_versions as v
where v.clerk_org_id = '' and v.is_deleted
on conflict on constraint pending_erasures_pkey do nothing;

comment on table app_private.pending_erasures is 'Users who are gone, and whose personal space is still to be emptied.';
comment on column app_private.pending_erasures.clerk_user_id is 'The user.';
comment on column app_private.pending_erasures.due_at is 'From when on.';
comment on column app_private.clerk_versions.is_inferred is 'Whether a tombstone is what reconciliation concluded, which did not find it at Clerk, and no event says so.';
comment on column app_private.clerk_reconciliations.phase is 'What is read now; missing: what Clerk did not list is asked for one by one; refused: more was missing than can be true.';
comment on function app_private.erase_user(text) is 'Empties the personal space of a user, and erases their prompts everywhere; says how many rows.';
comment on function app_private.sample_of_mirror(integer) is 'Some users and organizations that Clerk has to know.';
comment on function app_private.erase_gone_users(app_private.attempt, integer) is 'Erases what is due of users who are gone; the job users__erase.';
