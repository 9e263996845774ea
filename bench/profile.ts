import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { projectRoot } from '../platform/config/settings.ts';
import { askContestant } from './askContestant.ts';
import { drawCallers } from './callers.ts';
import { type ContestantKey, contestantOf } from './contestants.ts';
import { formatTable } from './formatTable.ts';
import { openContestant } from './openContestant.ts';
import type { Ground } from './openGround.ts';
import { openLoader, requestsOf } from './openLoader.ts';
import { type OperationName, operations } from './operations.ts';
import type { Progress } from './progress.ts';
import { type CpuProfile, type SelfTime, selfTimes } from './selfTimes.ts';
import type { Sizes } from './sizes.ts';

/** Whom to profile at what. */
export type ProfileOptions = {
  sizes: Sizes;
  contestant: ContestantKey;
  operation: OperationName;
  seconds: number;
  connections: number;
  poolSize: number;
  callers: number;
  /** Functions to print. */
  top: number;
};

/** Profiles a warm contestant under load and says where the time of a request went. */
export async function profile(
  ground: Ground,
  options: ProfileOptions,
  progress: Progress,
): Promise<string> {
  const { contestant: key, seconds, connections, poolSize } = options;
  const database = await ground.openDatabase(options.sizes);
  const callers = await drawCallers(database.superuser, ground.issuer, options.callers);
  const operation = operations.find(({ name }) => name === options.operation);
  const [caller] = callers;
  if (!operation || !caller) throw new RangeError('There is nothing to ask.');
  const loader = openLoader();
  try {
    const running = await openContestant(contestantOf(key), {
      databaseUrl: database.apiUrl,
      poolSize,
      issuer: ground.issuer,
      first: { operation, caller },
    });
    const file = join(projectRoot, '.data/bench', `${key}-${operation.name}.cpuprofile`);
    mkdirSync(dirname(file), { recursive: true });
    try {
      const { url, process: child } = running;
      const load = { url, connections, requests: requestsOf(running, operation, callers) };
      progress.show(`Warming up: ${running.contestant.title}, ${operation.title}`);
      await loader.run({ ...load, seconds: 3 });
      await askContestant(child, { ask: 'startProfile' });
      progress.show('Profiling');
      const { answered } = await loader.run({ ...load, seconds });
      await askContestant(child, { ask: 'stopProfile', file });
      progress.say(`The profile, for the developer tools of a browser: ${file}`);
      return describe(selfTimes(readProfile(file)), answered, options.top);
    } finally {
      await running.close();
    }
  } finally {
    await loader.close();
    await database.removeCreated();
    await database.close();
  }
}

function readProfile(file: string): CpuProfile {
  return JSON.parse(readFileSync(file, 'utf8'));
}

function describe(times: readonly SelfTime[], requests: number, top: number): string {
  const totalMs = times.reduce((sum, { selfMs }) => sum + selfMs, 0);
  const perRequest = (ms: number) => ((ms / requests) * 1000).toFixed(1);
  const share = (ms: number) => `${((ms / totalMs) * 100).toFixed(1)} %`;
  const byOwner = new Map<string, number>();
  for (const { owner, selfMs } of times) byOwner.set(owner, (byOwner.get(owner) ?? 0) + selfMs);
  const owners = [...byOwner].sort(([, a], [, b]) => b - a).slice(0, 20);
  const functions = [...times].sort((a, b) => b.selfMs - a.selfMs).slice(0, top);
  return [
    `${requests} requests, ${perRequest(totalMs)} µs each on the main thread. The profiler costs some of it.`,
    formatTable(
      ['package', 'µs a request', 'share'],
      owners.map(([owner, ms]) => [owner, perRequest(ms), share(ms)]),
    ),
    formatTable(
      ['function', 'µs a request', 'share'],
      functions.map(({ owner, name, place, selfMs }) => [
        `${owner}: ${name} ${place}`,
        perRequest(selfMs),
        share(selfMs),
      ]),
    ),
  ].join('\n\n');
}
