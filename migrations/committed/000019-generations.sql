--! Previous: sha1:26704cc556807348411ab7457874b46675a220a5
--! Hash: sha1:e53dc839be21798b283dd5d8d40a9517ed1da49c
--! Message: generations

-- Generations: texts by the AI service, what they cost, and what an organization may spend.
--
-- Each is one row and one state machine, with two ways in. A request that wants its
-- text now adds the row RUNNING, together with a job for later that takes the row over
-- should the request's process die; a request that does not begins QUEUED, with the
-- same job due at once. Whoever works on a row has taken it under a number; who finds
-- a higher one there is too late, and changes nothing. A row that has come to its end
-- stays as it is, whatever is answered later.
--
-- Who asks reads their own; managers read all of the organization. Functions alone
-- write: what a generation costs is reserved before it is accepted, and booked once.

drop table if exists app_public.generations cascade;
drop type if exists app_public.generation_status cascade;
drop table if exists app_private.ai_ledger, app_private.ai_months, app_private.ai_settings cascade;
drop trigger if exists _900_fail_generation on app_public.dead_letters;
drop function if exists app_hidden.can_manage_generations();
drop function if exists app_hidden.create_generation(text, integer, uuid, text, text, boolean, jsonb);
drop function if exists app_hidden.finish_generation(uuid, integer, jsonb);
drop function if exists app_hidden.hand_off_generation(uuid, integer);
drop function if exists app_hidden.cancel_generation(uuid);
drop function if exists app_hidden.ai_usage(text, date, bigint);
drop function if exists app_private.end_generation(uuid, integer, jsonb);
drop function if exists app_private.settle_generation(text, uuid, jsonb);
drop function if exists app_private.drop_generation_job(uuid);
drop function if exists app_private.take_generation(app_private.attempt, uuid);
drop function if exists app_private.complete_generation(app_private.attempt, uuid, integer, jsonb);
drop function if exists app_private.return_generation(app_private.attempt, uuid, integer);
drop function if exists app_private.erase_generations(text);
drop function if exists app_private.tg_generations__move();
drop function if exists app_private.tg_generations__release();
drop function if exists app_private.tg_dead_letters__fail_generation();

create type app_public.generation_status as enum ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED');
grant usage on type app_public.generation_status to app_user;

create table app_public.generations (
  org_id text not null default app_hidden.current_org_id(),
  id uuid not null default uuidv7(),
  user_id text not null default app_hidden.current_user_id(),
  document_id uuid,
  prompt text,
  -- As wide as GraphQL's Int, here and below.
  -- squawk-ignore prefer-bigint-over-int
  max_tokens integer not null,
  status app_public.generation_status not null default 'QUEUED',
  text text,
  is_cached boolean not null default false,
  error_code text,
  -- squawk-ignore prefer-bigint-over-int
  latency_ms integer,
  provider text,
  model text,
  -- squawk-ignore prefer-bigint-over-int
  prompt_tokens integer,
  -- squawk-ignore prefer-bigint-over-int
  completion_tokens integer,
  document_text text,
  idempotency_key text,
  arguments_sha256 bytea,
  sent_sha256 bytea,
  -- squawk-ignore prefer-bigint-over-int
  attempt integer not null default 0,
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint generations_pkey primary key (org_id, id),
  constraint generations_org_id_idempotency_key_key unique (org_id, idempotency_key),
  constraint generations_org_id_fkey foreign key (org_id) references app_public.organizations (id),
  constraint generations_user_id_fkey foreign key (user_id) references app_public.users (id),
  constraint generations_document_id_fkey foreign key (org_id, document_id)
    references app_public.documents (org_id, id) on delete set null (document_id),
  constraint generations_prompt_check check (length(prompt) between 1 and 100000),
  -- Gone only with what was erased.
  constraint generations_erased_check check (prompt is not null or status not in ('QUEUED', 'RUNNING')),
  constraint generations_max_tokens_check check (max_tokens > 0),
  constraint generations_text_check check (length(text) <= 1000000),
  constraint generations_text_status_check check (text is null or status = 'SUCCEEDED'),
  constraint generations_is_cached_check check (not is_cached or status = 'SUCCEEDED'),
  constraint generations_error_code_check check (
    error_code ~ '^[A-Z][A-Z_]{0,62}$' and (error_code is not null) = (status = 'FAILED')
    or error_code is null and status <> 'FAILED'
  ),
  constraint generations_latency_ms_check check (latency_ms >= 0),
  constraint generations_provider_check check (length(provider) <= 100),
  constraint generations_model_check check (length(model) <= 200),
  constraint generations_prompt_tokens_check check (prompt_tokens >= 0),
  constraint generations_completion_tokens_check check (completion_tokens >= 0),
  constraint generations_document_text_check check (document_text is null or status in ('QUEUED', 'RUNNING')),
  constraint generations_idempotency_key_check check (length(idempotency_key) between 1 and 255),
  constraint generations_arguments_sha256_check check ((arguments_sha256 is null) = (idempotency_key is null)),
  constraint generations_attempt_check check (attempt >= 0),
  constraint generations_started_at_check check (started_at is not null or status not in ('RUNNING', 'SUCCEEDED')),
  constraint generations_finished_at_check check ((finished_at is null) = (status in ('QUEUED', 'RUNNING')))
);

alter table app_public.generations enable row level security, force row level security;

create index generations_org_id_created_at_id_idx on app_public.generations (org_id, created_at desc, id desc);
create index generations_org_id_user_id_created_at_id_idx on app_public.generations (org_id, user_id, created_at desc, id desc);
create index generations_org_id_document_id_created_at_id_idx on app_public.generations (org_id, document_id, created_at desc, id desc);
-- Where a text is to be found again.
create index generations_org_id_sent_sha256_idx on app_public.generations (org_id, sent_sha256, finished_at)
  where status = 'SUCCEEDED' and not is_cached and text is not null;

create statistics app_public.generations_org_id_user_id_stat (ndistinct, dependencies, mcv)
  on org_id, user_id from app_public.generations;
create statistics app_public.generations_org_id_document_id_stat (ndistinct, dependencies, mcv)
  on org_id, document_id from app_public.generations;

-- What each generation may cost and what it has cost, in millionths of the unit of
-- AI_PRICES. Open until settled, and settled once. Outlives the generation.
create table app_private.ai_ledger (
  org_id text not null,
  generation_id uuid not null,
  month date not null,
  reserved_micros bigint not null,
  cost_micros bigint not null default 0,
  prompt_tokens bigint not null default 0,
  completion_tokens bigint not null default 0,
  latency_ms bigint,
  provider text,
  model text,
  created_at timestamptz not null default now(),
  settled_at timestamptz,
  constraint ai_ledger_pkey primary key (org_id, generation_id),
  constraint ai_ledger_org_id_fkey foreign key (org_id) references app_public.organizations (id),
  constraint ai_ledger_reserved_micros_check check (reserved_micros >= 0),
  constraint ai_ledger_cost_micros_check check (cost_micros >= 0)
);

-- The ledger by month (UTC): sums of what is settled, and what is reserved by what is not.
create table app_private.ai_months (
  org_id text not null,
  month date not null,
  calls bigint not null default 0,
  prompt_tokens bigint not null default 0,
  completion_tokens bigint not null default 0,
  cost_micros bigint not null default 0,
  reserved_micros bigint not null default 0,
  constraint ai_months_pkey primary key (org_id, month),
  constraint ai_months_org_id_fkey foreign key (org_id) references app_public.organizations (id),
  constraint ai_months_reserved_micros_check check (reserved_micros >= 0)
);
alter table app_private.ai_months set (fillfactor = 50);

-- Where an organization differs from the settings; null: as they say.
create table app_private.ai_settings (
  org_id text not null,
  monthly_budget_micros bigint,
  -- squawk-ignore prefer-bigint-over-int
  cache_ttl_seconds integer,
  constraint ai_settings_pkey primary key (org_id),
  constraint ai_settings_org_id_fkey foreign key (org_id) references app_public.organizations (id) on delete cascade,
  constraint ai_settings_monthly_budget_micros_check check (monthly_budget_micros >= 0),
  constraint ai_settings_cache_ttl_seconds_check check (cache_ttl_seconds >= 0)
);

alter table app_private.ai_ledger enable row level security, force row level security;
alter table app_private.ai_months enable row level security, force row level security;
alter table app_private.ai_settings enable row level security, force row level security;

-- Whether the caller reads and cancels generations of others, and sees what they cost.
create function app_hidden.can_manage_generations() returns boolean
language sql stable parallel safe
return coalesce(app_hidden.current_org_role() = 'admin', false)
  or app_hidden.has_permission('org:generations:manage');
grant execute on function app_hidden.can_manage_generations() to app_user;

-- Accepts a generation, or finds the one that was accepted under the same key. Reserves
-- what it may cost at most, or refuses. Runs as the owner, since a request may neither
-- write generations nor see what its organization has spent; organization and user are
-- those of the claims. `document_text` is what the caller may read of the document; null
-- where that is nothing. `settings` are those of the API:
--   maxTokens            the most that may be asked for
--   promptMicros, completionMicros   the dearest price of a token
--   budgetMicros         of a month; an organization's own goes before
--   cacheTtlSeconds      for how long a text answers again; 0: never
--   takeOverAfterMs      when a job takes over what a request has begun
create function app_hidden.create_generation(
  prompt text, max_tokens integer, document_id uuid, document_text text,
  idempotency_key text, is_now boolean, settings jsonb
) returns table (id uuid, is_new boolean, status app_public.generation_status, attempt integer)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  org constant text := app_hidden.current_org_id();
  caller constant text := app_hidden.current_user_id();
  this_month constant date := pg_catalog.date_trunc('month', pg_catalog.now() at time zone 'UTC')::date;
  arguments constant bytea := pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
    caller, create_generation.prompt, create_generation.max_tokens, create_generation.document_id)::text, 'UTF8'));
  sent constant bytea := pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
    create_generation.prompt, create_generation.max_tokens, create_generation.document_text)::text, 'UTF8'));
  own app_private.ai_settings;
  earlier app_public.generations;
  generation app_public.generations;
  to_reserve bigint;
begin
  if org is null or caller is null then
    raise exception 'You may not do this.' using errcode = 'RW403';
  end if;

  for round in 1..3 loop
    if create_generation.idempotency_key is not null then
      select g.* into generation from app_public.generations as g
      where g.org_id = org and g.idempotency_key = create_generation.idempotency_key;
      if found then
        if generation.arguments_sha256 <> arguments then
          raise exception 'This key was used with other arguments.' using errcode = 'RW409', hint = 'idempotencyKey';
        end if;
        return query select generation.id, false, generation.status, generation.attempt;
        return;
      end if;
    end if;

    if create_generation.max_tokens > (settings ->> 'maxTokens')::integer then
      raise exception 'The value of `maxTokens` is not allowed.' using errcode = 'RW400', hint = 'maxTokens';
    end if;
    if create_generation.document_id is not null and create_generation.document_text is null then
      raise exception 'The value of `document` is not allowed.' using errcode = 'RW400', hint = 'document';
    end if;
    select s.* into own from app_private.ai_settings as s where s.org_id = org;
    earlier := null;
    if coalesce(own.cache_ttl_seconds, (settings ->> 'cacheTtlSeconds')::integer) > 0 then
      select g.* into earlier from app_public.generations as g
      where g.org_id = org and g.sent_sha256 = sent and g.status = 'SUCCEEDED' and not g.is_cached and g.text is not null
        and g.finished_at > pg_catalog.now() - pg_catalog.make_interval(
          secs => coalesce(own.cache_ttl_seconds, (settings ->> 'cacheTtlSeconds')::integer))
      order by g.finished_at desc limit 1;
    end if;

    insert into app_public.generations (
      org_id, user_id, document_id, prompt, max_tokens, document_text, idempotency_key, arguments_sha256, sent_sha256,
      status, attempt, started_at, finished_at, text, is_cached, latency_ms, provider, model, prompt_tokens, completion_tokens
    ) values (
      org, caller, create_generation.document_id, create_generation.prompt, create_generation.max_tokens,
      case when earlier.id is null then create_generation.document_text end,
      create_generation.idempotency_key,
      case when create_generation.idempotency_key is not null then arguments end,
      sent,
      case when earlier.id is not null then 'SUCCEEDED' when create_generation.is_now then 'RUNNING' else 'QUEUED' end::app_public.generation_status,
      case when earlier.id is null and create_generation.is_now then 1 else 0 end,
      case when earlier.id is not null or create_generation.is_now then pg_catalog.now() end,
      case when earlier.id is not null then pg_catalog.now() end,
      earlier.text, earlier.id is not null,
      case when earlier.id is not null then 0 end, earlier.provider, earlier.model,
      case when earlier.id is not null then 0 end, case when earlier.id is not null then 0 end
    )
    on conflict on constraint generations_org_id_idempotency_key_key do nothing
    returning * into generation;
    exit when generation.id is not null;
  end loop;
  if generation.id is null then
    raise exception 'The generation came and went.' using errcode = '40001';
  end if;

  if earlier.id is null then
    perform app_private.enqueue('generations__run', generation.id,
      run_at => case when create_generation.is_now then
        pg_catalog.now() + (settings ->> 'takeOverAfterMs')::double precision * interval '1 millisecond' end,
      max_attempts => 10);

    -- A token is seldom shorter than three bytes. Last, so that the row of the month is
    -- locked for as short as can be.
    to_reserve := pg_catalog.ceil(
      (pg_catalog.octet_length(create_generation.prompt) + coalesce(pg_catalog.octet_length(create_generation.document_text), 0) + 192) / 3.0
        * (settings ->> 'promptMicros')::numeric
      + create_generation.max_tokens * (settings ->> 'completionMicros')::numeric);
    insert into app_private.ai_ledger (org_id, generation_id, month, reserved_micros)
    values (org, generation.id, this_month, to_reserve);
    insert into app_private.ai_months (org_id, month) values (org, this_month) on conflict do nothing;
    update app_private.ai_months as m
    set calls = m.calls + 1, reserved_micros = m.reserved_micros + to_reserve
    where m.org_id = org and m.month = this_month
      and m.cost_micros + m.reserved_micros + to_reserve
        <= coalesce(own.monthly_budget_micros, (settings ->> 'budgetMicros')::bigint);
    if not found then
      raise exception 'Your organization has spent its budget for this month.' using errcode = 'RW402';
    end if;
  end if;
  return query select generation.id, true, generation.status, generation.attempt;
end;
$$;

-- Books what a generation has cost, or that it cost nothing, and gives back what was
-- reserved for it. The first word counts: false where it was settled before.
create function app_private.settle_generation(org_id text, generation_id uuid, used jsonb default '{}') returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  booked app_private.ai_ledger;
begin
  update app_private.ai_ledger as l
  set settled_at = pg_catalog.now(),
    cost_micros = coalesce((used ->> 'costMicros')::bigint, 0),
    prompt_tokens = coalesce((used ->> 'promptTokens')::bigint, 0),
    completion_tokens = coalesce((used ->> 'completionTokens')::bigint, 0),
    latency_ms = (used ->> 'latencyMs')::bigint,
    provider = used ->> 'provider',
    model = used ->> 'model'
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

-- Ends a generation that was taken under this number. False where it is somebody
-- else's by now, or has ended: what was answered is dropped then, and of one that was
-- canceled meanwhile what it cost is booked. `outcome`: status, text, errorCode, and in
-- `used`, where the service answered: provider, model, tokens, latencyMs, costMicros.
create function app_private.end_generation(generation_id uuid, taken integer, outcome jsonb) returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  generation app_public.generations;
  used constant jsonb := outcome -> 'used';
begin
  select g.* into generation from app_public.generations as g
  where g.org_id = (select app_hidden.current_org_id()) and g.id = end_generation.generation_id
  for no key update;
  if not found or generation.attempt <> end_generation.taken or generation.status not in ('RUNNING', 'CANCELED') then
    return false;
  end if;
  if generation.status = 'RUNNING' then
    update app_public.generations as g
    set status = (outcome ->> 'status')::app_public.generation_status,
      text = outcome ->> 'text',
      error_code = outcome ->> 'errorCode',
      latency_ms = (used ->> 'latencyMs')::integer,
      provider = used ->> 'provider',
      model = used ->> 'model',
      prompt_tokens = (used ->> 'promptTokens')::integer,
      completion_tokens = (used ->> 'completionTokens')::integer
    where g.org_id = generation.org_id and g.id = generation.id;
  end if;
  perform app_private.settle_generation(generation.org_id, generation.id, coalesce(used, '{}'));
  return generation.status = 'RUNNING';
end;
$$;

-- The job that waits to take a generation over is not needed any more. One that a
-- worker holds finds that out for itself.
create function app_private.drop_generation_job(generation_id uuid) returns void
language plpgsql volatile set search_path = '' set enable_seqscan = off
as $$
begin
  delete from graphile_worker._private_jobs as j
  where j.key = pg_catalog.concat_ws(':', 'generations__run', app_hidden.current_org_id(), drop_generation_job.generation_id)
    and j.locked_at is null;
end;
$$;

-- A request ends what it has taken. Runs as the owner: requests write no generations.
create function app_hidden.finish_generation(generation_id uuid, taken integer, outcome jsonb) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  has_ended boolean;
begin
  if not exists (
    select from app_public.generations as g
    where g.org_id = (select app_hidden.current_org_id()) and g.id = finish_generation.generation_id
      and g.user_id = (select app_hidden.current_user_id()) and g.attempt = finish_generation.taken
  ) then
    return false;
  end if;
  has_ended := app_private.end_generation(finish_generation.generation_id, finish_generation.taken, finish_generation.outcome);
  -- Not of one that was handed off, or taken over: there the job has yet to do it.
  if not exists (
    select from app_public.generations as g
    where g.org_id = (select app_hidden.current_org_id()) and g.id = finish_generation.generation_id
      and g.status in ('QUEUED', 'RUNNING')
  ) then
    perform app_private.drop_generation_job(finish_generation.generation_id);
  end if;
  return has_ended;
end;
$$;

-- A request leaves what it has taken to the job, which is due now. False where it is
-- somebody else's by now, or has ended; where it was canceled, nothing more will come of it.
create function app_hidden.hand_off_generation(generation_id uuid, taken integer) returns boolean
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
    perform app_private.settle_generation(org, generation.id);
    perform app_private.drop_generation_job(generation.id);
    return false;
  end if;
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

-- Ends a generation before it has come to its end. True wherever it stands by now; null
-- where the caller may not cancel any such. What one that runs has cost is booked when
-- its answer comes, which nobody sees.
create function app_hidden.cancel_generation(generation_id uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  generation app_public.generations;
begin
  select g.* into generation from app_public.generations as g
  where g.org_id = (select app_hidden.current_org_id()) and g.id = cancel_generation.generation_id
    and (g.user_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_generations()))
  for no key update;
  if not found then
    return null;
  end if;
  if generation.status in ('QUEUED', 'RUNNING') then
    update app_public.generations as g set status = 'CANCELED'
    where g.org_id = generation.org_id and g.id = generation.id;
  end if;
  if generation.status = 'QUEUED' then
    perform app_private.drop_generation_job(generation.id);
  end if;
  return true;
end;
$$;

-- What the generations of a month have cost, and what is left. Nothing for who may not
-- know. Runs as the owner: requests may not read the ledger.
create function app_hidden.ai_usage(org_id text, month date, default_budget_micros bigint)
returns table (
  calls bigint, prompt_tokens bigint, completion_tokens bigint,
  cost_micros bigint, reserved_micros bigint, budget_micros bigint, remaining_micros bigint
)
language sql stable security definer set search_path = '' rows 1
begin atomic
  select coalesce(m.calls, 0), coalesce(m.prompt_tokens, 0), coalesce(m.completion_tokens, 0),
    coalesce(m.cost_micros, 0), coalesce(m.reserved_micros, 0), b.budget,
    greatest(0, b.budget - coalesce(m.cost_micros, 0) - coalesce(m.reserved_micros, 0))
  from (
    select coalesce((
      select s.monthly_budget_micros from app_private.ai_settings as s where s.org_id = app_hidden.current_org_id()
    ), ai_usage.default_budget_micros) as budget
  ) as b
  left join app_private.ai_months as m
    on m.org_id = app_hidden.current_org_id() and m.month = date_trunc('month', ai_usage.month)::date
  where ai_usage.org_id = app_hidden.current_org_id()
    and (app_hidden.can_manage_generations() or app_hidden.current_org_id() = app_hidden.current_user_id());
end;

grant execute on function
  app_hidden.create_generation(text, integer, uuid, text, text, boolean, jsonb),
  app_hidden.finish_generation(uuid, integer, jsonb),
  app_hidden.hand_off_generation(uuid, integer),
  app_hidden.cancel_generation(uuid),
  app_hidden.ai_usage(text, date, bigint)
to app_user;

-- A job takes a generation, over the head of whoever had it. Nothing where it has
-- ended: then what is still reserved for it is given back, since nobody works on it.
-- The row is locked before the job, as by all who write to it.
create function app_private.take_generation(attempt app_private.attempt, generation_id uuid)
returns table (prompt text, document_text text, max_tokens integer, taken integer)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  generation app_public.generations;
begin
  perform app_private.enter_organization(take_generation.attempt);
  select g.* into generation from app_public.generations as g
  where g.org_id = (select app_hidden.current_org_id()) and g.id = take_generation.generation_id
  for no key update;
  perform app_private.enter_attempt(take_generation.attempt);
  if generation.id is null or generation.status not in ('QUEUED', 'RUNNING') then
    perform app_private.settle_generation((select app_hidden.current_org_id()), take_generation.generation_id);
    return;
  end if;
  return query
    update app_public.generations as g
    set status = 'RUNNING', attempt = g.attempt + 1
    where g.org_id = generation.org_id and g.id = generation.id
    returning g.prompt, g.document_text, g.max_tokens, g.attempt;
end;
$$;

-- A job ends what it has taken.
create function app_private.complete_generation(
  attempt app_private.attempt, generation_id uuid, taken integer, outcome jsonb
) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  has_ended boolean;
begin
  perform app_private.enter_organization(complete_generation.attempt);
  has_ended := app_private.end_generation(
    complete_generation.generation_id, complete_generation.taken, complete_generation.outcome);
  perform app_private.enter_attempt(complete_generation.attempt);
  return has_ended;
end;
$$;

-- A job will try again what it has taken: until then it waits.
create function app_private.return_generation(attempt app_private.attempt, generation_id uuid, taken integer) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform app_private.enter_organization(return_generation.attempt);
  update app_public.generations as g set status = 'QUEUED'
  where g.org_id = (select app_hidden.current_org_id()) and g.id = return_generation.generation_id
    and g.attempt = return_generation.taken and g.status = 'RUNNING';
  return found;
end;
$$;

grant execute on function
  app_private.take_generation(app_private.attempt, uuid),
  app_private.complete_generation(app_private.attempt, uuid, integer, jsonb),
  app_private.return_generation(app_private.attempt, uuid, integer)
to app_worker;

-- Lets a row go its way only, and nothing else about it change. What was personal may be
-- erased at any time.
create function app_private.tg_generations__move() returns trigger
language plpgsql volatile set search_path = ''
as $$
declare
  ended constant app_public.generation_status[] := '{SUCCEEDED,FAILED,CANCELED}';
  personal constant text[] := array['prompt', 'text', 'document_text', 'idempotency_key', 'arguments_sha256', 'sent_sha256'];
  was constant jsonb := pg_catalog.to_jsonb(old);
  becomes jsonb;
begin
  if new.status = any (ended) and old.status <> all (ended) then
    new.finished_at := pg_catalog.now();
    new.document_text := null;
  end if;
  if new.status = 'RUNNING' then
    new.started_at := coalesce(old.started_at, pg_catalog.now());
  end if;
  becomes := pg_catalog.to_jsonb(new);
  if (
      old.status = any (ended)
      and was - personal - array['document_id', 'updated_at'] <> becomes - personal - array['document_id', 'updated_at']
    ) or (
      new.status <> old.status
      and (old.status, new.status) not in (
        ('QUEUED', 'RUNNING'), ('QUEUED', 'FAILED'), ('QUEUED', 'CANCELED'),
        ('RUNNING', 'QUEUED'), ('RUNNING', 'SUCCEEDED'), ('RUNNING', 'FAILED'), ('RUNNING', 'CANCELED'))
    ) or (
      new.attempt <> old.attempt and (new.attempt <> old.attempt + 1 or new.status <> 'RUNNING')
    ) or exists (
      select from pg_catalog.unnest(array['org_id', 'id', 'user_id', 'max_tokens', 'is_cached', 'created_at']) as name
      where was -> name <> becomes -> name
    ) or exists (
      -- Set once, with the row; the text with its end.
      select from pg_catalog.unnest(personal || array['document_id']) as name
      where was -> name <> becomes -> name and becomes -> name <> 'null'
        and (name <> 'text' or old.status = any (ended))
    )
  then
    raise exception 'The state of the generation does not allow it.' using errcode = 'RW409';
  end if;
  return new;
end;
$$;

-- What is reserved for a generation that has ended without a cost is given back. Not for
-- one canceled while it ran: its answer is still to come, and to be booked.
create function app_private.tg_generations__release() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if tg_op = 'DELETE' or old.status = 'QUEUED' then
    perform app_private.settle_generation(old.org_id, old.id);
  end if;
  return null;
end;
$$;

-- A job that failed for good: its generation has failed with it.
create function app_private.tg_dead_letters__fail_generation() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update app_public.generations as g set status = 'FAILED', error_code = new.error_code
  where g.org_id = new.org_id and g.id::text = new.subject and g.status in ('QUEUED', 'RUNNING');
  if found then
    perform app_private.settle_generation(new.org_id, new.subject::uuid);
  end if;
  return null;
end;
$$;

create trigger _100_touch before update on app_public.generations
  for each row execute function app_private.tg__touch();
create trigger _200_move before update on app_public.generations
  for each row execute function app_private.tg_generations__move();
create trigger _900_release after update of status on app_public.generations
  for each row when (new.status in ('FAILED', 'CANCELED') and old.status <> new.status)
  execute function app_private.tg_generations__release();
create trigger _900_release_delete after delete on app_public.generations
  for each row execute function app_private.tg_generations__release();
create trigger _900_fail_generation after insert or update of error_code on app_public.dead_letters
  for each row when (new.task = 'generations__run')
  execute function app_private.tg_dead_letters__fail_generation();

select app_private.audit('app_public.generations',
  personal => array['prompt', 'text', 'document_text', 'idempotency_key', 'arguments_sha256', 'sent_sha256'],
  ignored => array['updated_at']);

-- What a user who is gone has asked and was answered: erased in organizations, which
-- keep what it cost; gone in their own space.
create function app_private.erase_generations(user_id text) returns bigint
language plpgsql volatile set search_path = ''
as $$
declare
  erased bigint;
begin
  delete from app_public.generations as g where g.org_id = erase_generations.user_id;
  update app_public.generations as g
  set prompt = null, text = null, document_text = null, idempotency_key = null, arguments_sha256 = null, sent_sha256 = null,
    status = case when g.status in ('QUEUED', 'RUNNING') then 'CANCELED' else g.status end
  where g.user_id = erase_generations.user_id and g.prompt is not null;
  get diagnostics erased = row_count;
  return erased;
end;
$$;

-- As before, but for the generations of a user who is gone.
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
      rows_changed := rows_changed + app_private.erase_generations(told."userId");
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

-- As before, but that a job carries the trace of the request that adds it.
create or replace function app_private.enqueue(
  task text,
  row_id uuid,
  payload jsonb default '{}',
  job_key text default null,
  run_at timestamptz default null,
  max_attempts integer default null,
  queue_name text default null,
  org_id text default app_hidden.current_org_id()
) returns bigint
language plpgsql volatile set search_path = '' set enable_seqscan = off
as $$
declare
  key_used text := coalesce(enqueue.job_key, pg_catalog.concat_ws(':', enqueue.task, enqueue.org_id, enqueue.row_id));
  job_id bigint;
begin
  if enqueue.org_id is null then
    raise exception 'A job needs an organization.' using errcode = 'RW403';
  end if;
  -- Anything else would lose the organization that is put into it.
  if pg_catalog.jsonb_typeof(enqueue.payload) is distinct from 'object' then
    raise exception 'The payload of a job is an object.' using errcode = 'RW400', hint = 'payload';
  end if;
  -- graphile-worker adds nothing, and says nothing, where a worker takes the job of this
  -- key between its two statements. The next round finds it taken, and follows it.
  for round in 1..10 loop
    select j.id into job_id from graphile_worker.add_job(
      identifier => enqueue.task,
      payload => (enqueue.payload || pg_catalog.jsonb_build_object(
        'orgId', enqueue.org_id,
        'userId', app_hidden.current_user_id(),
        'actorId', app_hidden.current_actor_id(),
        'requestId', app_hidden.current_request_id(),
        'traceId', app_hidden.current_trace_id(),
        'traceparent', coalesce(
          nullif(pg_catalog.current_setting('app.traceparent', true), ''),
          '00-' || nullif(pg_catalog.current_setting('app.trace_id', true), '') || '-' || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 16) || '-01'
        ),
        'rowId', enqueue.row_id
      ))::json,
      queue_name => enqueue.queue_name,
      run_at => enqueue.run_at,
      max_attempts => enqueue.max_attempts,
      job_key => key_used,
      -- One that waits already keeps its turn.
      priority => coalesce(
        (
          select case when j.is_available then j.priority end
          from graphile_worker._private_jobs as j where j.key = key_used
        ),
        app_private.next_turn(enqueue.org_id)
      ),
      flags => array['org:' || enqueue.org_id]
    ) as j;
    if job_id is not null then
      return job_id;
    end if;
  end loop;
  raise exception 'The job was taken again and again.' using errcode = '40001';
end;
$$;

-- Whatever else is allowed: only rows of the caller's organization.
create policy all_same_org on app_public.generations as restrictive for all to app_user
  using (org_id = (select app_hidden.current_org_id()))
  with check (org_id = (select app_hidden.current_org_id()));
-- Who asked reads their own; managers read all.
create policy select_own on app_public.generations for select to app_user
  using (user_id = (select app_hidden.current_user_id()) or (select app_hidden.can_manage_generations()));
-- The functions above run as the owner, for callers and for jobs; each says which
-- organization it means. Rows are deleted with the personal space they are of.
create policy select_keeper on app_public.generations for select to current_user using (true);
create policy insert_keeper on app_public.generations for insert to current_user
  with check (org_id = (select app_hidden.current_org_id()) and user_id = (select app_hidden.current_user_id()));
create policy update_keeper on app_public.generations for update to current_user using (true) with check (true);
create policy delete_keeper on app_public.generations for delete to current_user using (org_id = user_id);

-- No request reads or writes these three: the functions above do, as the owner, and operators.
create policy select_keeper on app_private.ai_ledger for select to current_user using (true);
create policy insert_keeper on app_private.ai_ledger for insert to current_user with check (true);
create policy update_keeper on app_private.ai_ledger for update to current_user using (true) with check (true);
create policy select_keeper on app_private.ai_months for select to current_user using (true);
create policy insert_keeper on app_private.ai_months for insert to current_user with check (true);
create policy update_keeper on app_private.ai_months for update to current_user using (true) with check (true);
create policy select_operator on app_private.ai_settings for select to current_user using (true);
create policy insert_operator on app_private.ai_settings for insert to current_user with check (true);
create policy update_operator on app_private.ai_settings for update to current_user using (true) with check (true);
create policy delete_operator on app_private.ai_settings for delete to current_user using (true);

-- Read only: app_hidden.create_generation adds rows, within limits and budget, and the
-- functions above move them. Not what of a document goes along, which a manager of
-- generations might not be allowed to read; nor what tells attempts and repeats apart.
grant select (org_id, id, user_id, document_id, prompt, max_tokens, status, text, is_cached, error_code, latency_ms,
  provider, model, prompt_tokens, completion_tokens, started_at, finished_at, created_at, updated_at)
  on app_public.generations to app_user;

comment on table app_public.generations is 'A text that is or was to be generated by the AI service. Once it has ended it stays as it is.';
comment on column app_public.generations.org_id is 'The organization it belongs to.';
comment on column app_public.generations.id is 'Sorts by time of creation.';
comment on column app_public.generations.user_id is 'The member who asked for it.';
comment on column app_public.generations.document_id is 'The document whose text goes along with the prompt, if any.';
comment on column app_public.generations.prompt is 'What was asked for. Null once the account of who asked is gone.';
comment on column app_public.generations.max_tokens is 'How many tokens the text may have at most.';
comment on column app_public.generations.status is 'Where it stands.';
comment on column app_public.generations.text is 'The text, once it has succeeded. It comes from a model: show it, and do not run it.';
comment on column app_public.generations.is_cached is 'Whether the text was generated for the same prompt before, and cost nothing this time.';
comment on column app_public.generations.error_code is 'Why it failed: a code as in `extensions.code` of errors; else null.';
comment on column app_public.generations.latency_ms is 'How long the service took for the text, in milliseconds.';
comment on column app_public.generations.provider is 'Whose model it was.';
comment on column app_public.generations.model is 'The model.';
comment on column app_public.generations.prompt_tokens is 'How many tokens the service counted in the prompt, the text of the document included.';
comment on column app_public.generations.completion_tokens is 'How many tokens the service counted in the text.';
comment on column app_public.generations.document_text is 'What of the document goes along, as the member could read it; gone with the end, and not shown.';
comment on column app_public.generations.idempotency_key is 'The key under which it was asked for; not shown.';
comment on column app_public.generations.arguments_sha256 is 'By which a repeat is told from another use of the key; not shown.';
comment on column app_public.generations.sent_sha256 is 'By which the same prompt is found again; not shown.';
comment on column app_public.generations.attempt is 'Who works on it: each that takes it gets the next number; not shown.';
comment on column app_public.generations.started_at is 'When work on it began.';
comment on column app_public.generations.finished_at is 'When it ended.';
comment on column app_public.generations.created_at is 'When it was asked for.';
comment on column app_public.generations.updated_at is 'When its state last changed.';
comment on type app_public.generation_status is 'Where a generation stands.';
comment on table app_private.ai_ledger is 'What each generation may cost and has cost, in millionths of the unit of AI_PRICES.';
comment on column app_private.ai_ledger.org_id is 'The organization.';
comment on column app_private.ai_ledger.generation_id is 'The generation, which may be gone.';
comment on column app_private.ai_ledger.month is 'The month (UTC) it was accepted in, by its first day: its cost counts there.';
comment on column app_private.ai_ledger.reserved_micros is 'What it may cost at most, as it was reserved.';
comment on column app_private.ai_ledger.cost_micros is 'What it has cost; 0 until it is settled.';
comment on column app_private.ai_ledger.prompt_tokens is 'As the service counted them.';
comment on column app_private.ai_ledger.completion_tokens is 'As the service counted them.';
comment on column app_private.ai_ledger.latency_ms is 'How long the service took; null where there was no answer.';
comment on column app_private.ai_ledger.provider is 'Whose model it was; null where there was no answer.';
comment on column app_private.ai_ledger.model is 'The model; null where there was no answer.';
comment on column app_private.ai_ledger.created_at is 'When it was reserved.';
comment on column app_private.ai_ledger.settled_at is 'When it was booked; null until then.';
comment on table app_private.ai_months is 'The ledger of each organization by month (UTC).';
comment on column app_private.ai_months.org_id is 'The organization.';
comment on column app_private.ai_months.month is 'The first day of the month.';
comment on column app_private.ai_months.calls is 'How many generations were accepted that the service was needed for.';
comment on column app_private.ai_months.prompt_tokens is 'Tokens of prompts that are booked.';
comment on column app_private.ai_months.completion_tokens is 'Tokens of texts that are booked.';
comment on column app_private.ai_months.cost_micros is 'What is booked.';
comment on column app_private.ai_months.reserved_micros is 'What is reserved for generations that are not settled.';
comment on table app_private.ai_settings is 'Limits of single organizations; null where the settings of the API hold.';
comment on column app_private.ai_settings.org_id is 'The organization.';
comment on column app_private.ai_settings.monthly_budget_micros is 'What its generations may cost in a month, in millionths of the unit of AI_PRICES.';
comment on column app_private.ai_settings.cache_ttl_seconds is 'For how long a text answers the same prompt again; 0: never.';
comment on function app_hidden.can_manage_generations() is 'Whether the caller may read and cancel generations of others, and see what they cost: administrators, and holders of `org:generations:manage`.';
comment on function app_hidden.create_generation(text, integer, uuid, text, text, boolean, jsonb) is 'Accepts a generation, within the limits and the budget; or finds the one accepted under the same key.';
comment on function app_hidden.finish_generation(uuid, integer, jsonb) is 'Ends a generation that the caller''s request has taken; false where that came too late.';
comment on function app_hidden.hand_off_generation(uuid, integer) is 'Leaves a generation that the caller''s request has taken to a job; false where that came too late.';
comment on function app_hidden.cancel_generation(uuid) is 'Cancels a generation; null where the caller may cancel none such.';
comment on function app_hidden.ai_usage(text, date, bigint) is 'What the generations of a month have cost the caller''s organization, and what is left; nothing for who may not know.';
comment on function app_private.settle_generation(text, uuid, jsonb) is 'Books what a generation has cost, once; false where that was done before.';
comment on function app_private.end_generation(uuid, integer, jsonb) is 'Ends a generation that was taken under a number; false where that came too late.';
comment on function app_private.drop_generation_job(uuid) is 'Drops the job that waits to take a generation over.';
comment on function app_private.take_generation(app_private.attempt, uuid) is 'Takes a generation; nothing where it has ended; the job generations__run.';
comment on function app_private.complete_generation(app_private.attempt, uuid, integer, jsonb) is 'Ends a generation; the job generations__run.';
comment on function app_private.return_generation(app_private.attempt, uuid, integer) is 'Has a generation wait for the next attempt; the job generations__run.';
comment on function app_private.erase_generations(text) is 'Erases what a user who is gone has asked and was answered, and says of how many generations.';
comment on function app_private.tg_generations__move() is 'Trigger: rows go their way, and what was asked stays.';
comment on function app_private.tg_generations__release() is 'Trigger: gives back what is reserved for a generation that has ended before it was worked on, or is deleted.';
comment on function app_private.tg_dead_letters__fail_generation() is 'Trigger: a generation fails with its job.';
