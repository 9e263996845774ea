--! Previous: sha1:a32a2be544cd008ab62db3faa82ef9538014c4bc
--! Hash: sha1:53b7594f3a362a8161f273c382408e545e4d8e96
--! Message: audit trail

-- The audit trail: who changed what, written in the transaction of the change.
--
-- A table asks for it by one call, `select app_private.audit('app_public.…')`. Nobody
-- changes or deletes an event; administrators of an organization read its own.
--
-- Partitioned by month. Ids are uuidv7 and begin with their time, so months are ranges
-- of ids: the primary key stays (org_id, id) as in every table, the newest page is read
-- from one partition, and a purge drops a table instead of deleting rows.

drop table if exists app_public.audit_events cascade;
drop table if exists app_private.audit_retention;
drop function if exists app_private.maintain_audit(app_private.attempt);
drop function if exists app_private.purge_audit();
drop function if exists app_private.make_audit_partitions();
drop function if exists app_private.add_audit_partition(timestamptz);
drop function if exists app_private.add_last_audit_partition(timestamptz);
drop function if exists app_private.audit_months();
drop function if exists app_private.guard_audit_partition(regclass);
drop function if exists app_private.audit(regclass, text[], text[], text);
drop function if exists app_private.audit_refusal(text, text, text, text, text, text, text, text, text, integer);
drop function if exists app_private.audit_command(text, jsonb);
drop function if exists app_private.tg__audit() cascade;
drop function if exists app_private.tg__refuse_change() cascade;
drop function if exists app_private.audit_source();
drop function if exists app_hidden.first_uuid_at(timestamptz);
drop function if exists app_hidden.can_read_audit();
drop function if exists app_hidden.current_actor_id();
drop function if exists app_hidden.current_trace_id();
drop type if exists app_public.audit_action;
drop type if exists app_public.audit_source;

-- Who acts in the user's place, and the trace the transaction belongs to; like the
-- other claims: null when absent, and they never raise.
create function app_hidden.current_actor_id() returns text
language sql stable parallel safe
return nullif(pg_catalog.current_setting('jwt.actor_id', true), '');

-- A job's trace is that of who asked for it, in the form of the header traceparent.
create function app_hidden.current_trace_id() returns text
language sql stable parallel safe
return coalesce(
  nullif(pg_catalog.current_setting('app.trace_id', true), ''),
  pg_catalog.substring(nullif(pg_catalog.current_setting('app.traceparent', true), ''), '^[0-9a-f]{2}-([0-9a-f]{32})-')
);

-- Whether the caller may read the trail of the organization.
create function app_hidden.can_read_audit() returns boolean
language sql stable parallel safe
return coalesce(app_hidden.current_org_role() = 'admin', false)
  or app_hidden.has_permission('org:audit:read');

-- Every uuidv7 made at that time or later is greater.
create function app_hidden.first_uuid_at(at timestamptz) returns uuid
language sql immutable parallel safe
return (pg_catalog.lpad(pg_catalog.to_hex(least(281474976710655, greatest(0,
  pg_catalog.floor(extract(epoch from at) * 1000)))::bigint), 12, '0') || '00000000000000000000')::uuid;

grant execute on function
  app_hidden.current_actor_id(),
  app_hidden.current_trace_id(),
  app_hidden.can_read_audit(),
  app_hidden.first_uuid_at(timestamptz)
to app_user;

create type app_public.audit_action as enum ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFUSED', 'COMMAND');
create type app_public.audit_source as enum ('REQUEST', 'JOB', 'SYSTEM');
grant usage on type app_public.audit_action, app_public.audit_source to app_user;

-- Without foreign keys: an event outlives what it is about, and nothing refuses it.
create table app_public.audit_events (
  org_id text not null default app_hidden.current_org_id(),
  id uuid not null default uuidv7(),
  action app_public.audit_action not null,
  source app_public.audit_source not null,
  actor_id text,
  impersonator_id text,
  table_name text,
  row_id text,
  operation text,
  changed text[] not null default '{}',
  old_values jsonb,
  new_values jsonb,
  error_code text,
  request_id text,
  trace_id text,
  login text not null default session_user,
  created_at timestamptz not null generated always as (uuid_extract_timestamp(id)) stored,
  constraint audit_events_pkey primary key (org_id, id)
) partition by range (id);

alter table app_public.audit_events enable row level security, force row level security;

-- One for each filter; the primary key serves the list without any.
create index audit_events_org_id_actor_id_id_idx on app_public.audit_events (org_id, actor_id, id);
create index audit_events_org_id_table_name_id_idx on app_public.audit_events (org_id, table_name, id);
create index audit_events_org_id_row_id_id_idx on app_public.audit_events (org_id, row_id, id);

create statistics app_public.audit_events_org_id_actor_id_stat (ndistinct, dependencies, mcv)
  on org_id, actor_id from app_public.audit_events;

-- Whatever else is allowed: only rows of the caller's organization.
create policy all_same_org on app_public.audit_events as restrictive for all to app_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));
-- Those who may read the trail read all of it.
create policy select_auditor on app_public.audit_events for select to app_user
  using ((select app_hidden.can_read_audit()));
-- The functions below write as the owner, for every organization. There is no policy
-- for update or delete, nor for the owner to read.
create policy insert_trail on app_public.audit_events for insert to current_user with check (true);

-- Read only. Not the login, which says how the service is operated.
grant select (org_id, id, action, source, actor_id, impersonator_id, table_name, row_id, operation, changed,
  old_values, new_values, error_code, request_id, trace_id, created_at) on app_public.audit_events to app_user;

-- Once per statement, so that it also refuses one whose rows row-level security hides.
-- It binds the owner and superusers too, unless they take it away on purpose.
create function app_private.tg__refuse_change() returns trigger
language plpgsql volatile set search_path = ''
as $$
begin
  raise exception 'Audit events stay as they are.' using errcode = 'RW403';
end;
$$;
create trigger _100_refuse_change before update or delete or truncate on app_public.audit_events
  for each statement execute function app_private.tg__refuse_change();

-- Who changes something: a request, a job, or neither (an operator, a migration, the
-- first sight of a token).
create function app_private.audit_source() returns app_public.audit_source
language sql stable
return case
  when nullif(pg_catalog.current_setting('app.worker_id', true), '') is not null then 'JOB'
  when app_hidden.current_request_id() is not null then 'REQUEST'
  else 'SYSTEM'
end::app_public.audit_source;

-- On a table that is audited. Arguments: the column that says whose a row is, the
-- columns of its id, those that are personal, those that are left out.
-- Runs as the owner: nobody else may write the trail.
create function app_private.tg__audit() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  id_columns constant text[] := tg_argv[1];
  personal constant text[] := tg_argv[2];
  ignored constant text[] := tg_argv[3];
  old_row jsonb;
  new_row jsonb;
  either jsonb;
  changed text[] := '{}';
  old_values jsonb;
  new_values jsonb;
begin
  if tg_op = 'TRUNCATE' then
    insert into app_public.audit_events (org_id, action, source, table_name)
    values ('', 'TRUNCATE', 'SYSTEM', tg_table_name);
    return null;
  end if;

  if tg_op <> 'INSERT' then
    old_row := pg_catalog.to_jsonb(old) - ignored;
  end if;
  if tg_op <> 'DELETE' then
    new_row := pg_catalog.to_jsonb(new) - ignored;
  end if;
  either := coalesce(new_row, old_row);
  if tg_op = 'UPDATE' then
    select pg_catalog.array_agg(n.key order by n.key) into changed
    from pg_catalog.jsonb_each(new_row) as n
    where n.value is distinct from old_row -> n.key;
    if changed is null then
      return null;
    end if;
    select pg_catalog.jsonb_object_agg(c.name, old_row -> c.name), pg_catalog.jsonb_object_agg(c.name, new_row -> c.name)
    into old_values, new_values
    from pg_catalog.unnest(changed) as c (name) where c.name <> all (personal);
  else
    old_values := old_row - personal;
    new_values := new_row - personal;
  end if;

  insert into app_public.audit_events (
    org_id, action, source, actor_id, impersonator_id, request_id, trace_id, table_name, row_id, changed, old_values, new_values
  ) values (
    either ->> tg_argv[0],
    tg_op::app_public.audit_action,
    app_private.audit_source(),
    app_hidden.current_user_id(),
    app_hidden.current_actor_id(),
    app_hidden.current_request_id(),
    app_hidden.current_trace_id(),
    tg_table_name,
    case when pg_catalog.cardinality(id_columns) = 1 then either ->> id_columns[1]
      else (
        select pg_catalog.string_agg(either ->> i.name, ',' order by i.place)
        from pg_catalog.unnest(id_columns) with ordinality as i (name, place)
      ) end,
    changed,
    old_values,
    new_values
  );
  return null;
end;
$$;

-- Turns the trail on for a table, or on anew with other columns. Of a personal column
-- the trail says that it changed, never a value. What is derived from other columns is
-- ignored: a change of it alone is no event, and it is in none. `tenant` is the column
-- that says whose a row is.
create function app_private.audit(
  audited regclass, personal text[] default '{}', ignored text[] default '{}', tenant text default 'org_id'
) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  id_columns text[];
  unknown text[];
begin
  if audited = 'app_public.audit_events'::pg_catalog.regclass
    or not exists (
      select from pg_catalog.pg_class as c
      where c.oid = audited and c.relkind in ('r', 'p') and not c.relispartition
    )
  then
    raise exception '% is no table that can be audited.', audited using errcode = '42809';
  end if;
  unknown := array(
    select n.name from pg_catalog.unnest(personal || ignored || tenant) as n (name)
    where not exists (
      select from pg_catalog.pg_attribute as a
      where a.attrelid = audited and a.attname = n.name and a.attnum > 0 and not a.attisdropped
    )
  );
  if unknown <> '{}' then
    raise exception '% has no column %.', audited, pg_catalog.array_to_string(unknown, ', ') using errcode = '42703';
  end if;
  id_columns := array(
    select a.attname from pg_catalog.pg_constraint as c, pg_catalog.unnest(c.conkey) with ordinality as k (attnum, place)
    join pg_catalog.pg_attribute as a on a.attnum = k.attnum
    where c.conrelid = audited and c.contype = 'p' and a.attrelid = audited order by k.place
  );
  if id_columns = '{}' then
    raise exception '% has no primary key, by which events name a row.', audited using errcode = '42P16';
  end if;
  if pg_catalog.cardinality(id_columns) > 1 then
    id_columns := pg_catalog.array_remove(id_columns, tenant);
  end if;
  if id_columns || tenant && ignored or id_columns && personal or personal && ignored then
    raise exception 'The columns of the key and of the tenant are in each event of %, and no column is both personal and ignored.',
      audited using errcode = '42P16';
  end if;
  execute pg_catalog.format(
    'create or replace trigger _900_audit after insert or update or delete on %s for each row execute function app_private.tg__audit(%L, %L, %L, %L)',
    audited, tenant, id_columns, personal, ignored);
  execute pg_catalog.format(
    'create or replace trigger _900_audit_truncate after truncate on %s for each statement execute function app_private.tg__audit()',
    audited);
end;
$$;

-- A mutation that was refused. Called by the API after the transaction was rolled back;
-- `left_out` counts refusals of the same user that were too many to be written.
create function app_private.audit_refusal(
  user_id text, actor_id text, org_id text, operation text, table_name text, row_id text,
  error_code text, request_id text, trace_id text, left_out integer
) returns void
language sql volatile security definer set search_path = ''
begin atomic
  insert into app_public.audit_events (
    org_id, action, source, actor_id, impersonator_id, table_name, row_id, operation, new_values, error_code, request_id, trace_id
  ) values (
    audit_refusal.org_id, 'REFUSED', 'REQUEST', audit_refusal.user_id, audit_refusal.actor_id,
    pg_catalog.left(audit_refusal.table_name, 63), pg_catalog.left(audit_refusal.row_id, 255),
    pg_catalog.left(audit_refusal.operation, 100),
    case when left_out > 0 then pg_catalog.jsonb_build_object('left_out', left_out) end,
    audit_refusal.error_code, audit_refusal.request_id, audit_refusal.trace_id
  );
end;
grant execute on function app_private.audit_refusal(text, text, text, text, text, text, text, text, text, integer) to app_api;

-- A command of an operator that is about no organization.
create function app_private.audit_command(operation text, details jsonb) returns void
language sql volatile set search_path = ''
begin atomic
  insert into app_public.audit_events (org_id, action, source, operation, new_values)
  values ('', 'COMMAND', 'SYSTEM', audit_command.operation, audit_command.details);
end;

-- What operators do with jobs that failed for good, under the organization of the job.
create or replace function app_private.retry_jobs(job_ids bigint[]) returns setof bigint
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return query
    with retried as (
      update graphile_worker._private_jobs as j
      set attempts = 0, revision = j.revision + 1, run_at = pg_catalog.now(), last_error = null,
        max_attempts = greatest(j.max_attempts, 25), updated_at = pg_catalog.now(),
        priority = app_private.next_turn(j.payload ->> 'orgId')
      where j.id = any (retry_jobs.job_ids) and j.locked_at is null and j.attempts >= j.max_attempts
      returning j.id, j.payload, j.task_id
    ), noted as (
      insert into app_public.audit_events (org_id, action, source, operation, table_name, row_id, new_values)
      select coalesce(r.payload ->> 'orgId', ''), 'COMMAND', 'SYSTEM', 'jobs retry',
        pg_catalog.split_part(t.identifier, '__', 1), r.payload ->> 'rowId', pg_catalog.jsonb_build_object('task', t.identifier)
      from retried as r join graphile_worker._private_tasks as t on t.id = r.task_id
    )
    select r.id from retried as r;
  perform pg_catalog.pg_notify('jobs:insert', pg_catalog.json_build_object(
    'r', pg_catalog.random(), 'count', pg_catalog.cardinality(retry_jobs.job_ids))::text);
end;
$$;

create or replace function app_private.drop_jobs(job_ids bigint[]) returns setof bigint
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return query
    with dropped as (
      delete from graphile_worker._private_jobs as j
      where j.id = any (drop_jobs.job_ids) and j.locked_at is null and j.attempts >= j.max_attempts
      returning j.id, j.payload, j.task_id
    ), noted as (
      insert into app_public.audit_events (org_id, action, source, operation, table_name, row_id, new_values)
      select coalesce(d.payload ->> 'orgId', ''), 'COMMAND', 'SYSTEM', 'jobs drop',
        pg_catalog.split_part(t.identifier, '__', 1), d.payload ->> 'rowId', pg_catalog.jsonb_build_object('task', t.identifier)
      from dropped as d join graphile_worker._private_tasks as t on t.id = d.task_id
    )
    select d.id from dropped as d;
end;
$$;

-- How long events are kept; a migration changes it. The worker cannot: it only asks for
-- the purge.
create table app_private.audit_retention (
  is_only boolean not null default true,
  keep interval default interval '24 months',
  constraint audit_retention_pkey primary key (is_only),
  constraint audit_retention_is_only_check check (is_only),
  constraint audit_retention_keep_check check (keep >= interval '1 month')
);
insert into app_private.audit_retention default values;

-- A partition by itself shows and takes nothing: its rows are reached through the table.
create function app_private.guard_audit_partition(partition regclass) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  execute pg_catalog.format('alter table %s enable row level security, force row level security', partition);
  execute pg_catalog.format(
    'create trigger _100_refuse_change before update or delete or truncate on %s for each statement execute function app_private.tg__refuse_change()',
    partition);
end;
$$;

-- The partition of a month (UTC). Made apart and then attached, so that writers do not
-- wait for it.
create function app_private.add_audit_partition(month timestamptz) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  name constant text := 'app_private.audit_events_' || pg_catalog.to_char(month at time zone 'UTC', 'YYYY_MM');
begin
  execute pg_catalog.format('create table %s (like app_public.audit_events including all)', name);
  perform app_private.guard_audit_partition(name::pg_catalog.regclass);
  execute pg_catalog.format('alter table app_public.audit_events attach partition %s for values from (%L) to (%L)',
    name, app_hidden.first_uuid_at(month),
    app_hidden.first_uuid_at(pg_catalog.date_add(month, interval '1 month', 'UTC')));
end;
$$;

-- Takes the events of all months from a time on, so that no write is refused where
-- nobody made their partitions in time. A default partition would do the same, but with
-- one Postgres cannot read partition after partition in the order of ids.
create function app_private.add_last_audit_partition(first_month timestamptz) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  create table app_private.audit_events_later (like app_public.audit_events including all);
  perform app_private.guard_audit_partition('app_private.audit_events_later');
  -- Whoever moves them to their months reads them.
  create policy select_mover on app_private.audit_events_later for select to current_user using (true);
  comment on table app_private.audit_events_later is 'Events of months that have no partition yet; empty, but for trouble.';
  execute pg_catalog.format('alter table app_public.audit_events attach partition app_private.audit_events_later for values from (%L) to (maxvalue)',
    app_hidden.first_uuid_at(first_month));
end;
$$;

-- The months that have a partition of their own.
create function app_private.audit_months() returns table (partition regclass, month timestamptz)
language sql stable set search_path = ''
begin atomic
  select i.inhrelid::pg_catalog.regclass,
    pg_catalog.to_date(pg_catalog.right(c.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC'
  from pg_catalog.pg_inherits as i join pg_catalog.pg_class as c on c.oid = i.inhrelid
  where i.inhparent = 'app_public.audit_events'::pg_catalog.regclass and c.relname ~ '^audit_events_\d{4}_\d{2}$';
end;

-- The partitions up to three months ahead, and the last one behind them. Events that had
-- to go to the last one meanwhile are moved to their months.
create function app_private.make_audit_partitions() returns void
language plpgsql volatile set search_path = '' set lock_timeout = '5s'
as $$
declare
  this_month constant timestamptz := pg_catalog.date_trunc('month', pg_catalog.now(), 'UTC');
  behind constant timestamptz := pg_catalog.date_add(this_month, interval '4 months', 'UTC');
  -- A clock that is set back finds its month at the start, too.
  missing timestamptz := pg_catalog.date_subtract(this_month, interval '1 month', 'UTC');
begin
  perform pg_catalog.pg_advisory_xact_lock(7218930017263047);
  missing := coalesce(
    (select pg_catalog.date_add(pg_catalog.max(m.month), interval '1 month', 'UTC') from app_private.audit_months() as m),
    missing
  );
  if missing >= behind then
    return;
  end if;
  if pg_catalog.to_regclass('app_private.audit_events_later') is not null then
    alter table app_public.audit_events detach partition app_private.audit_events_later;
    alter table app_private.audit_events_later rename to audit_events_moving;
  end if;
  perform app_private.add_audit_partition(m.month)
  from pg_catalog.generate_series(missing, pg_catalog.date_subtract(behind, interval '1 month', 'UTC'), interval '1 month', 'UTC') as m (month);
  perform app_private.add_last_audit_partition(behind);
  if pg_catalog.to_regclass('app_private.audit_events_moving') is not null then
    insert into app_public.audit_events (
      org_id, id, action, source, actor_id, impersonator_id, table_name, row_id, operation, changed,
      old_values, new_values, error_code, request_id, trace_id, login
    )
    select org_id, id, action, source, actor_id, impersonator_id, table_name, row_id, operation, changed,
      old_values, new_values, error_code, request_id, trace_id, login
    from app_private.audit_events_moving;
    drop table app_private.audit_events_moving;
  end if;
end;
$$;

-- Drops the months that ended longer ago than events are kept: the one way out.
create function app_private.purge_audit() returns void
language plpgsql volatile set search_path = '' set lock_timeout = '5s'
as $$
declare
  expired regclass;
begin
  for expired in
    select m.partition from app_private.audit_months() as m, app_private.audit_retention as r
    where pg_catalog.date_add(m.month, interval '1 month', 'UTC') <= pg_catalog.now() - r.keep
  loop
    execute pg_catalog.format('drop table %s', expired);
  end loop;
end;
$$;

-- The job audit_events__partition.
create function app_private.maintain_audit(attempt app_private.attempt) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_attempt(maintain_audit.attempt);
  perform app_private.make_audit_partitions();
  perform app_private.purge_audit();
end;
$$;
grant execute on function app_private.maintain_audit(app_private.attempt) to app_worker;

select app_private.make_audit_partitions();

-- Who is audited. A person's name and address, and what people write, are personal.
select app_private.audit('app_public.users', personal => array['email', 'name'], ignored => array['updated_at'], tenant => 'id');
select app_private.audit('app_public.organizations', ignored => array['updated_at'], tenant => 'id');
select app_private.audit('app_public.memberships', ignored => array['updated_at']);
select app_private.audit('app_public.documents', personal => array['title', 'body'], ignored => array['search']);

comment on function app_hidden.current_actor_id() is 'Who acts in the caller''s place, if someone does (impersonation).';
comment on function app_hidden.current_trace_id() is 'The id of the trace this transaction belongs to, 32 hex digits; null without one.';
comment on function app_hidden.can_read_audit() is 'Whether the caller may read the audit trail: administrators, and holders of `org:audit:read`.';
comment on function app_hidden.first_uuid_at(timestamptz) is 'The lowest uuid of a time: every uuidv7 made then or later is greater.';
comment on type app_public.audit_action is 'What happened.';
comment on type app_public.audit_source is 'From where it happened.';
comment on table app_public.audit_events is 'Who changed what in the organization, or was refused. Kept as it is.';
comment on column app_public.audit_events.org_id is 'The organization it happened in; empty for what concerns none.';
comment on column app_public.audit_events.id is 'Sorts by time.';
comment on column app_public.audit_events.action is 'What happened.';
comment on column app_public.audit_events.source is 'From where: a request, a background job, or neither.';
comment on column app_public.audit_events.actor_id is 'The user who did it, or for whom a job did; null for what no user asked for.';
comment on column app_public.audit_events.impersonator_id is 'Who acted in the user''s place, if someone did.';
comment on column app_public.audit_events.table_name is 'The kind of thing it happened to: `documents`, `memberships`.';
comment on column app_public.audit_events.row_id is 'The thing it happened to, by its id in that table.';
comment on column app_public.audit_events.operation is 'The mutation that was refused, or the command that was given.';
comment on column app_public.audit_events.changed is 'The columns whose values an update changed, personal ones included.';
comment on column app_public.audit_events.old_values is 'Values before an update, of the columns it changed, or before a delete; never of personal columns.';
comment on column app_public.audit_events.new_values is 'Values after an update, of the columns it changed, or after an insert; never of personal columns. Details of a command or a refusal.';
comment on column app_public.audit_events.error_code is 'Why it was refused, as in `extensions.code` of errors.';
comment on column app_public.audit_events.request_id is 'The request it happened in, as in `X-Request-Id`; of a job, that which asked for it.';
comment on column app_public.audit_events.trace_id is 'The trace it happened in, as in the header `traceparent`.';
comment on column app_public.audit_events.login is 'The login of the database that wrote it; not shown.';
comment on column app_public.audit_events.created_at is 'When it happened.';
comment on table app_private.audit_retention is 'How long audit events are kept, in one row.';
comment on column app_private.audit_retention.is_only is 'True: there is one row.';
comment on column app_private.audit_retention.keep is 'A month is dropped when it ended this long ago; null keeps all.';
comment on function app_private.tg__refuse_change() is 'Trigger: nothing changes or deletes audit events.';
comment on function app_private.audit_source() is 'Whether this transaction is a request''s, a job''s, or neither.';
comment on function app_private.tg__audit() is 'Trigger: writes the audit event of a change. Put on a table by app_private.audit.';
comment on function app_private.audit(regclass, text[], text[], text) is 'Turns the audit trail on for a table; of personal columns it says only that they changed.';
comment on function app_private.audit_refusal(text, text, text, text, text, text, text, text, text, integer) is 'Writes that a mutation was refused.';
comment on function app_private.audit_command(text, jsonb) is 'Writes that an operator gave a command which is about no organization.';
comment on function app_private.guard_audit_partition(regclass) is 'Keeps a partition of the audit trail from being used by itself.';
comment on function app_private.add_audit_partition(timestamptz) is 'Makes the partition of a month, where there is none.';
comment on function app_private.add_last_audit_partition(timestamptz) is 'Makes the partition of all months from a time on.';
comment on function app_private.audit_months() is 'The months that have a partition of their own.';
comment on function app_private.make_audit_partitions() is 'Makes the partitions up to three months ahead.';
comment on function app_private.purge_audit() is 'Drops months of the audit trail that are no longer kept.';
comment on function app_private.maintain_audit(app_private.attempt) is 'Makes partitions ahead and drops old ones; the job audit_events__partition.';
