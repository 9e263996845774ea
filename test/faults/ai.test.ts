import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { AiFault } from '../../dev/ai/faults.ts';
import { type LocalAiService, openLocalAiService } from '../../dev/aiService.ts';
import { type Program, startProgram } from '../support/program.ts';

/** An AI service that is out of order, with the limits of production. */

let service: LocalAiService;
let client: Program | undefined;
beforeEach(async () => {
  service = await openLocalAiService();
});
afterEach(async () => {
  await client?.close();
  await service.close();
});

type Done = { calls: { code: string; tookMs: number }[]; grewBytes: number };

/** Calls it from a process of its own. */
async function call(fault: AiFault, calls: number): Promise<Done> {
  service.setFault(fault);
  client = startProgram('test/faults/aiClient.ts', {
    TEST_AI_URL: service.url,
    TEST_CALLS: String(calls),
  });
  await client.ended;
  const done: Done = JSON.parse(client.text());
  console.log(fault.kind, JSON.stringify(done));
  return done;
}

test.each<AiFault>([{ kind: 'hang' }, { kind: 'slow', msPerByte: 500 }])(
  'the deadline of 6 s holds within 5 % where the service does this: %j',
  async (fault) => {
    const { calls } = await call(fault, 2);
    for (const { code, tookMs } of calls) {
      expect(code).toBe('AI_TIMEOUT');
      expect(tookMs).toBeGreaterThan(6_000 * 0.95);
      expect(tookMs).toBeLessThan(6_000 * 1.05);
    }
  },
  60_000,
);

test.each<AiFault>([
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503 },
  { kind: 'garbage' },
  { kind: 'reset' },
  { kind: 'huge', bytes: 5_000_000 },
])(
  'the service is left alone after eight failures where it does this: %j',
  async (fault) => {
    const { calls } = await call(fault, 20);
    expect(service.calls).toHaveLength(8);
    expect(calls.every(({ code }) => code === 'AI_UNAVAILABLE')).toBe(true);
    // Refused without being asked.
    expect(calls.slice(10).every(({ tookMs }) => tookMs < 100)).toBe(true);
  },
  60_000,
);

test('an organization that is told 429 is left alone at once', async () => {
  await call({ kind: 'status', status: 429, retryAfter: '60' }, 20);
  expect(service.calls).toHaveLength(1);
}, 60_000);

test('answers of 200 MB take no more memory than a few of the longest allowed', async () => {
  const { calls, grewBytes } = await call({ kind: 'huge', bytes: 200_000_000 }, 7);
  expect(calls.map(({ code }) => code)).toEqual(calls.map(() => 'AI_UNAVAILABLE'));
  expect(service.calls).toHaveLength(7);
  expect(grewBytes).toBeLessThan(64_000_000);
}, 60_000);
