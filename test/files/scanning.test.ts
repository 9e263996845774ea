import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type FileGround, openFileGround, put } from '../support/files.ts';
import { type HonestStore, openHonestStore } from '../support/honestStore.ts';
import { eicar, makeVirusDaemon } from '../support/virusDaemon.ts';

let daemon: Server;
let isSpoiled = false;
let store: HonestStore;
let ground: FileGround;

async function startDaemon(port: number): Promise<void> {
  const reply = (found: string) => (isSpoiled ? '' : `stream: ${found}\0`);
  daemon = makeVirusDaemon({ reply, maxBytes: 200_000 }).listen(port, '127.0.0.1');
  await once(daemon, 'listening');
}

beforeAll(async () => {
  await startDaemon(0);
  ground = await openFileGround({}, async (endpoint) => {
    store = await openHonestStore(endpoint);
    return store.url;
  });
  const { port } = daemon.address() as AddressInfo;
  await ground.startWorker({ CLAMAV_URL: `tcp://127.0.0.1:${port}` });
});
afterAll(async () => {
  await ground.close();
  await store.close();
  daemon.close();
});

/** Declares, uploads and finalizes, and waits until that has failed once. */
async function failOnce(bytes: Buffer): Promise<string> {
  const { file, upload } = await ground.presign(bytes);
  await put(upload, bytes);
  store.forget();
  const seen = ground.worker.lines.length;
  await ground.mutate('finalizeUpload', { id: file.id }, 'file { id }');
  await ground.worker.line(
    (line) =>
      ground.worker.lines.indexOf(line) >= seen &&
      line.task === 'files__finalize' &&
      line.outcome === 'failed',
  );
  return file.id;
}
const copies = () => store.asked.filter((request) => /^PUT .*\/files\//.test(request));
const kept = async () => (await ground.keys()).filter((key) => key.startsWith('files/'));

test('a file in which the scanner finds something is rejected, and another is ready', async () => {
  expect(await ground.upload(Buffer.from(`x${eicar}`))).toMatchObject({
    status: 'REJECTED',
    error: 'UPLOAD_INFECTED',
  });
  expect(await ground.upload(Buffer.from('x'))).toMatchObject({ status: 'READY' });
});

test('a file that is larger than the scanner takes is rejected at once', async () => {
  expect(await ground.upload(Buffer.alloc(500_000, 'x'))).toMatchObject({
    status: 'REJECTED',
    error: 'UPLOAD_UNVERIFIED',
  });
});

test('no file is ready, nor copied, while the scanner is away', async () => {
  const { port } = daemon.address() as AddressInfo;
  daemon.close();
  await once(daemon, 'close');
  const id = await failOnce(Buffer.from('x'));
  expect(copies()).toEqual([]);
  await startDaemon(port);
  expect(await ground.settled(id)).toMatchObject({ status: 'READY' });
});

test('what was copied for a scan that came to nothing is deleted', async () => {
  await ground.idle();
  const before = await kept();
  isSpoiled = true;
  const id = await failOnce(Buffer.from('x'));
  expect(copies().length).toBeGreaterThan(0);
  expect(await kept()).toEqual(before);
  isSpoiled = false;
  expect(await ground.settled(id)).toMatchObject({ status: 'READY' });
});
