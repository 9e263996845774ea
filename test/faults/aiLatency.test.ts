import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { AiFault } from '../../dev/ai/faults.ts';
import { requestTo, signIn } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Program, startProgram, startServer, urlOf } from '../support/program.ts';
import { sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';

/** What an AI service that is out of order costs callers who want nothing of it. */

const rounds = Number(process.env.AI_LATENCY_ROUNDS ?? 3);
/** Generations asked for in a second: less than the limit of all calls, should each hang for a try. */
const generationsPerSecond = 10;
const mePerSecond = 200;
const windowMs = 1_000;
const windowsEach = 4;

const faults: AiFault[] = [
  { kind: 'hang' },
  { kind: 'huge', bytes: 200_000_000 },
  { kind: 'reset' },
];

let database: TestDatabase;
let service: Program;
let server: Program;
let url: string;
let me: string;
let askers: string[];
beforeEach(async () => {
  database = await openTestDatabase();
  service = startProgram('test/faults/aiServer.ts', {});
  const { msg: serviceUrl } = await service.line(({ msg }) => String(msg).startsWith('http'));
  server = startServer(database.apiUrl, { AI_SERVICE_URL: String(serviceUrl) });
  url = await urlOf(server);
  await server.line(({ msg }) => msg === 'ready');
  me = await signIn({ user: 'user_bob', org: 'org_other' });
  askers = await Promise.all(
    Array.from({ length: 10 }, (_, i) => signIn({ user: 'user_ann', org: `org_${i}` })),
  );
}, 60_000);
afterEach(async () => {
  await Promise.all([server.close(), service.close()]);
  await database.close();
});

test(
  'others are answered as fast while the service hangs, floods or breaks off',
  async () => {
    // Everything is loaded and compiled.
    await measure(undefined);
    const well: number[] = [];
    const bad = new Map<string, number[]>(faults.map(({ kind }) => [kind, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const fault of faults) {
        well.push(...(await measure(undefined)));
        bad.get(fault.kind)?.push(...(await measure(fault)));
      }
    }
    const bound = Math.max(1.1 * middle(well), ...well);
    process.stdout.write(`p99 of me in ms, by windows: well ${told(well)}\n`);
    for (const [kind, windows] of bad) {
      const ratio = (middle(windows) / middle(well)).toFixed(2);
      process.stdout.write(`  ${kind} ${told(windows)}: ${ratio} times\n`);
    }
    // The middle of bad windows is within 1.1 times, or at least no worse than a well one was:
    // so a machine that has other work to do is not taken for a slow API.
    for (const [kind, windows] of bad) {
      expect({ kind, isAsFast: middle(windows) <= bound }).toEqual({ kind, isAsFast: true });
    }
  },
  rounds * 120_000,
);

/** Answers the p99 of `me` in each of some windows, in ms, while generations are asked for at the same rate. */
async function measure(fault: AiFault | undefined): Promise<number[]> {
  await setFault(fault && { ...fault, operation: 'generate' });
  const asking = everySecond(generationsPerSecond, (i) =>
    requestTo(url)(askers[i % askers.length] ?? null, generate, { prompt: `Sell ${i}.` }),
  );
  const windows: number[] = [];
  for (let i = 0; i < windowsEach; i += 1) {
    const tookMs: number[] = [];
    const others = everySecond(mePerSecond, async () => {
      const sentMs = performance.now();
      const { status } = await sendGraphql(url, me, { query: '{ me { id } }' });
      expect(status).toBe(200);
      tookMs.push(performance.now() - sentMs);
    });
    await sleep(windowMs);
    await others.stop();
    windows.push(tookMs.toSorted((a, b) => a - b)[Math.floor(tookMs.length * 0.99)] ?? 0);
  }
  const answers = await asking.stop();
  expect(answers.every(({ errors }) => errors === undefined)).toBe(true);
  const statuses = new Set(answers.map(({ data }) => data.generate.generation.status));
  // That it was as bad, or as well, as it should be.
  expect([...statuses]).toEqual([fault ? 'QUEUED' : 'SUCCEEDED']);
  await recover();
  return windows;
}

/** Waits until the API asks the service again. */
async function recover(): Promise<void> {
  await setFault(undefined);
  await until(
    'the service to be asked again',
    async () => {
      const answer = await requestTo(url)(askers[0] ?? null, generate, { prompt: 'Well?' });
      return answer.data.generate.generation.status === 'SUCCEEDED' || sleep(200, false);
    },
    30_000,
  );
}

/** Sends by the clock, whether or not the ones before were answered. */
function everySecond<Answer>(times: number, one: (number: number) => Promise<Answer>) {
  const all: Promise<Answer>[] = [];
  const startedMs = performance.now();
  const timer = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1_000) * times;
    while (all.length < due) {
      const sent = one(all.length);
      sent.catch(() => {});
      all.push(sent);
    }
  }, 2);
  return {
    stop() {
      clearInterval(timer);
      return Promise.all(all);
    },
  };
}

async function setFault(fault: AiFault | undefined): Promise<void> {
  const { status } = await fetch(`${service.text().trim()}/dev/fault`, {
    method: fault ? 'PUT' : 'DELETE',
    ...(fault && { body: JSON.stringify(fault) }),
  });
  expect(status).toBe(204);
}

const middle = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
const told = (numbers: readonly number[]) =>
  `${middle(numbers).toFixed(1)} of ${numbers.map((each) => each.toFixed(1)).join(' ')}`;

const generate = `mutation ($prompt: String!) {
  generate(input: { prompt: $prompt, maxTokens: 50 }) { generation { status } }
}`;
