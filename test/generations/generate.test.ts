import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { readSamples } from '../contract/samples.ts';
import { requestTo, signIn, startApi } from '../support/api.ts';
import type { Payload } from '../support/files.ts';
import { type GenerationGround, openGenerationGround, rowIdOf } from '../support/generations.ts';
import { until } from '../support/until.ts';

/** Generations through the API, with the local AI service. */

let ground: GenerationGround;
let second: string;
beforeAll(async () => {
  ground = await openGenerationGround();
  second = (await ground.startServer()).url;
});
afterAll(() => ground.close());
afterEach(() => ground.ai.setFault(undefined));

const jobsOf = async (id: string) =>
  (
    await ground.database.superuser.query(
      'select run_at <= now() as is_due from graphile_worker._private_jobs where key like $1',
      [`%${rowIdOf(id)}`],
    )
  ).rows;

describe('generate', () => {
  test('answers text and what it took in one request', async () => {
    const generation = await ground.mutate('generate', { prompt: 'Sell anvils.', maxTokens: 50 });
    expect(generation).toMatchObject({
      status: 'SUCCEEDED',
      text: expect.any(String),
      provider: 'local',
      latencyMs: expect.any(Number),
      promptTokens: expect.any(Number),
      completionTokens: expect.any(Number),
      cached: false,
      errorCode: null,
    });
    expect(generation.text).not.toBe('');
    const { promptTokens, completionTokens } = generation;
    expect(await ground.month()).toMatchObject({
      cost: promptTokens + completionTokens,
      reserved: 0,
    });
    expect(await jobsOf(generation.id)).toEqual([]);
    expect(ground.callsOf(generation.id)).toMatchObject([
      { orgId: 'org_acme', body: { prompt: 'Sell anvils.', maxTokens: 50 } },
    ]);
    expect(JSON.stringify(ground.ai.calls.map(({ headers }) => headers))).not.toContain(
      'user_alice',
    );
  });

  test('answers the sample of the page on AI', async () => {
    const [sample] = readSamples('docs/ai.md');
    const { data } = await ground.api.request(ground.token, sample?.text ?? '');
    expect(data.generate.generation).toMatchObject({
      status: 'SUCCEEDED',
      text: expect.stringContaining('anvils'),
    });
  });

  test('carries the trace of the request to the service', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const response = await fetch(`${ground.api.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${ground.token}`,
        traceparent: `00-${traceId}-b7ad6b7169203331-01`,
      },
      body: JSON.stringify({
        query: 'mutation { generate(input: { prompt: "Traced." }) { generation { id } } }',
      }),
    });
    const { data } = (await response.json()) as {
      data: { generate: { generation: { id: string } } };
    };
    const [call] = ground.callsOf(data.generate.generation.id);
    expect(call?.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    expect(call?.traceparent).not.toContain('b7ad6b7169203331');
  });

  test('begins a trace where the request names none', async () => {
    const { id } = await ground.mutate('generate', { prompt: 'Untraced.' });
    const events = await ground.database.superuser.query(
      'select trace_id from app_public.audit_events where row_id = $1',
      [rowIdOf(id)],
    );
    const [traceId] = new Set(events.rows.map(({ trace_id }) => trace_id));
    const [call] = ground.callsOf(id);
    expect(call?.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  });

  test('hands off what the service does not answer in time: the deadline holds', async () => {
    ground.ai.setFault({ kind: 'hang' });
    const startedMs = performance.now();
    const generation = await ground.mutate('generate', { prompt: 'Hang.' });
    const tookMs = performance.now() - startedMs;
    expect(generation).toMatchObject({ status: 'QUEUED', text: null, errorCode: null });
    expect(await jobsOf(generation.id)).toEqual([{ is_due: true }]);
    // Generous: a bound for the machine, not a measurement.
    expect(tookMs).toBeGreaterThan(1_900);
    expect(tookMs).toBeLessThan(4_000);
  });

  test('answers what was accepted, though its end cannot be written', async () => {
    ground.ai.setFault({ kind: 'delay', ms: 300, operation: 'generate' });
    const answer = ground.mutate('generate', { prompt: 'Stuck.' });
    const before = ground.ai.calls.length;
    await until('the call', () => ground.ai.calls.length > before);
    const stuck = await ground.database.superuser.connect();
    try {
      await stuck.query('begin; select from app_private.ai_months for update');
      const { id, status } = await answer;
      expect(status).toBe('RUNNING');
      expect(await jobsOf(id)).toEqual([{ is_due: false }]);
    } finally {
      await stuck.query('rollback');
      stuck.release();
    }
  }, 20_000);

  test('holds no connection and no transaction while the service hangs', async () => {
    ground.ai.setFault({ kind: 'hang' });
    const before = ground.ai.calls.length;
    // Another API, which alone learns that the service is down.
    const { url } = await ground.startServer();
    const all = Array.from({ length: 12 }, (_, i) =>
      ground.mutate('generate', { prompt: `Hang ${i}.` }, { url }),
    );
    await until('the calls', () => ground.ai.calls.length >= before + 12);
    const { rows } = await ground.database.superuser.query(
      `select state, count(*)::int from pg_stat_activity
       where application_name = 'rowhouse-api' and datname = current_database() and state <> 'idle' group by state`,
    );
    expect(rows).toEqual([]);
    // More hang than the pool has connections: others are served.
    const { data } = await requestTo(url)(ground.token, '{ me { id } }');
    expect(data.me.id).toEqual(expect.any(String));
    for (const { status } of await Promise.all(all)) expect(status).toBe('QUEUED');
  });

  test.each([
    ['what is out of order', { kind: 'garbage' }, 'QUEUED', null],
    ['what fails', { kind: 'status', status: 500 }, 'QUEUED', null],
  ] as const)('hands off %s', async (_what, fault, status, errorCode) => {
    ground.ai.setFault(fault);
    const generation = await ground.mutate('generate', { prompt: 'Fail.' });
    expect(generation).toMatchObject({ status, errorCode, text: null });
  });

  test('goes on to its end when the client leaves', async () => {
    ground.ai.setFault({ kind: 'delay', ms: 300 });
    const leaving = new AbortController();
    const before = ground.ai.calls.length;
    const gone = fetch(`${ground.api.url}/graphql`, {
      method: 'POST',
      signal: leaving.signal,
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${ground.token}`,
      },
      body: JSON.stringify({
        query:
          'mutation { generate(input: { prompt: "Leaving.", idempotencyKey: "leaving" }) { generation { id } } }',
      }),
    }).catch(() => {});
    await until('the call', () => ground.ai.calls.length > before);
    leaving.abort();
    await gone;
    await until('the end', async () => {
      const { rows } = await ground.database.superuser.query(
        "select status from app_public.generations where idempotency_key = 'leaving'",
      );
      return rows[0]?.status === 'SUCCEEDED';
    });
  });
});

describe('one key', () => {
  test('is one generation and one call, for 100 callers of two APIs at once', async () => {
    ground.ai.setFault({ kind: 'delay', ms: 400, operation: 'generate' });
    const input = { prompt: 'Once.', idempotencyKey: 'once' };
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        ground.mutate('generate', input, { url: i % 2 ? second : ground.api.url }),
      ),
    );
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set(['SUCCEEDED']));
    expect(ground.callsOf(all[0].id)).toHaveLength(1);
  });

  test('answers RUNNING when what was begun takes longer than the caller may wait', async () => {
    const { url } = await ground.startServer({ AI_TIMEOUT_MS: '200', AI_TRY_TIMEOUT_MS: '200' });
    ground.ai.setFault({ kind: 'delay', ms: 1_400, operation: 'generate' });
    const slow = { prompt: 'Slow.', idempotencyKey: 'slow' };
    const first = ground.mutate('generate', slow);
    await until('the first', async () => {
      const { rowCount } = await ground.database.superuser.query(
        "select from app_public.generations where idempotency_key = 'slow'",
      );
      return rowCount === 1;
    });
    const again = await ground.mutate('generate', slow, { url });
    expect(again.status).toBe('RUNNING');
    expect(again.id).toBe((await first).id);
    expect((await first).status).toBe('SUCCEEDED');
  });

  test('conflicts with other arguments', async () => {
    const input = { prompt: 'First.', idempotencyKey: 'conflict' };
    await ground.mutate('generate', input);
    for (const other of [
      { ...input, prompt: 'Second.' },
      { ...input, maxTokens: 7 },
    ]) {
      await expect(ground.mutate('generate', other)).rejects.toMatchObject({ code: 'CONFLICT' });
      await expect(ground.mutate('startGeneration', other)).rejects.toMatchObject({
        code: 'CONFLICT',
      });
    }
  });
});

test('a personal space is a pseudonym to the service, by both ways in', async () => {
  await ground.startWorker();
  const token = await signIn({ user: 'user_alice' });
  const now = await ground.mutate('generate', { prompt: 'Mine.' }, { token });
  const { id } = await ground.mutate('startGeneration', { prompt: 'Mine later.' }, { token });
  await ground.ended(id, token);
  const calls = [...ground.callsOf(now.id), ...ground.callsOf(id)];
  expect(calls.length).toBeGreaterThanOrEqual(2);
  expect(JSON.stringify(calls.map(({ headers }) => headers))).not.toContain('user_alice');
  // Else the service would not know the key again.
  expect(new Set(calls.map(({ orgId }) => orgId)).size).toBe(1);
  expect(now.status).toBe('SUCCEEDED');
});

test('half a character in a prompt is the same to the request and to the job', async () => {
  await ground.startWorker();
  ground.ai.setFault({ kind: 'reset', operation: 'generate', times: 3 });
  const { id } = await ground.mutate('generate', { prompt: 'Half \ud800 of it.' });
  expect(await ground.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
  expect(new Set(ground.callsOf(id).map(({ body }) => JSON.stringify(body))).size).toBe(1);
});

test('many in one request are answered within the time of one', async () => {
  const { url } = await ground.startServer();
  ground.ai.setFault({ kind: 'hang' });
  const fields = Array.from(
    { length: 6 },
    (_, i) => `g${i}: generate(input: { prompt: "Hang ${i}." }) { generation { status } }`,
  );
  const startedMs = performance.now();
  const { data } = await ground.request(`mutation { ${fields.join(' ')} }`, {}, ground.token, url);
  const tookMs = performance.now() - startedMs;
  const statuses = Object.values(data).map((each) => (each as Payload).generation.status);
  expect(statuses).toEqual(fields.map(() => expect.stringMatching(/^(QUEUED|RUNNING)$/)));
  // Six times would be 12 s.
  expect(tookMs).toBeLessThan(8_000);
});

describe('a document', () => {
  const create = async (title: string, body: string, token = ground.token) => {
    const { data } = await requestTo(ground.api.url)(
      token,
      'mutation ($d: DocumentInput!) { createDocument(input: { document: $d }) { document { id } } }',
      { d: { title, body } },
    );
    return data.createDocument.document.id as string;
  };

  test('goes along, as much as fits', async () => {
    const document = await create('Plan', 'é'.repeat(40_000));
    const generation = await ground.mutate('generate', { prompt: 'Sum up.', document });
    expect(generation.document.id).toBe(document);
    const [call] = ground.callsOf(generation.id);
    const { prompt } = (call?.body ?? {}) as { prompt: string };
    expect(prompt).toMatch(/^Sum up\.\n\n---\n\nPlan\n\né+$/);
    expect(Buffer.byteLength(prompt)).toBeLessThanOrEqual(8_000 * 4);
    expect(Buffer.byteLength(prompt)).toBeGreaterThan(8_000 * 4 - 20);
  });

  test('goes along whole characters at a time, and not at all where the prompt leaves no room', async () => {
    const document = await create('P', '😀'.repeat(10_000));
    for (const [length, end] of [
      [31_980, /\n\n---\n\nP\n\n😀+$/u],
      [31_996, /^a+$/],
    ] as const) {
      const prompt = 'a'.repeat(length);
      const { id } = await ground.mutate('generate', { prompt, document });
      const { prompt: sent } = (ground.callsOf(id)[0]?.body ?? {}) as { prompt: string };
      expect(sent).toMatch(end);
      expect(sent).not.toContain('\uFFFD');
      expect(Buffer.byteLength(sent)).toBeLessThanOrEqual(8_000 * 4);
    }
  });

  test('of somebody else is answered as one that is not there', async () => {
    const carol = await signIn({ user: 'user_carol', org: 'org_globex' });
    const foreign = await create('Secret', 'Secret.', carol);
    const random = Buffer.from(
      JSON.stringify(['Document', '00000000-0000-7000-8000-000000000001']),
    ).toString('base64');
    const bob = await signIn({ user: 'user_bob', org: 'org_acme' });
    const colleagues = await create('Own', 'Own.', bob);
    const prompt = 'Sum up what is not mine.';
    for (const document of [foreign, random, colleagues]) {
      for (const name of ['generate', 'startGeneration'] as const) {
        await expect(ground.mutate(name, { prompt, document })).rejects.toMatchObject({
          code: 'BAD_USER_INPUT',
          field: 'document',
        });
      }
    }
    // A worker may ask for what other tests have left.
    expect(ground.ai.calls.filter(({ body }) => JSON.stringify(body).includes(prompt))).toEqual([]);
  });
});

test('without an AI service nothing is accepted, and what was spent can be read', async () => {
  const bare = await startApi(ground.database, { AI_MONTHLY_BUDGET: '3' });
  try {
    for (const name of ['generate', 'startGeneration'] as const) {
      const asked = ground.mutate(name, { prompt: 'Sell.' }, { url: bare.url });
      await expect(asked).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
    }
    const boss = await signIn({ user: 'user_boss', org: 'org_acme', role: 'admin' });
    const query = '{ viewer { organization { aiUsage { budgetMicros } } } }';
    const { data } = await requestTo(bare.url)(boss, query);
    expect(data.viewer.organization.aiUsage).toEqual({ budgetMicros: '3000000' });
  } finally {
    await bare.close();
  }
});

test.each([
  ['prompt', { prompt: '' }],
  ['prompt', { prompt: 'x'.repeat(32_001) }],
  ['maxTokens', { prompt: 'a', maxTokens: 100_000 }],
  ['document', { prompt: 'a', document: 'nonsense' }],
])('refuses a wrong %s', async (_field, input) => {
  await expect(ground.mutate('generate', input)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
});

test('no prompt and no text is in any log or metric', async () => {
  const marker = 'Xylophonic';
  ground.ai.setFault({ kind: 'garbage', body: `{"text": "${marker}"}`, times: 1 });
  await ground.mutate('generate', { prompt: marker });
  await ground.mutate('generate', { prompt: marker });
  await ground.mutate('generate', { prompt: `${marker}${'x'.repeat(40_000)}` }).catch(() => {});
  const metrics = await (await fetch(`${ground.api.url}/metrics`)).text();
  expect(metrics).toContain('rowhouse_generation');
  expect(JSON.stringify(ground.api.logs) + metrics).not.toContain(marker);
});
