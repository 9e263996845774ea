--! Previous: sha1:d22cb33d0ebe9d5468fa6827d58d9c866bbe6201
--! Hash: sha1:6a31ece6ce7e9d7271bcbcc265ad870e3a148d31
--! Message: users organizations and memberships

-- The mirror of Clerk: who exists, which organizations, who belongs where.
-- Ids are Clerk's own. Rows come from the first sight of a token (below), and
-- nobody may write them through the API: Clerk is where people change them.

drop table if exists app_public.memberships, app_public.organizations, app_public.users cascade;
drop type if exists app_public.organization_kind;
drop function if exists app_private.provision(text, text, text, text, text, text);

create type app_public.organization_kind as enum ('ORGANIZATION', 'PERSONAL');
comment on type app_public.organization_kind is 'Whether an organization is shared, or the personal space of one user.';
grant usage on type app_public.organization_kind to app_user;

create table app_public.users (
  id text not null,
  email text,
  name text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint users_pkey primary key (id),
  constraint users_id_check check (length(id) between 1 and 255),
  constraint users_email_check check (length(email) <= 320),
  constraint users_name_check check (length(name) <= 255)
);

create table app_public.organizations (
  id text not null,
  kind app_public.organization_kind not null,
  name text not null,
  slug text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint organizations_pkey primary key (id),
  constraint organizations_id_check check (length(id) between 1 and 255),
  constraint organizations_name_check check (length(name) between 1 and 255),
  constraint organizations_slug_check check (length(slug) <= 255)
);

create table app_public.memberships (
  org_id text not null,
  user_id text not null,
  role text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint memberships_pkey primary key (org_id, user_id),
  constraint memberships_org_id_fkey foreign key (org_id) references app_public.organizations (id) on delete cascade,
  constraint memberships_user_id_fkey foreign key (user_id) references app_public.users (id) on delete cascade,
  constraint memberships_role_check check (length(role) between 1 and 100)
);

alter table app_public.users enable row level security, force row level security;
alter table app_public.organizations enable row level security, force row level security;
alter table app_public.memberships enable row level security, force row level security;

create index memberships_user_id_created_at_org_id_idx on app_public.memberships (user_id, created_at desc, org_id desc);
create index memberships_org_id_created_at_user_id_idx on app_public.memberships (org_id, created_at desc, user_id desc);

create trigger _100_touch before update on app_public.users
  for each row execute function app_private.tg__touch();
create trigger _100_touch before update on app_public.organizations
  for each row execute function app_private.tg__touch();
create trigger _100_touch before update on app_public.memberships
  for each row execute function app_private.tg__touch();

-- A caller sees the memberships of the current organization, and their own everywhere.
create policy select_member on app_public.memberships for select to app_user using (
  org_id = (select app_hidden.current_org_id())
  or user_id = (select app_hidden.current_user_id())
);

-- A caller sees themselves and whoever is a member of the current organization.
-- A scalar subquery and not `exists`: the planner may turn an exists into a hash of
-- all members, which costs as much as the organization is large.
create policy select_member on app_public.users for select to app_user using (
  id = (select app_hidden.current_user_id())
  or (
    select true from app_public.memberships as m
    where m.org_id = (select app_hidden.current_org_id()) and m.user_id = users.id
  )
);

-- A caller sees the organizations they belong to. The array is computed once a
-- query, so the primary key serves it however many organizations there are.
create policy select_member on app_public.organizations for select to app_user using (
  id = any (array(
    select m.org_id from app_public.memberships as m
    where m.user_id = (select app_hidden.current_user_id())
  ))
);

-- Forced row-level security binds the owner too. The mirror's own functions,
-- which run as the owner, may pass here and nowhere else.
create policy select_mirror on app_public.users for select to current_user using (true);
create policy insert_mirror on app_public.users for insert to current_user with check (true);
create policy update_mirror on app_public.users for update to current_user using (true) with check (true);
create policy select_mirror on app_public.organizations for select to current_user using (true);
create policy insert_mirror on app_public.organizations for insert to current_user with check (true);
create policy update_mirror on app_public.organizations for update to current_user using (true) with check (true);
create policy select_mirror on app_public.memberships for select to current_user using (true);
create policy insert_mirror on app_public.memberships for insert to current_user with check (true);
create policy update_mirror on app_public.memberships for update to current_user using (true) with check (true);

-- Read only: no insert, update or delete is granted on any of the three.
grant select on app_public.users, app_public.organizations, app_public.memberships to app_user;

-- Makes sure that the user, organization and membership of a verified token
-- exist. Runs as the owner, because app_user may not write the mirror, and only
-- the API's login may call it, which passes what it verified.
-- `org_slug` and `org_role` are null in the personal space. What a token does
-- not say (an email, a name) never erases what is known.
create function app_private.provision(
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
  -- members of a large organization would queue.
  if exists (
    select from app_public.memberships as m
    join app_public.users as u on u.id = m.user_id
    join app_public.organizations as o on o.id = m.org_id
    where m.org_id = provision.org_id and m.user_id = provision.user_id and m.role = member_role
      and o.kind = org_kind
      and o.slug is not distinct from coalesce(provision.org_slug, o.slug)
      and u.email is not distinct from coalesce(provision.email, u.email)
      and u.name is not distinct from coalesce(provision.user_name, u.name)
  ) then
    return;
  end if;

  insert into app_public.users as u (id, email, name)
  values (provision.user_id, provision.email, provision.user_name)
  on conflict (id) do update
    set email = coalesce(excluded.email, u.email), name = coalesce(excluded.name, u.name);

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
    where o.kind = excluded.kind;
  -- No token names a personal space as an organization, or the other way round.
  if not found then
    raise exception 'Organization and personal space differ.' using errcode = 'RW403';
  end if;

  insert into app_public.memberships as m (org_id, user_id, role)
  values (provision.org_id, provision.user_id, member_role)
  on conflict on constraint memberships_pkey do update set role = excluded.role;
end;
$$;
grant execute on function app_private.provision(text, text, text, text, text, text) to app_api;

-- Who am I?
create function app_public.me() returns app_public.users
language sql stable parallel safe set search_path = ''
begin atomic
  select u from app_public.users as u where u.id = (select app_hidden.current_user_id());
end;
grant execute on function app_public.me() to app_user;

comment on table app_public.users is 'A person, as Clerk knows them.';
comment on column app_public.users.id is 'Clerk''s id of the user.';
comment on column app_public.users.email is 'Primary email address, if a token or Clerk told it.';
comment on column app_public.users.name is 'Display name, if a token or Clerk told it.';
comment on column app_public.users.created_at is 'When the API first saw the user.';
comment on column app_public.users.updated_at is 'When the user last changed.';
comment on table app_public.organizations is 'A tenant: an organization in Clerk, or the personal space of one user.';
comment on column app_public.organizations.id is 'Clerk''s id of the organization; the user''s id for a personal space.';
comment on column app_public.organizations.kind is 'Whether this is a shared organization or a personal space.';
comment on column app_public.organizations.name is 'Display name.';
comment on column app_public.organizations.slug is 'Short name for URLs, if Clerk has one.';
comment on column app_public.organizations.created_at is 'When the API first saw the organization.';
comment on column app_public.organizations.updated_at is 'When the organization last changed.';
comment on table app_public.memberships is 'That a user belongs to an organization, and in which role.';
comment on column app_public.memberships.org_id is 'The organization.';
comment on column app_public.memberships.user_id is 'The user.';
comment on column app_public.memberships.role is 'Role in the organization, without Clerk''s `org:` prefix; `owner` in a personal space.';
comment on column app_public.memberships.created_at is 'When the API first saw the membership.';
comment on column app_public.memberships.updated_at is 'When the membership last changed.';
comment on function app_public.me() is 'The caller; created when the API first sees them.';
comment on function app_private.provision(text, text, text, text, text, text) is 'Makes sure the user, organization and membership of a verified token exist.';
