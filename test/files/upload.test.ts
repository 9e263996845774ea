import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type FileGround, openFileGround } from '../support/files.ts';

let ground: FileGround;
beforeAll(async () => {
  ground = await openFileGround();
  await ground.startWorker();
});
afterAll(() => ground.close());

const bytes = Buffer.from('Sell more anvils.');

test('makes a file ready that arrived as it was declared, and hands out the same bytes', async () => {
  const file = await ground.upload(bytes);
  expect(file).toMatchObject({ status: 'READY', error: null });
  const response = await fetch(file.downloadUrl?.url ?? '');
  expect(response.status).toBe(200);
  expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
  expect(response.headers.get('content-disposition')).toBe('attachment; filename=notes.txt');
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
});
