--! Previous: sha1:b00664fb6329a9a32de9c38c6e2477d6d8de44fd
--! Hash: sha1:bb43ffdb45ddaad6b8029b533d2eba5f8c5ff61d
--! Message: operators read what belongs to no organization

-- Operators read the events that belong to no organization.
--
-- Commands, jobs by the clock and emptied tables are under the empty organization, which no caller has.
-- Row-level security is forced, so that the owner's login, which operators have, saw none of them: who
-- could was a superuser alone. Events of organizations stay those of their administrators.

drop policy if exists select_operator on app_public.audit_events;
create policy select_operator on app_public.audit_events for select to current_user
  using (org_id = '');
