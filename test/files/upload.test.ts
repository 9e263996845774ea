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

test('waits longer than its URL is valid, by what its bytes may take on a slow line', async () => {
  const waits = async (byteSize: number) => {
    const { file, upload } = await ground.presign(bytes, { byteSize: String(byteSize) });
    return (Date.parse(file.expiresAt) - Date.parse(upload.expiresAt)) / 1000;
  };
  // 64 KB/s and a minute; clocks of API and database may differ by a little.
  for (const [byteSize, seconds] of [
    [17, 61],
    [64 * 1024 ** 2, 1_084],
  ] as const) {
    expect(Math.abs((await waits(byteSize)) - seconds)).toBeLessThan(20);
  }
});

test('is watched without its name: by logs, and by the metrics of API and worker', async () => {
  const fileName = 'the-secret-of-acme.txt';
  await ground.upload(bytes, { fileName });
  const line = await ground.worker.line(({ msg }) => msg === 'upload verified');
  expect(line).toMatchObject({ error: null });
  const logged = JSON.stringify([ground.api.logs, ground.worker.lines]);
  expect(logged).not.toContain(fileName);
  const ready = await ground.worker.line(({ msg }) => msg === 'ready');
  for (const [url, metric] of [
    [ground.api.url, 'rowhouse_uploads_finalized_total'],
    [ready.url, 'rowhouse_upload_verification_duration_count{outcome="ready"}'],
  ] as const) {
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain(`\n${metric} `);
    expect(text).not.toContain(fileName);
  }
});
