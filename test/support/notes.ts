import type { TestDatabase } from './database.ts';

/**
 * Adds a tenant table of its own to a test's database, so that what is said of its
 * policies does not change with the model: every member reads, authors change and delete
 * their own, managers all.
 */
export async function addNotes({ superuser }: TestDatabase): Promise<void> {
  await superuser.query(notes);
}

const notes = `
  begin;
  set local role rowhouse_owner;
  create table app_public.notes (
    org_id text not null default app_hidden.current_org_id(),
    id uuid not null default uuidv7(),
    author_id text not null default app_hidden.current_user_id(),
    text text not null,
    constraint notes_pkey primary key (org_id, id)
  );
  alter table app_public.notes enable row level security, force row level security;
  create function app_hidden.can_manage_notes() returns boolean language sql stable
    return coalesce(app_hidden.current_org_role() = 'admin', false) or app_hidden.has_permission('org:notes:manage');
  grant execute on function app_hidden.can_manage_notes() to app_user;
  create policy all_same_org on app_public.notes as restrictive for all to app_user
    using (org_id = (select app_hidden.current_org_id()))
    with check (org_id = (select app_hidden.current_org_id()));
  create policy select_member on app_public.notes for select to app_user
    using (org_id = (select app_hidden.current_org_id()));
  create policy insert_own on app_public.notes for insert to app_user
    with check (author_id = (select app_hidden.current_user_id()));
  create policy update_own on app_public.notes for update to app_user
    using (author_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_notes()))
    with check (author_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_notes()));
  create policy delete_own on app_public.notes for delete to app_user
    using (author_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_notes()));
  grant select, delete, insert (text), update (text) on app_public.notes to app_user;
  commit`;
