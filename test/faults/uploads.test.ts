import { afterEach, expect, test } from '@jest/globals';
import { killApis, killWorkers, raceAroundFinalize, spoilStore } from '../files/storms.ts';
import { type FaultyStore, openFaultyStore } from '../support/faultyStore.ts';
import { type FileGround, openFileGround } from '../support/files.ts';

/** Uploads under faults, at length. */

const kills = Number(process.env.FILE_KILLS ?? 50);
const stormMs = Number(process.env.FILE_STORM_MS ?? 60_000);
const races = Number(process.env.FILE_RACES ?? 1_000);
const hour = 3_600_000;

let ground: FileGround;
let store: FaultyStore | undefined;
afterEach(async () => {
  await ground.close();
  await store?.close();
});

const say = (text: string) => process.stdout.write(`${text}\n`);

test(
  `${kills} workers are killed while they verify: no file lost, nothing left behind`,
  async () => {
    ground = await openFileGround();
    say(await killWorkers(ground, kills));
  },
  hour,
);

test(
  `${kills} APIs are killed while they declare: no acknowledged file lost`,
  async () => {
    ground = await openFileGround();
    say(await killApis(ground, kills));
  },
  hour,
);

test(
  `${races} files are replaced around finalizing: what is ready is what was declared`,
  async () => {
    ground = await openFileGround();
    await ground.startWorker();
    say(await raceAroundFinalize(ground, races));
  },
  hour,
);

test(
  `the store fails in every way for ${stormMs} ms: no file lost, p99 of the API under 1 s`,
  async () => {
    ground = await openFileGround({}, async (endpoint) => {
      store = await openFaultyStore(endpoint);
      return store.url;
    });
    const outcome = await spoilStore(ground, store as FaultyStore, stormMs);
    say(outcome);
    expect(Number(outcome.match(/p99 (\d+)/)?.[1])).toBeLessThan(1_000);
  },
  hour,
);
