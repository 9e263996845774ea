--! Previous: sha1:03427e1d209eede711d1bc2112f68f7fd1634821
--! Hash: sha1:bd56d3ccedb367c75105960d1698d0d6c135dbb8
--! Message: dead letters

-- Dead letters: jobs that failed for good, for the administrators of their
-- organization; and what the API says of the job about a row.
--
-- Both tell what the queue says. Dead letters are kept in step with it by triggers
-- on the queue itself; the state of a job is read from there each time it is asked.

drop function if exists app_public.documents_search_indexing(app_public.documents);
drop function if exists app_hidden.job_state(text, uuid);
drop type if exists app_public.job_state;
drop type if exists app_public.job_status;
drop table if exists app_public.dead_letters cascade;
drop function if exists app_hidden.can_manage_jobs();
drop function if exists app_private.error_code(text);

create table app_public.dead_letters (
  org_id text not null default app_hidden.current_org_id(),
  id uuid not null default uuidv7(),
  job_id bigint not null,
  task text not null,
  subject text,
  error_code text not null,
  -- squawk-ignore prefer-bigint-over-int
  attempts integer not null,
  request_id text,
  queued_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint dead_letters_pkey primary key (org_id, id),
  constraint dead_letters_org_id_job_id_key unique (org_id, job_id),
  constraint dead_letters_org_id_fkey foreign key (org_id) references app_public.organizations (id),
  constraint dead_letters_task_check check (length(task) <= 128),
  constraint dead_letters_subject_check check (length(subject) <= 255),
  constraint dead_letters_error_code_check check (error_code ~ '^[A-Z][A-Z_]{0,62}$'),
  constraint dead_letters_request_id_check check (length(request_id) <= 255)
);

alter table app_public.dead_letters enable row level security, force row level security;

create index dead_letters_org_id_created_at_id_idx on app_public.dead_letters (org_id, created_at desc, id desc);

create trigger _100_touch before update on app_public.dead_letters
  for each row execute function app_private.tg__touch();

-- The code an error begins with; INTERNAL for one that nobody foresaw.
create function app_private.error_code(last_error text) returns text
language sql immutable parallel safe
return coalesce(pg_catalog.substring(last_error, '^([A-Z][A-Z_]{0,62}):'), 'INTERNAL');

-- Whether the caller may see which jobs of the organization failed.
create function app_hidden.can_manage_jobs() returns boolean
language sql stable parallel safe
return coalesce(app_hidden.current_org_role() = 'admin', false)
  or app_hidden.has_permission('org:jobs:manage');
grant execute on function app_hidden.can_manage_jobs() to app_user;

-- On the queue: a job failed for good, is to run again, or has been replaced by
-- another about the same row. What a payload holds must not stand in the way of a
-- job's end, so it is cut to what fits; jobs of no known organization are for
-- operators alone.
create or replace function app_private.tg_jobs__bury() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.flags ? 'superseded' then
    delete from graphile_worker._private_jobs as j where j.id = new.id;
  elsif new.attempts < new.max_attempts or new.locked_at is not null then
    delete from app_public.dead_letters as d
    where d.org_id = new.payload ->> 'orgId' and d.job_id = new.id;
  else
    insert into app_public.dead_letters (org_id, job_id, task, subject, error_code, attempts, request_id, queued_at)
    select o.id, new.id, t.identifier, pg_catalog.left(new.payload ->> 'rowId', 255),
      app_private.error_code(new.last_error), new.attempts,
      pg_catalog.left(new.payload ->> 'requestId', 255), new.created_at
    from app_public.organizations as o
    join graphile_worker._private_tasks as t on t.id = new.task_id
    where o.id = new.payload ->> 'orgId'
    on conflict on constraint dead_letters_org_id_job_id_key do update
      set error_code = excluded.error_code, attempts = excluded.attempts;
  end if;
  return null;
end;
$$;

-- On the queue: a job that had failed for good is no longer there.
create or replace function app_private.tg_jobs__forget() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  delete from app_public.dead_letters as d
  where d.org_id = old.payload ->> 'orgId' and d.job_id = old.id;
  return null;
end;
$$;

-- Whatever else is allowed: only rows of the caller's organization.
create policy all_same_org on app_public.dead_letters as restrictive for all to app_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));
-- Those who manage the organization's jobs see which failed.
create policy select_manager on app_public.dead_letters for select to app_user
  using ((select app_hidden.can_manage_jobs()));
-- The triggers on the queue run as the owner, for jobs of every organization.
create policy select_queue on app_public.dead_letters for select to current_user using (true);
create policy insert_queue on app_public.dead_letters for insert to current_user with check (true);
create policy update_queue on app_public.dead_letters for update to current_user using (true) with check (true);
create policy delete_queue on app_public.dead_letters for delete to current_user using (true);

-- Read only: operators retry and drop jobs. Not the number of the job, which would
-- tell how many jobs all organizations have together.
grant select (org_id, id, task, subject, error_code, attempts, request_id, queued_at, created_at, updated_at)
  on app_public.dead_letters to app_user;

create type app_public.job_status as enum ('QUEUED', 'RUNNING', 'RETRYING', 'FAILED');
create type app_public.job_state as (
  status app_public.job_status,
  attempts integer,
  next_attempt_at timestamptz,
  error_code text
);
grant usage on type app_public.job_status, app_public.job_state to app_user;

-- What the queue says of the job of a task about a row of the caller's organization;
-- null where there is none, so nothing is left to do. Runs as the owner, since
-- requests may not read the queue: the key and the payload both have to be of the
-- caller's organization.
create function app_hidden.job_state(task text, row_id uuid) returns app_public.job_state
language plpgsql stable parallel restricted security definer set search_path = ''
as $$
declare
  state app_public.job_state;
begin
  select
    case
      when j.locked_at is not null then 'RUNNING'
      when j.attempts >= j.max_attempts then 'FAILED'
      when j.attempts > 0 then 'RETRYING'
      else 'QUEUED'
    end,
    j.attempts,
    case when j.is_available then j.run_at end,
    case when j.last_error is not null then app_private.error_code(j.last_error) end
  into state
  from graphile_worker._private_jobs as j
  where j.key = pg_catalog.concat_ws(':', job_state.task, app_hidden.current_org_id(), job_state.row_id)
    and j.payload ->> 'orgId' = app_hidden.current_org_id();
  return case when found then state end;
end;
$$;
grant execute on function app_hidden.job_state(text, uuid) to app_user;

create function app_public.documents_search_indexing(document app_public.documents) returns app_public.job_state
language sql stable parallel restricted
return app_hidden.job_state('documents__index', document.id);
grant execute on function app_public.documents_search_indexing(app_public.documents) to app_user;

comment on table app_public.dead_letters is 'A background job of the organization that failed for good. It goes when an operator lets the job run again or drops it.';
comment on column app_public.dead_letters.org_id is 'The organization it belongs to.';
comment on column app_public.dead_letters.id is 'Sorts by time of failure.';
comment on column app_public.dead_letters.job_id is 'The job in the queue; not shown.';
comment on column app_public.dead_letters.task is 'What was to be done: the table and the verb, such as `documents__index`.';
comment on column app_public.dead_letters.subject is 'The row the job was about, by its id in that table.';
comment on column app_public.dead_letters.error_code is 'Why the last attempt failed: a code as in `extensions.code` of errors.';
comment on column app_public.dead_letters.attempts is 'How often it was tried.';
comment on column app_public.dead_letters.request_id is 'The request that asked for it, as in `X-Request-Id`.';
comment on column app_public.dead_letters.queued_at is 'When it was asked for.';
comment on column app_public.dead_letters.created_at is 'When it failed for good.';
comment on column app_public.dead_letters.updated_at is 'When this entry last changed.';
comment on type app_public.job_status is 'Where a background job stands.';
comment on type app_public.job_state is 'The background job that is still to be done for something.';
comment on column app_public.job_state.status is 'Where it stands.';
comment on column app_public.job_state.attempts is 'How often it has been tried, the attempt that runs included.';
comment on column app_public.job_state.next_attempt_at is 'When it will be tried next, at the earliest; null while it runs and when it failed for good.';
comment on column app_public.job_state.error_code is 'Why the last attempt failed, if one did: a code as in `extensions.code` of errors.';
comment on function app_private.error_code(text) is 'The code that the error of a job begins with.';
comment on function app_hidden.can_manage_jobs() is 'Whether the caller may see failed jobs: administrators, and holders of `org:jobs:manage`.';
comment on function app_private.tg_jobs__bury() is 'Trigger: lists a job that failed for good, and takes it off the list when it is to run again.';
comment on function app_private.tg_jobs__forget() is 'Trigger: takes a job that is gone off the list of those that failed for good.';
comment on function app_hidden.job_state(text, uuid) is 'What the queue says of the job of a task about a row; null where there is none.';
comment on function app_public.documents_search_indexing(app_public.documents) is 'The job that makes the end of a long document searchable, while there is one; null when search finds all of it.';
