import { setTimeout as sleep } from 'node:timers/promises';
import type { Accounting } from './accounting.ts';
import type { BenchCaller } from './callers.ts';
import type { Latencies } from './latencies.ts';
import type { Load } from './load.ts';
import type { RunningContestant } from './openContestant.ts';
import { type Loader, requestsOf } from './openLoader.ts';
import type { Operation } from './operations.ts';

/** What one operation cost one contestant, in one round. */
export type Sample = Cost & {
  /** At a fixed rate, where one was measured. */
  rateLatencies?: Latencies | undefined;
};

/** With every connection busy. */
type Cost = {
  requestsPerSecond: number;
  /** CPU milliseconds of a request. */
  nodeMs: number;
  postgresMs: number;
  /** Cores that what is not part of the bench used meanwhile; NaN where nobody knows. */
  strangerCores: number;
  /** How long requests queue, more than how long they take. */
  busyLatencies: Latencies;
};

/** How to measure. */
export type Measuring = {
  loader: Loader;
  accounting: Accounting;
  callers: readonly BenchCaller[];
  connections: number;
  seconds: number;
  warmUpSeconds: number;
  /** Requests per second of the measurement at a fixed rate; 0 for none. */
  rate: number;
  /** How long to wait for strangers to be quiet, and to repeat what they disturbed. */
  patienceSeconds: number;
};

type WarmUp = Pick<Measuring, 'loader' | 'callers' | 'connections' | 'warmUpSeconds'>;

/** Strangers who use more of a core than this disturb. */
const maxStrangerCores = 0.15;

/** Measures an operation of a running contestant: first warm, then busy, then at a fixed rate. */
export async function measure(
  running: RunningContestant,
  operation: Operation,
  { loader, accounting, callers, patienceSeconds, ...given }: Measuring,
): Promise<Sample> {
  const { connections, seconds, rate } = given;
  const requests = requestsOf(running, operation, callers);
  const load = { url: running.url, connections, requests, seconds };
  await warmUp(running, operation, { loader, callers, ...given });

  const deadlineMs = performance.now() + patienceSeconds * 1000;
  const isPatient = () => performance.now() < deadlineMs;
  let cost: Cost | undefined;
  do {
    while (isPatient() && (await strangerCores(running, accounting)) > maxStrangerCores);
    const next = await measureCost(running, loader, accounting, load);
    if (!cost || next.strangerCores < cost.strangerCores) cost = next;
  } while (isPatient() && cost.strangerCores > maxStrangerCores);
  if (rate === 0) return cost;
  const { latencies: rateLatencies } = await loader.run({ ...load, rate });
  return { ...cost, rateLatencies };
}

/** Load that nobody measures, until everything is compiled, planned and cached. */
export async function warmUp(
  running: RunningContestant,
  operation: Operation,
  { loader, callers, connections, warmUpSeconds: seconds }: WarmUp,
): Promise<void> {
  if (seconds === 0) return;
  const requests = requestsOf(running, operation, callers);
  await loader.run({ url: running.url, requests, seconds, connections });
}

/** What strangers use in the next half second. */
async function strangerCores(running: RunningContestant, accounting: Accounting): Promise<number> {
  const [before, startedMs] = [await accounting.read(running), performance.now()];
  await sleep(500);
  const after = await accounting.read(running);
  return (after.strangersMs - before.strangersMs) / (performance.now() - startedMs);
}

async function measureCost(
  running: RunningContestant,
  loader: Loader,
  accounting: Accounting,
  load: Load,
): Promise<Cost> {
  const before = await accounting.read(running);
  const { answered, seconds, latencies } = await loader.run(load);
  const after = await accounting.read(running);
  return {
    requestsPerSecond: answered / seconds,
    nodeMs: (after.nodeMs - before.nodeMs) / answered,
    postgresMs: (after.postgresMs - before.postgresMs) / answered,
    strangerCores: (after.strangersMs - before.strangersMs) / seconds / 1000,
    busyLatencies: latencies,
  };
}
