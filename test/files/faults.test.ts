import { afterEach, expect, test } from '@jest/globals';
import { type FileGround, openFileGround } from '../support/files.ts';
import { killApis, killWorkers } from './storms.ts';

/** The short form of kills; the long one, and a store that fails in every way, are in test/faults/uploads.test.ts. */

let ground: FileGround;
afterEach(async () => {
  await ground.close();
});

test('a worker killed while it verifies loses no file, and leaves nothing behind', async () => {
  ground = await openFileGround();
  expect(await killWorkers(ground, 2)).toContain('all ready');
}, 120_000);

test('an API killed while it declares loses no file that it acknowledged', async () => {
  ground = await openFileGround();
  expect(await killApis(ground, 1)).toContain('all ready');
}, 120_000);
