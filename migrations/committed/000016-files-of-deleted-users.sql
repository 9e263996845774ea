--! Previous: sha1:00f760eaccfd307177d0becfdb5cfff649c09843
--! Hash: sha1:b94a8a2e22abf97a4cc1808abf527ba8ccabdda6
--! Message: files of deleted users

-- The files of a deleted user: those in the personal space go, as documents do, and their
-- objects after them. What the user uploaded to organizations belongs to these, names
-- included, as documents and their titles do.

drop policy if exists delete_personal on app_public.files;
-- As on documents: the mirror's functions empty the personal space of a deleted user.
create policy delete_personal on app_public.files for delete to current_user
  using (org_id = (select app_hidden.current_org_id()) and owner_id = org_id);

-- As before, but for files.
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
      -- Their objects follow: each row adds the job that deletes them.
      delete from app_public.files as f where f.org_id = told."userId";
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
