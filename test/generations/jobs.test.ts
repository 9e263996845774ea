import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { signIn } from '../support/api.ts';
import { type GenerationGround, openGenerationGround } from '../support/generations.ts';
import { isJobLine } from '../support/jobLines.ts';
import { until } from '../support/until.ts';
import { apiSteps, killApisAt, killWorkersAt, workerSteps } from './steps.ts';
import { killApis, killWorkers } from './storms.ts';

/** Generations that a job does, and what they may cost. */

let ground: GenerationGround;
beforeAll(async () => {
  ground = await openGenerationGround();
  await ground.startWorker();
});
afterAll(() => ground.close());
afterEach(() => ground.ai.setFault(undefined));

test('a generation that is started answers at once, and ends later, in the trace of its request', async () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const response = await fetch(`${ground.api.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${ground.token}`,
      traceparent: `00-${traceId}-b7ad6b7169203331-01`,
    },
    body: JSON.stringify({
      query: 'mutation { startGeneration(input: { prompt: "Later." }) { generation { id } } }',
    }),
  });
  const { data } = (await response.json()) as {
    data: { startGeneration: { generation: { id: string } } };
  };
  const { id } = data.startGeneration.generation;
  expect(await ground.ended(id)).toMatchObject({ status: 'SUCCEEDED', provider: 'local' });
  expect(ground.callsOf(id)).toHaveLength(1);
  expect(ground.callsOf(id)[0]?.traceparent).toContain(traceId);
});

test('what a request hands off ends later, under the same key', async () => {
  ground.ai.setFault({ kind: 'status', status: 500, operation: 'generate', times: 3 });
  const { id, text } = await ground.mutate('generate', { prompt: 'Hand off.' });
  // The job may run by now.
  expect(text).toBeNull();
  ground.ai.setFault(undefined);
  expect(await ground.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
  expect(ground.callsOf(id).filter(({ isEffective }) => isEffective)).toHaveLength(1);
});

test.each([429, 503])(
  'what a request hands off as it was told %i waits for as long as it was told',
  async (status) => {
    const operation = 'generate';
    ground.ai.setFault({ kind: 'status', status, retryAfter: '3', operation, times: 1 });
    const beganMs = performance.now();
    const { id, status: state } = await ground.mutate('generate', { prompt: `Told ${status}.` });
    expect(state).toBe('QUEUED');
    expect(await ground.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
    expect(performance.now() - beganMs).toBeGreaterThan(3_000);
  },
);

describe('a generation that is canceled', () => {
  test('while it runs keeps no text, and its cost is booked', async () => {
    ground.ai.setFault({ kind: 'delay', ms: 500, operation: 'generate' });
    const before = await ground.month();
    const { id } = await ground.mutate('startGeneration', { prompt: 'Cancel.' });
    await until('the call', () => ground.callsOf(id).length > 0);
    expect(await ground.mutate('cancelGeneration', { id })).toMatchObject({ status: 'CANCELED' });
    await ground.idle();
    expect(await ground.ended(id)).toMatchObject({ status: 'CANCELED', text: null });
    const after = await ground.month();
    expect(after.cost).toBeGreaterThan(before.cost);
    expect(after.reserved).toBe(0);
  });

  test('of somebody else is not there', async () => {
    const { id } = await ground.mutate('generate', { prompt: 'Mine.' });
    const nowhere = Buffer.from(
      JSON.stringify(['Generation', '00000000-0000-7000-8000-000000000001']),
    ).toString('base64');
    const carol = await signIn({ user: 'user_carol', org: 'org_globex' });
    const bob = await signIn({ user: 'user_bob', org: 'org_acme' });
    for (const [which, token] of [
      [id, carol],
      [id, bob],
      [nowhere, ground.token],
      ['nonsense', ground.token],
    ] as const) {
      await expect(
        ground.mutate('cancelGeneration', { id: which }, { token }),
      ).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
  });
});

test('a budget is not overspent by 200 at once, and administrators see what is left', async () => {
  const boss = await signIn({ user: 'user_boss', org: 'org_thrifty', role: 'admin' });
  const { data } = await ground.request(
    '{ viewer { organization { id aiUsage { calls budgetMicros } } } }',
    {},
    boss,
  );
  expect(data.viewer.organization.aiUsage).toEqual({ calls: '0', budgetMicros: '10000000' });
  // (3 + 192) / 3 tokens of the prompt, and 20 of the text: enough for 10 to run at once.
  const budget = 10 * 85;
  await ground.database.superuser.query(
    "insert into app_private.ai_settings (org_id, monthly_budget_micros) values ('org_thrifty', $1)",
    [budget],
  );
  const answers = await Promise.allSettled(
    Array.from({ length: 200 }, () =>
      ground.mutate('generate', { prompt: 'Buy', maxTokens: 20 }, { token: boss }),
    ),
  );
  const refused = answers.filter(({ status }) => status === 'rejected');
  expect(refused.length).toBeGreaterThan(0);
  for (const answer of refused) {
    expect(answer).toMatchObject({ reason: { code: 'AI_BUDGET_EXCEEDED' } });
  }
  await ground.idle();
  const { cost, reserved, calls } = await ground.month('org_thrifty');
  expect(calls).toBe(200 - refused.length);
  expect(reserved).toBe(0);
  expect(cost).toBeLessThanOrEqual(budget);
  const usage = await ground.request(
    '{ viewer { organization { aiUsage { costMicros reservedMicros remainingMicros } } } }',
    {},
    boss,
  );
  expect(usage.data.viewer.organization.aiUsage).toEqual({
    costMicros: String(cost),
    reservedMicros: '0',
    remainingMicros: String(budget - cost),
  });
  const member = await signIn({ user: 'user_saver', org: 'org_thrifty' });
  const none = await ground.request(
    '{ viewer { organization { aiUsage { calls } } } }',
    {},
    member,
  );
  expect(none.data.viewer.organization.aiUsage).toBeNull();
});

describe('where an organization has one place', () => {
  let narrow: GenerationGround;
  beforeEach(async () => {
    narrow = await openGenerationGround({ AI_MAX_CALLS_PER_ORGANIZATION: '1' });
  });
  afterEach(() => narrow.close());

  test('jobs wait for it, and for a service that says 429, and that is no attempt', async () => {
    const worker = await narrow.startWorker({ WORKER_CONCURRENCY: '6', LOG_LEVEL: 'debug' });
    narrow.ai.setFault({ kind: 'status', status: 429, retryAfter: '1', times: 2 });
    const all = await Promise.all(
      Array.from({ length: 6 }, (_, i) =>
        narrow.mutate('startGeneration', { prompt: `One of many: ${i}.` }),
      ),
    );
    for (const { id } of all) expect(await narrow.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
    await narrow.idle();
    const outcomes = () => worker.lines.filter(isJobLine).map(({ outcome }) => outcome);
    // A line comes a moment after what it tells of.
    await until(
      'the lines of all',
      () => outcomes().filter((outcome) => outcome === 'succeeded').length === 6,
    );
    expect(outcomes()).toContain('postponed');
    expect(outcomes()).not.toContain('failed');
  }, 60_000);
});

test('while the service counts as down jobs wait, are not taken, and that is no attempt', async () => {
  const down = await openGenerationGround();
  try {
    const worker = await down.startWorker({ WORKER_CONCURRENCY: '12', LOG_LEVEL: 'debug' });
    down.ai.setFault({ kind: 'status', status: 500 });
    const all = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        down.mutate('startGeneration', { prompt: `Down: ${i}.` }),
      ),
    );
    const outcomes = (which: string) =>
      worker.lines.filter((line) => isJobLine(line) && line.outcome === which).length;
    // Each asks again while it counts as down.
    await until('jobs to wait', () => outcomes('postponed') >= 12, 30_000);
    const { rows } = await down.database.superuser.query(
      'select max(attempt) as most from app_public.generations',
    );
    expect(rows[0].most).toBeLessThanOrEqual(3);
    down.ai.setFault(undefined);
    for (const { id } of all) expect(await down.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
  } finally {
    await down.close();
  }
}, 60_000);

test('a service that hangs holds half of the places of a worker, and other jobs have the rest', async () => {
  const hanging = await openGenerationGround({ AI_JOB_TIMEOUT_MS: '60000' });
  try {
    await hanging.startWorker({ WORKER_CONCURRENCY: '4' });
    hanging.ai.setFault({ kind: 'hang' });
    const carol = await signIn({ user: 'user_carol', org: 'org_globex' });
    for (const token of [hanging.token, carol, hanging.token, carol, hanging.token, carol]) {
      await hanging.mutate('startGeneration', { prompt: 'Hang.' }, { token });
    }
    await until('the calls', () => hanging.ai.calls.length === 2);
    const query =
      'mutation { createDocument(input: { document: { title: "Anvils" } }) { document { id } } }';
    await hanging.request(query);
    await until('the document to be indexed', async () => {
      const { rowCount } = await hanging.database.superuser.query(
        "select from graphile_worker.jobs where task_identifier = 'documents__index'",
      );
      return rowCount === 0;
    });
    expect(hanging.ai.calls).toHaveLength(2);
  } finally {
    await hanging.close();
  }
}, 60_000);

test('a worker that is stopped before a text was let through says what it has cost', async () => {
  const filtered = await openGenerationGround({ AI_FILTERS: 'true', AI_JOB_TIMEOUT_MS: '60000' });
  try {
    const worker = await filtered.startWorker({
      SHUTDOWN_DRAIN_MS: '0',
      SHUTDOWN_GRACE_MS: '2000',
    });
    filtered.ai.setFault({ kind: 'delay', ms: 500, operation: 'generate' });
    const { id } = await filtered.mutate('startGeneration', { prompt: 'Stop.' });
    await until('the call for the text', () => filtered.callsOf(id).length === 1);
    filtered.ai.setFault({ kind: 'hang', operation: 'filter' });
    await until('prompt and text to be filtered', () => filtered.ai.calls.length === 3);
    worker.kill('SIGTERM');
    await worker.ended;
    const { data } = await filtered.request('query ($id: ID!) { generation(id: $id) { status } }', {
      id,
    });
    expect(data.generation.status).toBe('QUEUED');
    const { cost, reserved } = await filtered.month();
    expect(cost).toBeGreaterThan(0);
    expect(reserved).toBe(0);
  } finally {
    await filtered.close();
  }
});

describe('killed', () => {
  let storm: GenerationGround;
  beforeEach(async () => {
    storm = await openGenerationGround();
  });
  afterEach(() => storm.close());
  const named = <Step extends { name: string }>(steps: readonly Step[], ...names: string[]) =>
    steps.filter(({ name }) => names.includes(name));

  test('APIs lose no generation', async () => {
    await killApis(storm, 2);
  }, 120_000);

  test('workers lose no generation', async () => {
    await killWorkers(storm, 2);
  }, 120_000);

  test('an API that has accepted, has the text or has handed off loses no generation', async () => {
    const steps = named(
      apiSteps,
      'has accepted, unanswered',
      'has the text, unanswered',
      'has handed off, unanswered',
    );
    expect(await killApisAt(storm, steps, 1)).toContain('3 acknowledged, 3 accepted');
  }, 120_000);

  test('a worker that has the text, or has completed, loses no generation', async () => {
    const steps = named(
      workerSteps,
      'has the text, unanswered',
      'has completed, uncommitted',
      'has committed, unanswered',
    );
    expect(await killWorkersAt(storm, steps, 1)).toContain('3 acknowledged, 3 accepted');
  }, 120_000);
});
