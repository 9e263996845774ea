import { type BenchCaller, drawCallers } from './callers.ts';
import { contestants } from './contestants.ts';
import { openDelayProxy } from './delayProxy.ts';
import { formatTable } from './formatTable.ts';
import type { Latencies } from './latencies.ts';
import { openContestant, type RunningContestant } from './openContestant.ts';
import { type Ground, withClient } from './openGround.ts';
import { type Loader, openLoader, requestsOf } from './openLoader.ts';
import { type Operation, operations } from './operations.ts';
import type { Progress } from './progress.ts';
import type { Sizes } from './sizes.ts';

/** How far away Postgres is, and how long to measure. */
export type NetworkOptions = {
  sizes: Sizes;
  /** Added between a message to Postgres and its answer. */
  roundTripMs: number;
  seconds: number;
  poolSize: number;
  callers: number;
};

/**
 * Measures each contestant with Postgres next door and with a network between, one
 * request at a time. From the latency follows how many round trips a request takes.
 */
export async function compareNetworks(
  ground: Ground,
  options: NetworkOptions,
  progress: Progress,
): Promise<string> {
  const database = await ground.openDatabase(options.sizes);
  const callers = await drawCallers(database.superuser, ground.issuer, options.callers);
  const [operation, caller] = [operations[0], callers[0]];
  if (!operation || !caller) throw new RangeError('There is nothing to ask.');
  const proxy = await openDelayProxy(ground.postgres.port, options.roundTripMs);
  const loader = openLoader();
  const rows: string[][] = [];
  try {
    const addedMs = await measureRoundTrip(database.apiUrl, proxy.lead(database.apiUrl));
    progress.say(`A round trip through the network takes ${addedMs.toFixed(2)} ms more`);
    for (const contestant of contestants) {
      const measureAt = async (databaseUrl: string, where: string) => {
        const running = await openContestant(contestant, {
          databaseUrl,
          poolSize: options.poolSize,
          issuer: ground.issuer,
          first: { operation, caller },
        });
        try {
          const figures: Latencies[] = [];
          for (const next of operations) {
            progress.show(`${contestant.title}, ${where}, ${next.title}`);
            figures.push(await measureOne(running, next, loader, callers, options));
          }
          return figures;
        } finally {
          await running.close();
        }
      };
      const near = await measureAt(database.apiUrl, 'near');
      const far = await measureAt(proxy.lead(database.apiUrl), 'far');
      await database.removeCreated();
      for (const [i, { title }] of operations.entries()) {
        const [here, there] = [near[i], far[i]];
        if (!here || !there) continue;
        rows.push([
          `${title}: ${contestant.title}`,
          here.p50Ms.toFixed(2),
          there.p50Ms.toFixed(2),
          there.p99Ms.toFixed(2),
          ((there.p50Ms - here.p50Ms) / addedMs).toFixed(1),
        ]);
      }
    }
    progress.say('Measured');
    rows.sort(([a = ''], [b = '']) => orderOf(a) - orderOf(b));
    const head = ['', 'near p50 ms', 'far p50 ms', 'far p99 ms', 'round trips'];
    return `A network of ${options.roundTripMs} ms, measured ${addedMs.toFixed(2)} ms; one request at a time\n\n${formatTable(head, rows)}`;
  } finally {
    await loader.close();
    await proxy.close();
    await database.close();
  }
}

async function measureOne(
  running: RunningContestant,
  operation: Operation,
  loader: Loader,
  callers: readonly BenchCaller[],
  { seconds }: NetworkOptions,
): Promise<Latencies> {
  const load = { url: running.url, requests: requestsOf(running, operation, callers), seconds };
  // Every connection of the pool has seen the statement before the latency counts.
  await loader.run({ ...load, connections: 16 });
  const { latencies } = await loader.run({ ...load, connections: 1 });
  return latencies;
}

/** How much longer the smallest statement takes over the second connection string. */
async function measureRoundTrip(near: string, far: string): Promise<number> {
  const medianMs = (url: string) =>
    withClient(url, async (client) => {
      const times: number[] = [];
      for (let i = 0; i < 101; i++) {
        const startedMs = performance.now();
        await client.query('select');
        times.push(performance.now() - startedMs);
      }
      return times.sort((a, b) => a - b)[50] ?? Number.NaN;
    });
  return (await medianMs(far)) - (await medianMs(near));
}

/** Operations stay together. */
function orderOf(label: string): number {
  return operations.findIndex(({ title }) => label.startsWith(`${title}: `));
}
