import { afterEach, expect, test } from '@jest/globals';
import { type FaultyStore, openFaultyStore } from '../support/faultyStore.ts';
import { type FileGround, openFileGround } from '../support/files.ts';
import { killApis, killWorkers, spoilStore } from './storms.ts';

/** The short form; the long one is in test/faults/uploads.test.ts. */

let ground: FileGround;
let store: FaultyStore | undefined;
afterEach(async () => {
  await ground.close();
  await store?.close();
});

test('a worker killed while it verifies loses no file, and leaves nothing behind', async () => {
  ground = await openFileGround();
  expect(await killWorkers(ground, 2)).toContain('all ready');
}, 120_000);

test('an API killed while it declares loses no file that it acknowledged', async () => {
  ground = await openFileGround();
  expect(await killApis(ground, 1)).toContain('all ready');
}, 120_000);

test('a store that fails in every way loses no file, and the API goes on', async () => {
  ground = await openFileGround({}, async (endpoint) => {
    store = await openFaultyStore(endpoint);
    return store.url;
  });
  expect(await spoilStore(ground, store as FaultyStore, 3_000)).toContain('all ready');
}, 180_000);
