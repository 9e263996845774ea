import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type FileGround, openFileGround, put } from '../support/files.ts';
import { eicar, makeVirusDaemon } from '../support/virusDaemon.ts';

let daemon: Server;
let ground: FileGround;
beforeAll(async () => {
  daemon = makeVirusDaemon().listen(0, '127.0.0.1');
  await once(daemon, 'listening');
  ground = await openFileGround();
  const { port } = daemon.address() as AddressInfo;
  await ground.startWorker({ CLAMAV_URL: `tcp://127.0.0.1:${port}` });
});
afterAll(async () => {
  await ground.close();
  daemon.close();
});

test('a file in which the scanner finds something is rejected, and another is ready', async () => {
  expect(await ground.upload(Buffer.from(`x${eicar}`))).toMatchObject({
    status: 'REJECTED',
    error: 'UPLOAD_INFECTED',
  });
  expect(await ground.upload(Buffer.from('x'))).toMatchObject({ status: 'READY' });
});

test('no file is ready while the scanner is away', async () => {
  const { port } = daemon.address() as AddressInfo;
  daemon.close();
  await once(daemon, 'close');
  const { file, upload } = await ground.presign(Buffer.from('x'));
  await put(upload, Buffer.from('x'));
  await ground.mutate('finalizeUpload', { id: file.id }, 'file { id }');
  const line = await ground.worker.line(
    ({ msg, task, outcome }) => msg === 'job' && task === 'files__finalize' && outcome === 'failed',
  );
  expect(line).toBeDefined();
  daemon = makeVirusDaemon().listen(port, '127.0.0.1');
  expect(await ground.settled(file.id)).toMatchObject({ status: 'READY' });
});
