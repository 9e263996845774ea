--! Previous: sha1:4dc8a14bccd7e5e9d59f843d7c7cbdf407154296
--! Hash: sha1:b0b256ff34e6776feb6e1ded1671a5fd9c2cf9fd
--! Message: operators read what belongs to no organization

-- Operators read the events that belong to no organization.
--
-- Commands, jobs by the clock and emptied tables are under the empty organization, which no caller has.
-- Row-level security is forced, so that the owner's login, which operators have, saw none of them: who
-- could was a superuser alone. Events of organizations stay those of their administrators.

drop policy if exists select_operator on app_public.audit_events;
create policy select_operator on app_public.audit_events for select to rowhouse_owner
  using (org_id = '');
