--! Previous: sha1:c08358653536ab8ab8643f9071c30dab571301f9
--! Hash: sha1:5ac24a0de48011ba0fe5786aa37bc88f5ac3143a
--! Message: what is spent counts at once

-- What is spent on a generation that has not ended counts for the budget at once: a service
-- whose filter of results is down could else be paid for any number of texts before the
-- first of them is booked. And nobody waits long for the row of the month, which all
-- generations of an organization write: a worker that freezes beside it would keep the
-- connections of the API, for everybody.

-- Books what was spent so far, in place of what was reserved or booked before.
drop function if exists app_private.note_generation_cost(text, uuid, jsonb);
create function app_private.note_generation_cost(org_id text, generation_id uuid, used jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  before app_private.ai_ledger;
  noted app_private.ai_ledger;
begin
  if not note_generation_cost.used ? 'costMicros' then
    return;
  end if;
  select l.* into before from app_private.ai_ledger as l
  where l.org_id = note_generation_cost.org_id and l.generation_id = note_generation_cost.generation_id
    and l.settled_at is null
  for update;
  if not found then
    return;
  end if;
  update app_private.ai_ledger as l
  set reserved_micros = 0,
    cost_micros = (used ->> 'costMicros')::bigint,
    prompt_tokens = (used ->> 'promptTokens')::bigint,
    completion_tokens = (used ->> 'completionTokens')::bigint,
    latency_ms = (used ->> 'latencyMs')::bigint,
    provider = used ->> 'provider',
    model = used ->> 'model'
  where l.org_id = before.org_id and l.generation_id = before.generation_id
  returning l.* into noted;
  update app_private.ai_months as m
  set cost_micros = m.cost_micros + noted.cost_micros - before.cost_micros,
    reserved_micros = m.reserved_micros - before.reserved_micros,
    prompt_tokens = m.prompt_tokens + noted.prompt_tokens - before.prompt_tokens,
    completion_tokens = m.completion_tokens + noted.completion_tokens - before.completion_tokens
  where m.org_id = before.org_id and m.month = before.month;
end;
$$;
comment on column app_private.ai_ledger.reserved_micros is 'What it may cost at most, as it was reserved; 0 once something was spent.';
comment on function app_private.note_generation_cost(text, uuid, jsonb) is 'Books what a generation has cost so far, in place of what was reserved or booked for it before; nothing once it is settled.';

create or replace function app_private.settle_generation(org_id text, generation_id uuid, used jsonb default '{}') returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  settled app_private.ai_ledger;
begin
  perform app_private.note_generation_cost(settle_generation.org_id, settle_generation.generation_id, settle_generation.used);
  update app_private.ai_ledger as l
  set settled_at = pg_catalog.now()
  where l.org_id = settle_generation.org_id and l.generation_id = settle_generation.generation_id and l.settled_at is null
  returning l.* into settled;
  if not found then
    return false;
  end if;
  -- Nothing was noted since something was reserved.
  update app_private.ai_months as m
  set reserved_micros = m.reserved_micros - settled.reserved_micros,
    cost_micros = m.cost_micros + settled.cost_micros,
    prompt_tokens = m.prompt_tokens + settled.prompt_tokens,
    completion_tokens = m.completion_tokens + settled.completion_tokens
  where m.org_id = settled.org_id and m.month = settled.month and settled.reserved_micros > 0;
  return true;
end;
$$;

-- As before, but that what is paid for is taken, however little is left.
create or replace function app_private.take_generation(attempt app_private.attempt, generation_id uuid, default_budget_micros bigint default null)
returns table (prompt text, document_text text, max_tokens integer, taken integer)
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
      -- The service answers what it was paid for by its key.
      and l.provider is null
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

alter function app_hidden.create_generation(text, integer, uuid, text, text, boolean, jsonb) set lock_timeout = '2s';
alter function app_hidden.finish_generation(uuid, integer, jsonb) set lock_timeout = '2s';
alter function app_hidden.hand_off_generation(uuid, integer, jsonb) set lock_timeout = '2s';
