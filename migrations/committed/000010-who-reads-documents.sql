--! Previous: sha1:f27f5e7a7093359b5ada3db5e60ee1c4e29e4ffe
--! Hash: sha1:a32a2be544cd008ab62db3faa82ef9538014c4bc
--! Message: who reads documents

-- Members read the documents they own; managers read all of the organization, as they
-- change and delete all. Managing is what the token says: the role admin, or the
-- permission org:docs:manage.

drop policy if exists select_member on app_public.documents;
drop policy if exists select_own on app_public.documents;
-- Members read their own; managers read all.
create policy select_own on app_public.documents for select to app_user
  using (owner_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_documents()));

comment on function app_hidden.can_manage_documents() is 'Whether the caller may read, change and delete documents of others: administrators, and holders of `org:docs:manage`.';
comment on function app_public.search_documents(text) is 'Documents matching a web-style search (`"exact phrase"`, `-not`, `or`), best match first. Members find their own; managers, all of the organization.';
