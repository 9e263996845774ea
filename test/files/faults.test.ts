import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type FaultyStore, openFaultyStore } from '../support/faultyStore.ts';
import { type FileGround, openFileGround } from '../support/files.ts';
import { openPausingDatabase, openPausingService, type PausingWay } from '../support/pausing.ts';
import { inTime, request } from '../support/steps.ts';
import { apiSteps, inParts, killApisAt, killWorkersAt, workerSteps } from './steps.ts';
import { spoilStore } from './storms.ts';

/** The short form of faults around uploads; the long ones are in test/faults. */

let ground: FileGround;
let store: PausingWay;
const closing: (() => Promise<void>)[] = [];
beforeEach(() => {
  closing.length = 0;
});
afterEach(async () => {
  for (const close of closing) await close();
  await ground.close();
});

async function openHeld(login: 'apiUrl' | 'workerUrl') {
  const held = await openFileGround(inParts, async (endpoint) => {
    store = await openPausingService(endpoint);
    closing.push(store.close);
    return store.url;
  });
  const database = await openPausingDatabase(held.database[login]);
  closing.push(database.close);
  return { held, ways: { store, database } };
}

const named = <Step extends { name: string }>(steps: readonly Step[], ...names: string[]) =>
  steps.filter(({ name }) => names.includes(name));

test('a worker killed while it copies, accepts or tidies up loses no file, and leaves nothing behind', async () => {
  const { held, ways } = await openHeld('workerUrl');
  ground = held;
  const steps = named(
    workerSteps,
    'has the copy, unanswered',
    'has committed, unanswered',
    'deletes the upload',
    'joins the parts, unanswered',
    'rejects the file, unanswered',
  );
  expect(await killWorkersAt(ground, ways, steps, 1)).toContain('4 files acknowledged, all ready');
}, 120_000);

test('an API killed before or after it declares loses no file that it acknowledged', async () => {
  const { held, ways } = await openHeld('apiUrl');
  ground = held;
  const steps = named(
    apiSteps,
    'has declared, unanswered',
    'has finalized, unanswered',
    'has begun it, unanswered',
    'deletes, unanswered',
  );
  expect(await killApisAt(ground, ways, steps, 1)).toContain('2 files acknowledged, all ready');
}, 120_000);

test('a file that is deleted while the sweep looks for its object is told to nobody as lost', async () => {
  const { held, ways } = await openHeld('workerUrl');
  ground = held;
  const worker = await ground.startWorker({ S3_TIMEOUT_MS: '500' });
  const { id, status } = await ground.upload(Buffer.from('Sell more anvils.'));
  expect(status).toBe('READY');
  await ground.idle();
  const looked = ways.store.hold(request(/^HEAD .*files/)(''), 'sent');
  await ground.database.superuser.query("select graphile_worker.add_job('files__reconcile', '{}')");
  await inTime(looked, 'looks for the object');
  await ground.mutate('deleteFile', { id }, 'deletedFileId');
  await ground.idle();
  expect(await ground.keys()).toEqual([]);
  expect(worker.lines.filter(({ level }) => level === 'error')).toEqual([]);
}, 60_000);

test('a store that fails in every way keeps no file, and no client of the API', async () => {
  let faulty: FaultyStore | undefined;
  ground = await openFileGround({}, async (endpoint) => {
    faulty = await openFaultyStore(endpoint);
    closing.push(faulty.close);
    return faulty.url;
  });
  if (!faulty) throw new Error('There is no store.');
  expect(await spoilStore(ground, faulty, 2_400)).toContain('all ready');
}, 120_000);
