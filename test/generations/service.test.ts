import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { AiFault } from '../../dev/ai/faults.ts';
import { testWords } from '../../dev/ai/localFaculties.ts';
import { signIn } from '../support/api.ts';
import { type GenerationGround, openGenerationGround, rowIdOf } from '../support/generations.ts';
import { memoryOf } from '../support/memory.ts';
import type { Program } from '../support/program.ts';
import { until } from '../support/until.ts';

/** What a generation comes to where the AI service refuses it, knows it already, or is out of order. */

let ground: GenerationGround;
/** One whose logs and memory can be looked at. */
let server: Program;
let url: string;
let worker: Program;
beforeAll(async () => {
  ground = await openGenerationGround({ AI_TIMEOUT_MS: '1200', AI_JOB_TIMEOUT_MS: '1200' });
  ({ server, url } = await ground.startServer());
  worker = await ground.startWorker();
}, 60_000);
afterAll(() => ground.close());
afterEach(() => ground.ai.setFault(undefined));

/** What the ledger says of a generation: one row, whatever happened. */
async function bookedFor(id: string) {
  const { rows } = await ground.database.superuser.query<{ is_settled: boolean; cost: number }>(
    `select settled_at is not null as is_settled, cost_micros::int as cost
     from app_private.ai_ledger where generation_id = $1`,
    [rowIdOf(id)],
  );
  return rows;
}

describe.each(['generate', 'startGeneration'] as const)('by %s, a prompt', (name) => {
  test.each([
    ['the filter refuses', 'xyzzy-hate', 0],
    ['the service refuses', testWords.refused, 1],
  ])('that %s has failed, and costs nothing', async (_who, word, calls) => {
    const { id } = await ground.mutate(name, { prompt: `Tell of ${word}, please.` });
    const generation = await ground.ended(id);
    expect(generation).toMatchObject({
      status: 'FAILED',
      errorCode: 'AI_REJECTED',
      text: null,
      promptTokens: null,
    });
    expect(ground.callsOf(id)).toHaveLength(calls);
    expect(await bookedFor(id)).toEqual([{ is_settled: true, cost: 0 }]);
  });

  test('whose text the filter refuses has failed, and its cost is booked once', async () => {
    const prompt = `Tell of ${testWords.filteredResult}, please.`;
    const { id } = await ground.mutate(name, { prompt });
    const generation = await ground.ended(id);
    expect(generation).toMatchObject({ status: 'FAILED', errorCode: 'AI_REJECTED', text: null });
    const cost = generation.promptTokens + generation.completionTokens;
    expect(cost).toBeGreaterThan(0);
    expect(await bookedFor(id)).toEqual([{ is_settled: true, cost }]);
    expect(ground.callsOf(id)).toHaveLength(1);
  });
});

test('a text that came is paid for, though its filter fails to the last try', async () => {
  const token = await signIn({ user: 'user_ann', org: 'org_paying' });
  ground.ai.setFault({ kind: 'delay', ms: 300, operation: 'generate' });
  const before = ground.ai.calls.length;
  const asked = ground.mutate('generate', { prompt: 'Paid for.' }, { token, url });
  await until('the call', () =>
    ground.ai.calls.slice(before).some(({ operation }) => operation === 'generate'),
  );
  ground.ai.setFault({ kind: 'status', status: 500, operation: 'filter' });
  const { id } = await asked;
  await lastTry(id);
  expect(await ground.ended(id, token)).toMatchObject({ status: 'FAILED', text: null });
  const [booked, ...others] = await bookedFor(id);
  expect(others).toEqual([]);
  expect(booked).toMatchObject({ is_settled: true });
  expect(booked?.cost).toBeGreaterThan(0);
  expect(await ground.month('org_paying')).toEqual({ calls: 1, cost: booked?.cost, reserved: 0 });
  expect(ground.callsOf(id).filter(({ isEffective }) => isEffective)).toHaveLength(1);
});

test('no prompt and no text is in the log of a worker', async () => {
  await recover();
  const marker = 'Xylophonic';
  ground.ai.setFault({ kind: 'garbage', body: `{"text": "${marker}"}`, times: 1 });
  const { id } = await ground.mutate('startGeneration', { prompt: marker });
  await lastTry(id);
  await ground.ended(id);
  expect(worker.lines.some(({ task }) => task === 'generations__run')).toBe(true);
  expect(JSON.stringify(worker.lines)).not.toContain(marker);
});

test('a text answers the same prompt again in its organization alone, for nothing', async () => {
  const ann = await signIn({ user: 'user_ann', org: 'org_thrifty' });
  const ben = await signIn({ user: 'user_ben', org: 'org_thrifty' });
  const carol = await signIn({ user: 'user_carol', org: 'org_neighbor' });
  // So that the organizations are there.
  for (const token of [ben, carol]) await ground.request('{ me { id } }', {}, token);
  await ground.database.superuser.query(
    `insert into app_private.ai_settings (org_id, cache_ttl_seconds)
     values ('org_thrifty', 60), ('org_neighbor', 60)`,
  );
  const same = { prompt: 'Say it again.', maxTokens: 30 };

  const first = await ground.mutate('generate', same, { token: ann });
  expect(first).toMatchObject({ status: 'SUCCEEDED', cached: false });
  const before = await ground.month('org_thrifty');
  for (const name of ['generate', 'startGeneration'] as const) {
    const again = await ground.mutate(name, same, { token: ben });
    expect(again).toMatchObject({ status: 'SUCCEEDED', cached: true, text: first.text });
    expect(again).toMatchObject({ promptTokens: 0, completionTokens: 0, model: first.model });
    expect(ground.callsOf(again.id)).toEqual([]);
    expect(await bookedFor(again.id)).toEqual([]);
  }
  expect(await ground.month('org_thrifty')).toEqual(before);

  const elsewhere = await ground.mutate('generate', same, { token: carol });
  expect(elsewhere).toMatchObject({ status: 'SUCCEEDED', cached: false });
  expect(ground.callsOf(elsewhere.id)).toHaveLength(1);
  const longer = await ground.mutate('generate', { ...same, maxTokens: 40 }, { token: ben });
  expect(longer).toMatchObject({ status: 'SUCCEEDED', cached: false });
  // Where it is off, which is the rule.
  await ground.mutate('generate', same);
  expect(await ground.mutate('generate', same)).toMatchObject({ cached: false });
});

describe('a service that', () => {
  test.each<[string, AiFault, string]>([
    ['hangs', { kind: 'hang' }, 'AI_TIMEOUT'],
    ['answers 200 MB', { kind: 'huge', bytes: 200_000_000 }, 'AI_UNAVAILABLE'],
    ['answers garbage', { kind: 'garbage' }, 'AI_UNAVAILABLE'],
    ['breaks off', { kind: 'reset' }, 'AI_UNAVAILABLE'],
    ['answers 429', { kind: 'status', status: 429, retryAfter: '60' }, 'AI_UNAVAILABLE'],
    ['answers 500', { kind: 'status', status: 500 }, 'AI_UNAVAILABLE'],
    ['answers 503', { kind: 'status', status: 503 }, 'AI_UNAVAILABLE'],
  ])('%s has the generation handed off, and failed with the last try', async (how, fault, code) => {
    await recover();
    // Of its own, as a 429 is for the organization.
    const org = `org_${how.replaceAll(' ', '_')}`;
    const token = await signIn({ user: 'user_ann', org });
    const others = serveOthers();
    ground.ai.setFault({ ...fault, operation: 'generate' });
    const handedOff = (line: { msg?: unknown }) => line.msg === 'generation handed off';
    const linesBefore = server.lines.filter(handedOff).length;
    const { id, ...at } = await ground.mutate('generate', { prompt: 'Sell.' }, { token, url });
    // The worker may have it by then.
    expect(['QUEUED', 'RUNNING']).toContain(at.status);
    expect(at).toMatchObject({ text: null, errorCode: null });
    const [line] = await until('the log', () => {
      const lines = server.lines.filter(handedOff).slice(linesBefore);
      return lines.length > 0 && lines;
    });
    expect(line).toMatchObject({ reason: code });

    await lastTry(id);
    const generation = await ground.ended(id, token);
    expect(generation).toMatchObject({ status: 'FAILED', errorCode: code, text: null });
    expect(await bookedFor(id)).toEqual([{ is_settled: true, cost: 0 }]);
    expect(await ground.month(org)).toEqual({ calls: 1, cost: 0, reserved: 0 });
    if (fault.kind === 'status' && fault.retryAfter) {
      // One of the API, one of the worker: left alone since.
      expect(ground.callsOf(id)).toHaveLength(2);
    }
    expect(await others.stop()).toEqual([]);
  });

  (existsSync('/proc/self/status') ? test : test.skip)(
    'answers 200 MB takes no memory of the API',
    async () => {
      await recover();
      const before = memoryOf(server).now;
      ground.ai.setFault({ kind: 'huge', bytes: 200_000_000, operation: 'generate' });
      const all = Array.from({ length: 4 }, (_, i) =>
        ground.mutate('generate', { prompt: `Flood ${i}.` }, { url }),
      );
      for (const { text } of await Promise.all(all)) expect(text).toBeNull();
      // Four of the longest allowed, and what they leave to the garbage collector.
      expect(memoryOf(server).peak - before).toBeLessThan(100);
    },
  );
});

/** Has a generation of both ways in succeed, so that neither process counts the failures before. */
async function recover(): Promise<void> {
  ground.ai.setFault(undefined);
  const token = await signIn({ user: 'user_ann', org: 'org_well' });
  for (const name of ['generate', 'startGeneration'] as const) {
    const { id } = await ground.mutate(name, { prompt: 'Are you well?' }, { token, url });
    expect(await ground.ended(id, token)).toMatchObject({ status: 'SUCCEEDED' });
  }
}

/** Lets the next try of a job, once one has failed, be the last, and now; one that is postponed has waited long enough. */
async function lastTry(id: string): Promise<void> {
  const { superuser } = ground.database;
  await until('a failed try', async () => {
    await superuser.query(
      `with hurried as (
         update graphile_worker._private_jobs set created_at = now() - interval '2 days', run_at = now()
         where key like $1 and locked_at is null and attempts = 0 returning id
       )
       select pg_notify('jobs:insert', '{"count":1}') from hurried`,
      [`%${rowIdOf(id)}`],
    );
    const { rowCount } = await superuser.query(
      `update graphile_worker._private_jobs set attempts = max_attempts - 1, run_at = now()
       where key like $1 and locked_at is null and attempts > 0`,
      [`%${rowIdOf(id)}`],
    );
    return rowCount === 1;
  });
  await superuser.query(`select pg_notify('jobs:insert', '{"count":1}')`);
}

/** Sends requests of others until it is stopped, and answers those that were not served. */
function serveOthers() {
  const failed: unknown[] = [];
  let isOver = false;
  const sending = (async () => {
    const token = await signIn({ user: 'user_bob', org: 'org_other' });
    while (!isOver) {
      const answer = await ground.request('{ me { id } }', {}, token, url);
      if (answer.status !== 200 || answer.errors) failed.push(answer);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await sending;
      return failed;
    },
  };
}
