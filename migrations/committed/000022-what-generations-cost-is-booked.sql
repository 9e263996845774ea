--! Previous: sha1:dd6abb74760b9ca8a2b25e208ace1e317a9bdbd7
--! Hash: sha1:5017901fbf8e5049d8d73eb802f79583b05fc1dc
--! Message: what generations cost is booked

-- What a generation has cost is booked however it ends, and what is reserved is given back.
--
-- Before, a cost was lost where the text came and what follows it failed, and what was
-- reserved for one that was canceled stayed so where its last attempt failed. And all that
-- were accepted were done, also when the first had cost the budget many times over.
--
-- A job that finds no place, or whose organization was told to wait, has made no attempt:
-- it goes back to the queue.

drop function if exists app_hidden.hand_off_generation(uuid, integer);
drop function if exists app_hidden.hand_off_generation(uuid, integer, jsonb);
drop function if exists app_private.take_generation(app_private.attempt, uuid);
drop function if exists app_private.take_generation(app_private.attempt, uuid, bigint);
drop function if exists app_private.return_generation(app_private.attempt, uuid, integer);
drop function if exists app_private.return_generation(app_private.attempt, uuid, integer, jsonb);
drop function if exists app_private.note_generation_cost(text, uuid, jsonb);
drop function if exists app_private.postpone_attempt(app_private.attempt, bigint);

-- Puts a job back that could not even begin: as if it had not been tried, so that another
-- organization's turn comes, and this one's later, the older it is. A new revision sets the
-- attempts after it apart. False where it is a day old: then it is to fail like others.
create function app_private.postpone_attempt(attempt app_private.attempt, pause_ms bigint) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  postponed record;
begin
  perform app_private.enter_attempt(postpone_attempt.attempt);
  select j.id, j.job_queue_id, j.locked_by, pg_catalog.now() - j.created_at as age into postponed
  from graphile_worker._private_jobs as j
  where j.id = (postpone_attempt.attempt).job_id;
  if postponed.age > interval '1 day' then
    return false;
  end if;
  update graphile_worker._private_jobs as j
  set locked_by = null, locked_at = null, updated_at = pg_catalog.now(),
    attempts = j.attempts - 1, revision = j.revision + 1,
    -- Not all at once, or the same few would find a place each time.
    run_at = pg_catalog.now() + (1 + pg_catalog.random() / 2) * greatest(
      interval '1 second', least(interval '1 minute', postponed.age / 4), postpone_attempt.pause_ms * interval '1 millisecond'),
    priority = greatest(j.priority, app_private.next_turn(j.payload ->> 'orgId'))
  where j.id = postponed.id;
  update graphile_worker._private_job_queues as q set locked_by = null, locked_at = null
  where q.id = postponed.job_queue_id and q.locked_by = postponed.locked_by;
  return true;
end;
$$;
grant execute on function app_private.postpone_attempt(app_private.attempt, bigint) to app_worker;

-- Keeps what was spent on a generation that has not ended: to be booked when it does,
-- unless it is told again then.
create function app_private.note_generation_cost(org_id text, generation_id uuid, used jsonb) returns void
language sql volatile set search_path = ''
begin atomic
  update app_private.ai_ledger as l
  set cost_micros = (note_generation_cost.used ->> 'costMicros')::bigint,
    prompt_tokens = (note_generation_cost.used ->> 'promptTokens')::bigint,
    completion_tokens = (note_generation_cost.used ->> 'completionTokens')::bigint,
    latency_ms = (note_generation_cost.used ->> 'latencyMs')::bigint,
    provider = note_generation_cost.used ->> 'provider',
    model = note_generation_cost.used ->> 'model'
  where l.org_id = note_generation_cost.org_id and l.generation_id = note_generation_cost.generation_id
    and l.settled_at is null and note_generation_cost.used ? 'costMicros';
end;

-- As before, but that a cost that was noted is booked.
create or replace function app_private.settle_generation(org_id text, generation_id uuid, used jsonb default '{}') returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  booked app_private.ai_ledger;
begin
  perform app_private.note_generation_cost(settle_generation.org_id, settle_generation.generation_id, settle_generation.used);
  update app_private.ai_ledger as l
  set settled_at = pg_catalog.now()
  where l.org_id = settle_generation.org_id and l.generation_id = settle_generation.generation_id and l.settled_at is null
  returning l.* into booked;
  if not found then
    return false;
  end if;
  update app_private.ai_months as m
  set cost_micros = m.cost_micros + booked.cost_micros,
    reserved_micros = m.reserved_micros - booked.reserved_micros,
    prompt_tokens = m.prompt_tokens + booked.prompt_tokens,
    completion_tokens = m.completion_tokens + booked.completion_tokens
  where m.org_id = booked.org_id and m.month = booked.month;
  return true;
end;
$$;

-- As before, but that it says what was spent: booked now where the generation was canceled,
-- and else with its end.
create function app_hidden.hand_off_generation(generation_id uuid, taken integer, used jsonb default '{}') returns boolean
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
as $$
declare
  org constant text := app_hidden.current_org_id();
  generation app_public.generations;
begin
  select g.* into generation from app_public.generations as g
  where g.org_id = org and g.id = hand_off_generation.generation_id
    and g.user_id = (select app_hidden.current_user_id()) and g.attempt = hand_off_generation.taken
  for no key update;
  if not found or generation.status not in ('RUNNING', 'CANCELED') then
    return false;
  end if;
  if generation.status = 'CANCELED' then
    perform app_private.settle_generation(org, generation.id, hand_off_generation.used);
    perform app_private.drop_generation_job(generation.id);
    return false;
  end if;
  perform app_private.note_generation_cost(org, generation.id, hand_off_generation.used);
  update app_public.generations as g set status = 'QUEUED' where g.org_id = org and g.id = generation.id;
  -- A worker may be about to take it.
  if not exists (
    select from graphile_worker._private_jobs as j
    where j.key = pg_catalog.concat_ws(':', 'generations__run', org, generation.id) and j.locked_at is not null
  ) then
    perform app_private.enqueue('generations__run', generation.id, max_attempts => 10);
  end if;
  return true;
end;
$$;
grant execute on function app_hidden.hand_off_generation(uuid, integer, jsonb) to app_user;

-- As before, but that it fails what was accepted within a budget that has been overspent
-- since. So a service that counts more than was reserved is asked no more, but by what
-- runs already.
create function app_private.take_generation(
  attempt app_private.attempt, generation_id uuid, default_budget_micros bigint default null
) returns table (prompt text, document_text text, max_tokens integer, taken integer)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  org text;
  generation app_public.generations;
begin
  perform app_private.enter_organization(take_generation.attempt);
  org := app_hidden.current_org_id();
  select g.* into generation from app_public.generations as g
  where g.org_id = org and g.id = take_generation.generation_id
  for no key update;
  perform app_private.enter_attempt(take_generation.attempt);
  if generation.id is null or generation.status not in ('QUEUED', 'RUNNING') then
    perform app_private.settle_generation(org, take_generation.generation_id);
    return;
  end if;
  if exists (
    select from app_private.ai_ledger as l
    join app_private.ai_months as m on m.org_id = l.org_id and m.month = l.month
    left join app_private.ai_settings as s on s.org_id = l.org_id
    where l.org_id = org and l.generation_id = generation.id
      and m.cost_micros + l.reserved_micros > coalesce(s.monthly_budget_micros, take_generation.default_budget_micros)
  ) then
    update app_public.generations as g set status = 'FAILED', error_code = 'AI_BUDGET_EXCEEDED'
    where g.org_id = org and g.id = generation.id;
    perform app_private.settle_generation(org, generation.id);
    return;
  end if;
  return query
    update app_public.generations as g
    set status = 'RUNNING', attempt = g.attempt + 1
    where g.org_id = org and g.id = generation.id
    returning g.prompt, g.document_text, g.max_tokens, g.attempt;
end;
$$;

-- As before, but that it says what was spent. Of one that was canceled that is booked now.
create function app_private.return_generation(
  attempt app_private.attempt, generation_id uuid, taken integer, used jsonb default '{}'
) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  generation app_public.generations;
begin
  perform app_private.enter_organization(return_generation.attempt);
  select g.* into generation from app_public.generations as g
  where g.org_id = (select app_hidden.current_org_id()) and g.id = return_generation.generation_id
    and g.attempt = return_generation.taken and g.status in ('RUNNING', 'CANCELED')
  for no key update;
  if not found then
    return false;
  end if;
  if generation.status = 'CANCELED' then
    perform app_private.settle_generation(generation.org_id, generation.id, return_generation.used);
    return false;
  end if;
  perform app_private.note_generation_cost(generation.org_id, generation.id, return_generation.used);
  update app_public.generations as g set status = 'QUEUED'
  where g.org_id = generation.org_id and g.id = generation.id;
  return true;
end;
$$;

grant execute on function
  app_private.take_generation(app_private.attempt, uuid, bigint),
  app_private.return_generation(app_private.attempt, uuid, integer, jsonb)
to app_worker;

-- As before, but that what is reserved is given back also for one that was canceled, whose
-- answer will not come any more.
create or replace function app_private.tg_dead_letters__fail_generation() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  generation_id uuid;
begin
  -- Of a job that somebody has added by hand it may be anything.
  if pg_catalog.pg_input_is_valid(new.subject, 'uuid') then
    generation_id := new.subject::uuid;
    update app_public.generations as g set status = 'FAILED', error_code = new.error_code
    where g.org_id = new.org_id and g.id = generation_id and g.status in ('QUEUED', 'RUNNING');
    perform app_private.settle_generation(new.org_id, generation_id);
  end if;
  return null;
end;
$$;

-- As before, but that documents which have changed since they were embedded are also missing.
create or replace function app_private.embed_missing(attempt app_private.attempt) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  settings app_private.embedding_settings;
  document record;
  left_to_see integer := 500;
  added integer := 0;
begin
  perform app_private.enter_attempt(embed_missing.attempt);
  select s.* into settings from app_private.embedding_settings as s for update;
  if not settings.is_enabled then
    return 0;
  end if;
  loop
    perform pg_catalog.set_config('jwt.org_id', settings.reached_org, true);
    for document in
      select d.id, e.content_hash is distinct from
        pg_catalog.sha256(pg_catalog.convert_to(app_private.embedded_text(d.title, d.body), 'UTF8')) as is_missing
      from app_public.documents as d
      left join app_public.document_embeddings as e on e.org_id = d.org_id and e.document_id = d.id
      where d.org_id = settings.reached_org and d.id > settings.reached_id
      order by d.id limit left_to_see
    loop
      left_to_see := left_to_see - 1;
      settings.reached_id := document.id;
      if document.is_missing then
        perform app_private.enqueue('documents__embed', document.id, org_id => settings.reached_org);
        added := added + 1;
      end if;
    end loop;
    exit when left_to_see <= 0;
    -- An organization counts as much as a document.
    left_to_see := left_to_see - 1;
    settings.reached_id := '00000000-0000-0000-0000-000000000000';
    settings.reached_org := (
      select o.id from app_public.organizations as o where o.id > settings.reached_org order by o.id limit 1
    );
    exit when settings.reached_org is null;
  end loop;
  update app_private.embedding_settings as s
  set reached_org = coalesce(settings.reached_org, ''), reached_id = settings.reached_id;
  if settings.reached_org is not null then
    perform graphile_worker.add_job('documents__embed_missing');
  end if;
  return added;
end;
$$;

comment on column app_private.ai_ledger.cost_micros is 'What it has cost, as far as that is known; booked when it is settled.';
comment on function app_private.postpone_attempt(app_private.attempt, bigint) is 'Puts a job back that could not begin, as if it had not been tried; false where it is too old for that.';
comment on function app_private.note_generation_cost(text, uuid, jsonb) is 'Keeps what was spent on a generation until it ends.';
comment on function app_private.settle_generation(text, uuid, jsonb) is 'Books what a generation has cost, or was noted to, once; false where that was done before.';
comment on function app_hidden.hand_off_generation(uuid, integer, jsonb) is 'Leaves a generation that the caller''s request has taken to a job; false where that came too late.';
comment on function app_private.take_generation(app_private.attempt, uuid, bigint) is 'Takes a generation; nothing where it has ended, or the budget is spent; the job generations__run.';
comment on function app_private.return_generation(app_private.attempt, uuid, integer, jsonb) is 'Has a generation wait for the next attempt; the job generations__run.';
comment on function app_private.embed_missing(app_private.attempt) is 'Adds jobs for those of the next documents that have no embedding of their text; the job documents__embed_missing.';
