import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { AiFault } from '../../dev/ai/faults.ts';
import { testWords } from '../../dev/ai/localFaculties.ts';
import { keptOutMs } from '../../services/ai/AiFailure.ts';
import { type DeafServer, openDeafServer } from '../support/deafServer.ts';
import { until } from '../support/until.ts';
import { type AiGround, makeCall, openAiGround } from './ground.ts';

let ground: AiGround;
let deaf: DeafServer | undefined;
afterEach(async () => {
  await ground.close();
  deaf?.close();
});

const prompt = { prompt: 'Tell me of rows and houses.', maxTokens: 50 };

describe('the client of the AI service', () => {
  test('returns the text and what it took', async () => {
    ground = await openAiGround();
    const answer = await ground.ai.generate(prompt, makeCall());
    expect(answer).toEqual({
      text: expect.stringContaining('Tell me of rows and houses.'),
      latencyMs: expect.any(Number),
      provider: 'local',
      model: 'echo-1',
      promptTokens: 7,
      completionTokens: expect.any(Number),
    });
    expect(answer.completionTokens).toBeLessThanOrEqual(50);
  });

  test('sends who asks, the key and the trace, and nothing else of anybody', async () => {
    ground = await openAiGround();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await ground.ai.generate(prompt, makeCall({ idempotencyKey: 'once', traceparent }));
    expect(ground.local.calls[0]?.headers).toEqual({
      host: expect.any(String),
      connection: 'keep-alive',
      'x-org-id': 'org_a',
      'x-user-id': 'pseudonym',
      'idempotency-key': 'once',
      traceparent,
      'content-type': 'application/json',
      accept: 'application/json',
      'content-length': expect.any(String),
    });
  });

  test('reports what a call took, and never a text', async () => {
    ground = await openAiGround();
    await ground.ai.generate(prompt, makeCall());
    expect(ground.seen).toEqual([
      {
        type: 'aiCallFinished',
        operation: 'generate',
        outcome: 'ok',
        durationMs: expect.any(Number),
        provider: 'local',
        model: 'echo-1',
        promptTokens: 7,
        completionTokens: expect.any(Number),
      },
    ]);
  });

  test('finds texts with the same words near to each other', async () => {
    ground = await openAiGround();
    const texts = [
      'the old house by the sea',
      'an old house near the sea',
      'quarterly tax figures',
    ];
    const { embeddings, model } = await ground.ai.embed({ texts }, makeCall());
    const near = (a = 0, b = 0) =>
      embeddings[a]?.reduce((sum, x, i) => sum + x * (embeddings[b]?.[i] ?? 0), 0);
    expect(near(0, 1)).toBeGreaterThan(0.5);
    expect(near(0, 2)).toBeLessThan(0.3);
    expect(near(1, 1)).toBeCloseTo(1);
    expect(model).toBe('bag-of-words-256');
  });

  test('gives vectors length 1, in numbers that Postgres can hold', async () => {
    const embeddings = [[3, 4, 1e-320]];
    const body = JSON.stringify({ embeddings, model: 'm', promptTokens: 1 });
    ground = await openAiGround({ fault: { kind: 'garbage', body } });
    const answer = await ground.ai.embed({ texts: ['a'] }, makeCall());
    expect(answer.embeddings).toEqual([[Math.fround(0.6), Math.fround(0.8), 0]]);
  });

  test('tells what the filter says, of prompts and of results', async () => {
    ground = await openAiGround();
    const filter = (text: string, kind: 'prompt' | 'result') =>
      ground.ai.filter({ text, kind }, makeCall());
    const bad = testWords.filteredResult;
    expect(await filter('rows and houses', 'prompt')).toEqual({ isAllowed: true, categories: [] });
    expect(await filter('xyzzy-hate', 'prompt')).toEqual({
      isAllowed: false,
      categories: ['hate'],
    });
    expect(await filter(bad, 'prompt')).toMatchObject({ isAllowed: true });
    expect(await filter(bad, 'result')).toEqual({ isAllowed: false, categories: ['result'] });
  });

  test('tells a refusal of the content as such, and asks once', async () => {
    ground = await openAiGround();
    const refused = ground.ai.generate({ ...prompt, prompt: testWords.refused }, makeCall());
    await expect(refused).rejects.toMatchObject({ code: 'AI_REJECTED' });
    expect(ground.local.calls).toHaveLength(1);
  });

  test('tries again with the same key, and the work is done once', async () => {
    ground = await openAiGround({ fault: { kind: 'reset', times: 2 } });
    const { text } = await ground.ai.generate(prompt, makeCall());
    expect(text).toContain('rows');
    const { calls } = ground.local;
    expect(calls).toHaveLength(3);
    expect(new Set(calls.map((call) => call.idempotencyKey)).size).toBe(1);
    expect(calls.filter((call) => call.isEffective)).toHaveLength(1);
    expect(ground.of('aiTryFailed')).toHaveLength(2);
  });

  test('waits as long as the service asks for', async () => {
    const fault: AiFault = { kind: 'status', status: 503, retryAfter: '1', times: 1 };
    ground = await openAiGround({ fault, timeoutMs: 5_000 });
    await ground.ai.generate(prompt, makeCall());
    const [first, second] = ground.local.calls;
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(990);
  });

  test('gives up at once where the service asks for more time than there is', async () => {
    ground = await openAiGround({ fault: { kind: 'status', status: 503, retryAfter: '60' } });
    const beganMs = performance.now();
    const failed = ground.ai.generate(prompt, makeCall());
    await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
    expect(ground.local.calls).toHaveLength(1);
    expect(performance.now() - beganMs).toBeLessThan(900);
  });

  test('ends with the signal of whoever waits', async () => {
    ground = await openAiGround({ fault: { kind: 'hang' } });
    const control = new AbortController();
    const over = new Error('over');
    const called = ground.ai.generate(prompt, makeCall({ signal: control.signal }));
    setTimeout(() => control.abort(over), 50);
    await expect(called).rejects.toBe(over);
    expect(ground.of('aiCallFinished')).toMatchObject([{ outcome: 'aborted' }]);
  });
});

describe('of what comes back', () => {
  const good = {
    text: 'x',
    latencyMs: 1,
    provider: 'p',
    model: 'm',
    promptTokens: 1,
    completionTokens: 1,
  };
  test.each<[string, unknown]>([
    ['HTML', '<html></html>'],
    ['nothing', ''],
    ['null', null],
    ['another shape', { result: 'x' }],
    ['no text', { ...good, text: null }],
    ['a text that Postgres cannot hold', { ...good, text: 'a\0b' }],
    ['a negative count', { ...good, promptTokens: -1 }],
    ['a fraction of a token', { ...good, completionTokens: 0.5 }],
    ['an absurd count', { ...good, completionTokens: 1e15 }],
    ['a count in words', { ...good, promptTokens: '1' }],
    ['a provider that is a sentence', { ...good, provider: 'Acme <b>AI</b>' }],
  ])('the client believes no answer with %s', async (_, body) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    ground = await openAiGround({ fault: { kind: 'garbage', body: text } });
    const failed = ground.ai.generate(prompt, makeCall());
    await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
    expect(ground.of('aiCallFinished')).toMatchObject([{ outcome: 'malformed' }]);
    expect(ground.local.calls).toHaveLength(1);
  });

  test.each<[string, unknown]>([
    ['too few vectors', [[1, 0]]],
    ['vectors of several lengths', [[1, 0], [1]]],
    [
      'a vector without direction',
      [
        [1, 0],
        [0, 0],
      ],
    ],
    [
      'numbers beyond all bounds',
      [
        [1, 0],
        [1e300, 0],
      ],
    ],
    ['an empty vector', [[], []]],
  ])('the client believes no embeddings with %s', async (_, embeddings) => {
    const body = JSON.stringify({ embeddings, model: 'm', promptTokens: 1 });
    ground = await openAiGround({ fault: { kind: 'garbage', body } });
    const failed = ground.ai.embed({ texts: ['a', 'b'] }, makeCall());
    await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
  });

  test('fields that are not in the contract are left out', async () => {
    const body = JSON.stringify({ ...good, secret: 'of theirs' });
    ground = await openAiGround({ fault: { kind: 'garbage', body } });
    expect(await ground.ai.generate(prompt, makeCall())).toEqual(good);
  });
});

describe('an AI service that is out of order', () => {
  test.each<[string, AiFault, string]>([
    ['hangs', { kind: 'hang' }, 'AI_TIMEOUT'],
    ['sends a byte now and then', { kind: 'slow', msPerByte: 50 }, 'AI_TIMEOUT'],
    ['answers 500', { kind: 'status', status: 500 }, 'AI_UNAVAILABLE'],
    ['answers 503', { kind: 'status', status: 503 }, 'AI_UNAVAILABLE'],
    ['answers 404', { kind: 'status', status: 404 }, 'AI_UNAVAILABLE'],
    ['sends elsewhere', { kind: 'status', status: 307 }, 'AI_UNAVAILABLE'],
    ['answers garbage', { kind: 'garbage' }, 'AI_UNAVAILABLE'],
    ['breaks off', { kind: 'reset' }, 'AI_UNAVAILABLE'],
    ['sends without end', { kind: 'huge', bytes: 20_000_000 }, 'AI_UNAVAILABLE'],
  ])(
    'and %s is told by a code, not asked any more after eight failures, and asked again later',
    async (_, fault, code) => {
      ground = await openAiGround({ fault, timeoutMs: 2_000, tryTimeoutMs: 100 });
      const { ai, local } = ground;
      for (let i = 0; i < 10 && !ai.isBusy('org_a'); i += 1) {
        await expect(ai.generate(prompt, makeCall())).rejects.toMatchObject({ code });
      }
      expect(ground.of('aiBreakerOpened')).toHaveLength(1);
      expect(local.calls).toHaveLength(8);
      expect(ai.isBusy('org_b')).toBe(true);
      const refused = ai.generate(prompt, makeCall());
      await expect(refused).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
      expect(local.calls).toHaveLength(8);

      local.setFault(undefined);
      await until('the service to be asked again', () => !ai.isBusy('org_a'));
      // A machine that does other things may need longer than one try has.
      await until('an answer', () => ai.generate(prompt, makeCall()).catch(() => undefined));
      expect(ground.of('aiBreakerClosed')).toHaveLength(1);
    },
  );

  test('because nobody listens is told by a code', async () => {
    ground = await openAiGround();
    await ground.local.close();
    const failed = ground.ai.generate(prompt, makeCall());
    await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
    ground.local.close = async () => {};
  });

  test('and cannot be connected to is not asked any more after eight failures', async () => {
    deaf = await openDeafServer();
    ground = await openAiGround({ url: deaf.url, timeoutMs: 2_000, tryTimeoutMs: 100 });
    const { ai } = ground;
    for (let i = 0; i < 10 && !ai.isBusy('org_a'); i += 1) {
      await expect(ai.generate(prompt, makeCall())).rejects.toMatchObject({ code: 'AI_TIMEOUT' });
    }
    expect(ground.of('aiBreakerOpened')).toHaveLength(1);
    expect(ground.of('aiTryFailed')).toHaveLength(8);
  });

  describe('is asked whether it is back', () => {
    const prepare = async () => {
      const fault: AiFault = { kind: 'status', status: 500 };
      ground = await openAiGround({ fault, timeoutMs: 2_000, tryTimeoutMs: 400 });
      const { ai, local } = ground;
      await until('the breaker', async () => {
        await ai.generate(prompt, makeCall()).catch(() => {});
        return ai.isBusy('org_a');
      });
      local.setFault({ kind: 'hang' });
      await until('the time to ask', () => !ai.isBusy('org_a'));
      return { ai, asked: local.calls.length };
    };

    test('by one call, and the others do not wait for what it hears', async () => {
      const { ai, asked } = await prepare();
      const ended: string[] = [];
      const calls = [1, 2, 3, 4, 5].map((i) =>
        ai.generate(prompt, makeCall()).catch(({ code }) => ended.push(`${i} ${code}`)),
      );
      await Promise.all(calls);
      // Those that were refused came first.
      const refused = [2, 3, 4, 5].map((i) => `${i} AI_UNAVAILABLE`);
      expect(ended).toEqual([...refused, '1 AI_TIMEOUT']);
      expect(ground.local.calls).toHaveLength(asked + 1);
    });

    test.each<[string, Parameters<typeof makeCall>[0], string]>([
      ['has next to no time', { deadlineMs: 30 }, 'AI_TIMEOUT'],
      ['cannot be sent', { orgId: 'not\na header' }, 'UND_ERR_INVALID_ARG'],
    ])('and has not answered a call that %s', async (_, call, code) => {
      const { ai } = await prepare();
      await expect(ai.generate(prompt, makeCall(call))).rejects.toMatchObject({ code });
      expect(ai.isBusy('org_a')).toBe(true);
      expect(ground.of('aiBreakerClosed')).toEqual([]);
    });
  });

  test('is told by its status, though the body never ends', async () => {
    const server = createServer((_, response) => response.writeHead(500).write('x'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}`;
    ground = await openAiGround({ url, timeoutMs: 9_000, tryTimeoutMs: 8_000 });
    const failed = ground.ai.generate(prompt, makeCall());
    await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
    server.closeAllConnections();
    server.close();
  });

  test('keeps an organization out for a second that was not told how long to wait', async () => {
    ground = await openAiGround({
      fault: { kind: 'status', status: 429, times: 1 },
      timeoutMs: 5_000,
    });
    await ground.ai.generate(prompt, makeCall());
    const [first, second] = ground.local.calls;
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(990);
  });

  test.each(['INVALID_REQUEST', 'IDEMPOTENCY_CONFLICT'])(
    'is not said to refuse the content, nor to be down, where it says %s: the mistake is ours',
    async (code) => {
      const body = JSON.stringify({ error: { code, message: 'No.' } });
      ground = await openAiGround({ fault: { kind: 'status', status: 409, body } });
      for (let i = 0; i < 10; i += 1) {
        const failed = ground.ai.generate(prompt, makeCall());
        await expect(failed).rejects.toMatchObject({ name: 'AiFailure', reason: 'internal' });
      }
      expect(ground.local.calls).toHaveLength(10);
      expect(ground.ai.isBusy('org_a')).toBe(false);
    },
  );

  test.each(['OVERLOADED', 'INTERNAL', 'RATE_LIMITED'])(
    'is not said to refuse the content where it says %s with a status of refusals',
    async (code) => {
      const body = JSON.stringify({ error: { code, message: 'No.' } });
      ground = await openAiGround({ fault: { kind: 'status', status: 408, body } });
      const failed = ground.ai.generate(prompt, makeCall());
      await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
    },
  );

  test('keeps an organization out that was told to wait, and no other', async () => {
    ground = await openAiGround({ fault: { kind: 'status', status: 429, retryAfter: '1' } });
    const { ai, local } = ground;
    const limited = ai.generate(prompt, makeCall());
    await expect(limited).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
    expect(local.calls).toHaveLength(1);
    expect([ai.isBusy('org_a'), ai.isBusy('org_b')]).toEqual([true, false]);
    const error = await ai.generate(prompt, makeCall()).catch((refused) => refused);
    expect(keptOutMs(error)).toBeGreaterThan(0);
    expect(keptOutMs(error)).toBeLessThanOrEqual(1_000);
    for (let i = 0; i < 20; i += 1) {
      await expect(ai.generate(prompt, makeCall())).rejects.toBeDefined();
    }
    expect(local.calls).toHaveLength(1);
    local.setFault(undefined);
    await ai.generate(prompt, makeCall({ orgId: 'org_b' }));
    expect(ground.of('aiBreakerOpened')).toEqual([]);
  });

  test('is not said to be so where the first call of a key still runs', async () => {
    const body = JSON.stringify({ error: { code: 'IN_PROGRESS', message: 'Wait.' } });
    ground = await openAiGround({ fault: { kind: 'status', status: 409, body, times: 2 } });
    expect(await ground.ai.generate(prompt, makeCall())).toMatchObject({ provider: 'local' });
    ground.local.setFault({ kind: 'status', status: 409, body });
    for (let i = 0; i < 10; i += 1) {
      const failed = ground.ai.generate(prompt, makeCall());
      await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
    }
    expect(ground.of('aiBreakerOpened')).toEqual([]);
  });

  test('gets no more retries than a tenth of what succeeded, after the first ten', async () => {
    ground = await openAiGround();
    for (let i = 0; i < 30; i += 1) {
      ground.local.setFault({ kind: 'status', status: 500, times: 1 });
      await ground.ai.generate(prompt, makeCall()).catch(() => {});
    }
    expect(ground.local.calls.length).toBeLessThanOrEqual(30 + 10 + 3);
  });
});

describe('the deadline', () => {
  test('holds for all tries together, whatever the tries and the pauses', async () => {
    ground = await openAiGround({ fault: { kind: 'hang' }, timeoutMs: 700, tryTimeoutMs: 300 });
    const beganMs = performance.now();
    const late = ground.ai.generate(prompt, makeCall());
    await expect(late).rejects.toMatchObject({ code: 'AI_TIMEOUT' });
    const tookMs = performance.now() - beganMs;
    expect(tookMs).toBeGreaterThan(590);
    expect(tookMs).toBeLessThan(3_000);
    expect(ground.local.calls.length).toBeGreaterThan(1);
  });

  test('may be shorter for one call, which then says nothing of the service', async () => {
    ground = await openAiGround({ fault: { kind: 'hang' }, timeoutMs: 5_000, tryTimeoutMs: 3_000 });
    for (let i = 0; i < 12; i += 1) {
      const late = ground.ai.generate(prompt, makeCall({ deadlineMs: 20 }));
      await expect(late).rejects.toMatchObject({ code: 'AI_TIMEOUT' });
    }
    expect(ground.ai.isBusy('org_a')).toBe(false);
  });
});

describe('an organization', () => {
  test('has so many calls open and no more, and takes no place of another', async () => {
    ground = await openAiGround({ fault: { kind: 'delay', ms: 200 }, maxCallsPerOrg: 3 });
    const { ai, local } = ground;
    const settled = await Promise.allSettled([
      ...Array.from({ length: 10 }, () => ai.generate(prompt, makeCall())),
      ai.generate(prompt, makeCall({ orgId: 'org_b' })),
    ]);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
    // It has only to wait for a place.
    const refused = settled.filter(({ status }) => status === 'rejected');
    for (const each of refused) {
      expect(keptOutMs((each as PromiseRejectedResult).reason)).toBe(0);
    }
    expect(settled[10]?.status).toBe('fulfilled');
    expect(local.calls).toHaveLength(4);
    expect(ai.isBusy('org_a')).toBe(false);
  });

  test('finds no place where all together have as many calls open as may be', async () => {
    ground = await openAiGround({ fault: { kind: 'delay', ms: 200 }, maxCalls: 5 });
    const settled = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        ground.ai.generate(prompt, makeCall({ orgId: `org_${i}` })),
      ),
    );
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
  });
});

test('what fails is left alone after eight failures in a row, though the service does other things well', async () => {
  ground = await openAiGround({ fault: { kind: 'garbage', operation: 'generate' } });
  const { ai, local } = ground;
  for (let i = 0; i < 12; i += 1) {
    await ai.filter({ text: 'Fine.', kind: 'prompt' }, makeCall());
    await expect(ai.generate(prompt, makeCall())).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
  }
  expect(local.calls.filter(({ operation }) => operation === 'generate')).toHaveLength(8);
  expect(ground.of('aiBreakerOpened')).toMatchObject([{ operation: 'generate' }]);
  expect(ai.isBusy('org_a')).toBe(true);
});

test.each([
  ['a deadline that is no whole number', { deadlineMs: 10.5 }, { code: 'ERR_OUT_OF_RANGE' }],
  ['a header that cannot be sent', { traceparent: 'a\nb' }, { code: 'UND_ERR_INVALID_ARG' }],
])('%s is a mistake of ours, and not the service that is down', async (_what, call, mistake) => {
  ground = await openAiGround();
  for (let i = 0; i < 10; i += 1) {
    const failed = ground.ai.generate(prompt, makeCall(call));
    await expect(failed).rejects.toMatchObject(mistake);
  }
  expect(ground.of('aiCallFinished')).toHaveLength(10);
  expect(new Set(ground.of('aiCallFinished').map(({ outcome }) => outcome))).toEqual(
    new Set(['internal']),
  );
  expect(ground.of('aiTryFailed')).toEqual([]);
  expect(ground.ai.isBusy('org_a')).toBe(false);
  await ground.ai.generate(prompt, makeCall());
});

test('an answer of 200 MB takes no more memory than one of the longest allowed', async () => {
  ground = await openAiGround({
    fault: { kind: 'huge' },
    timeoutMs: 10_000,
    tryTimeoutMs: 10_000,
    maxAnswerBytes: 4_194_304,
  });
  const before = process.memoryUsage.rss();
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  const failed = ground.ai.generate(prompt, makeCall());
  await expect(failed).rejects.toMatchObject({ code: 'AI_UNAVAILABLE' });
  expect(ground.of('aiCallFinished')).toMatchObject([{ outcome: 'oversized' }]);
  clearInterval(sampling);
  expect(peak - before).toBeLessThan(80_000_000);
});
