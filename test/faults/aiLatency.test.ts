import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { AiFault } from '../../dev/ai/faults.ts';
import { requestTo, signIn } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Program, startProgram, startServer, urlOf } from '../support/program.ts';
import { sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';

/** What an AI service that is out of order costs callers who want nothing of it. */

/** So many tell a single kind to a tenth: a p99 is mostly that of collections of garbage, one in some seconds. */
const rounds = Number(process.env.AI_LATENCY_ROUNDS ?? 12);
/** Generations asked for in a second: less than the limit of all calls, should each hang for a try. */
const generationsPerSecond = 10;
const mePerSecond = 200;
const windowMs = 6_000;

const faults: AiFault[] = [
  { kind: 'hang' },
  { kind: 'huge', bytes: 200_000_000 },
  { kind: 'reset' },
  { kind: 'garbage' },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 429, retryAfter: '1' },
];
const nameOf = (fault: AiFault) => (fault.kind === 'status' ? String(fault.status) : fault.kind);

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
    for (let window = 0; window < 4; window += 1) await measure(undefined);
    const kinds = faults.map((fault) => ({ fault, pairs: [] as Pair[] }));
    let before = await measure(undefined);
    for (let round = 0; round < rounds; round += 1) {
      for (const { fault, pairs } of kinds) {
        const bad = await measure(fault);
        const after = await measure(undefined);
        // Against its neighbours on both sides: what else the machine does changes slowly.
        pairs.push({ bad, well: [...before, ...after] });
        before = after;
      }
    }
    const ratios = kinds.map(({ fault, pairs }) => {
      const name = nameOf(fault);
      const ratio = ratioOf(pairs);
      const times = pairs.map((pair) => ratioOf([pair])).toSorted((a, b) => a - b);
      const told = times.map((each) => each.toFixed(2)).join(' ');
      process.stdout.write(`${name}: ${ratio.toFixed(2)} times the p99 of me (${told})\n`);
      return { name, ratio };
    });
    expect(ratios.filter(({ ratio }) => ratio > 1.1)).toEqual([]);
  },
  rounds * 240_000,
);

/** Answers how long each `me` of some seconds took, in ms, while generations are asked for at the same rate. */
async function measure(fault: AiFault | undefined): Promise<number[]> {
  await setFault(fault && { ...fault, operation: 'generate' });
  const asking = everySecond(generationsPerSecond, (i) =>
    requestTo(url)(askers[i % askers.length] ?? null, generate, { prompt: `Sell ${i}.` }),
  );
  const tookMs: number[] = [];
  const others = everySecond(mePerSecond, async () => {
    const sentMs = performance.now();
    const { status } = await sendGraphql(url, me, { query: '{ me { id } }' });
    expect(status).toBe(200);
    tookMs.push(performance.now() - sentMs);
  });
  await sleep(windowMs);
  await others.stop();
  const answers = await asking.stop();
  expect(answers.every(({ errors }) => errors === undefined)).toBe(true);
  const statuses = new Set(answers.map(({ data }) => data.generate.generation.status));
  // That it was as bad, or as well, as it should be.
  expect([...statuses]).toEqual([fault ? 'QUEUED' : 'SUCCEEDED']);
  await recover();
  return tookMs;
}

/** Waits until the API asks the service again. */
async function recover(): Promise<void> {
  await setFault(undefined);
  // Each may have been told to wait by itself.
  for (const asker of askers) {
    await until(
      'the service to be asked again',
      async () => {
        const answer = await requestTo(url)(asker, generate, { prompt: 'Well?' });
        return answer.data.generate.generation.status === 'SUCCEEDED' || sleep(200, false);
      },
      30_000,
    );
  }
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

/** How long requests took, in ms: beside a fault, and before and after it. */
type Pair = { bad: number[]; well: number[] };

/** The p99 beside a fault divided by that of its neighbours. */
const ratioOf = (pairs: readonly Pair[]) =>
  p99(pairs.flatMap(({ bad }) => bad)) / p99(pairs.flatMap(({ well }) => well));
const p99 = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length * 0.99)] ?? Number.NaN;

const generate = `mutation ($prompt: String!) {
  generate(input: { prompt: $prompt, maxTokens: 50 }) { generation { status } }
}`;
