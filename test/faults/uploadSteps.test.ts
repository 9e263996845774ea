import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  apiSteps,
  endsOf,
  inParts,
  killApisAt,
  killWorkersAt,
  type Ways,
  workerSteps,
} from '../files/steps.ts';
import { type FileGround, openFileGround } from '../support/files.ts';
import { openPausingDatabase, openPausingService, type PausingWay } from '../support/pausing.ts';

/** Processes are killed at each named step of an upload. */

const times = Number(process.env.FILE_STEP_KILLS ?? 50);
const hour = 3_600_000;

let ground: FileGround;
let store: PausingWay;
let database: PausingWay | undefined;
beforeEach(async () => {
  ground = await openFileGround(inParts, async (endpoint) => {
    store = await openPausingService(endpoint);
    return store.url;
  });
});
afterEach(async () => {
  await database?.close();
  await store.close();
  await ground.close();
});

const say = (text: string) => process.stdout.write(`${text}\n`);

async function ways(url: string): Promise<Ways> {
  database = await openPausingDatabase(url);
  return { database, store };
}

test(
  `workers are killed at each of ${workerSteps.length} steps, ${times} times`,
  async () => {
    const to = await ways(ground.database.workerUrl);
    const outcome = await killWorkersAt(ground, to, workerSteps, times);
    say(outcome);
    const ends = endsOf(workerSteps, times);
    expect(JSON.parse(outcome.match(/{.*?}/)?.[0] ?? '')).toEqual(ends);
    expect(outcome).toContain(`${ends.READY} files acknowledged, all ready`);
  },
  hour,
);

test(
  `APIs are killed at each of ${apiSteps.length} steps, ${times} times`,
  async () => {
    const to = await ways(ground.database.apiUrl);
    const outcome = await killApisAt(ground, to, apiSteps, times);
    say(outcome);
    const kept = apiSteps.filter(({ call }) => !['parts', 'abort', 'delete'].includes(call));
    expect(outcome).toContain(`${kept.length * times} files acknowledged, all ready`);
    // Those that were begun by an API that was killed before it knew their names, and kept by no row.
    expect(Number(outcome.match(/(\d+) begun uploads/)?.[1])).toBeGreaterThanOrEqual(times);
  },
  hour,
);
