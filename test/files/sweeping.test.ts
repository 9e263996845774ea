import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type FileGround, openFileGround, put } from '../support/files.ts';
import { type HonestStore, openHonestStore } from '../support/honestStore.ts';
import { until } from '../support/until.ts';
import { raceAroundFinalize } from './storms.ts';

let ground: FileGround;
let store: HonestStore;
beforeAll(async () => {
  ground = await openFileGround({}, async (endpoint) => {
    store = await openHonestStore(endpoint);
    // Which it reads objects for, and they are replaced here meanwhile.
    store.checksum = 'none';
    return store.url;
  });
  await ground.startWorker();
});
afterAll(async () => {
  await ground.close();
  await store.close();
});

const bytes = Buffer.from('Sell more anvils.');
const others = Buffer.from('Sell less anvils.');

const rowId = (id: string) => JSON.parse(Buffer.from(id, 'base64').toString())[1] as string;

test('a deleted file leaves nothing in the store', async () => {
  const { id } = await ground.upload(bytes);
  await ground.idle();
  expect(await ground.keys()).toHaveLength(1);
  const { deletedFileId } = await ground.mutate('deleteFile', { id }, 'deletedFileId');
  expect(deletedFileId).toBe(id);
  await ground.idle();
  expect(await ground.keys()).toEqual([]);
});

test('a rejected file leaves nothing in the store', async () => {
  const { file, upload } = await ground.presign(bytes);
  await put(upload, others);
  await ground.mutate('finalizeUpload', { id: file.id }, 'file { id }');
  expect((await ground.settled(file.id)).status).toBe('REJECTED');
  await ground.idle();
  expect(await ground.keys()).toEqual([]);
});

test('a file deleted while it is verified leaves nothing either', async () => {
  for (let i = 0; i < 10; i += 1) {
    const { file, upload } = await ground.presign(bytes);
    await put(upload, bytes);
    await ground.mutate('finalizeUpload', { id: file.id }, 'file { id }');
    await ground.mutate('deleteFile', { id: file.id }, 'deletedFileId');
  }
  await ground.idle();
  expect(await ground.keys()).toEqual([]);
});

test('uploads that nobody finalizes expire, free what they used, and leave nothing', async () => {
  const { file, upload } = await ground.presign(bytes);
  await put(upload, bytes);
  await ground.run('files__expire');
  expect(await ground.keys()).toHaveLength(1);
  await ground.makeLate(file.id);
  await ground.run('files__expire');
  expect(await ground.settled(file.id)).toMatchObject({
    status: 'EXPIRED',
    error: 'UPLOAD_EXPIRED',
  });
  await ground.idle();
  expect(await ground.keys()).toEqual([]);
  const { rows } = await ground.database.superuser.query(
    'select files::int from app_private.file_usage',
  );
  expect(rows).toEqual([{ files: 0 }]);
});

test('the reconciliation deletes what no row wants, once it is old enough, and nothing else', async () => {
  const ready = await ground.upload(bytes);
  const pending = await ground.presign(bytes);
  await put(pending.upload, bytes);
  await ground.idle();
  const wanted = await ground.keys();
  const [pinned = ''] = wanted.filter((key) => key.startsWith('files/'));
  // What crashed attempts, late uploads and deleted organizations leave behind; and what is not ours.
  const left = [
    pinned.replace(/[^/]+$/, 'another-attempt'),
    `incoming/org_acme/${rowId(ready.id)}`,
    'incoming/org_gone/00000000-0000-7000-8000-000000000001',
    'files/~612f62/00000000-0000-7000-8000-000000000001/x',
  ];
  const foreign = ['backup/notes.txt', 'files/readme.txt'];
  for (const key of [...left, ...foreign]) await putUnsigned(key);
  await ground.run('files__reconcile');
  expect(await ground.keys()).toEqual([...wanted, ...left, ...foreign].sort());
  await ground.run('files__reconcile', { minAgeSeconds: 0 });
  expect(await ground.keys()).toEqual([...wanted, ...foreign].sort());
  for (const key of foreign) await ground.storage.remove(key);
});

test('the reconciliation gives up uploads in parts that nobody will complete, and no other', async () => {
  const large = { contentType: 'application/octet-stream', byteSize: '200000000' };
  const [kept, fresh] = [await ground.presign(bytes, large), await ground.presign(bytes, large)];
  const keyOf = (made: { file: { id: string } }) => `incoming/org_acme/${rowId(made.file.id)}`;
  const signed = { id: kept.file.id, parts: [{ partNumber: 1 }] };
  await ground.mutate('presignUploadParts', signed, 'file { id }');
  // Begun by APIs that did not live to keep their names; and one whose name is about to be kept.
  const left = [
    keyOf(kept),
    'incoming/org_acme/00000000-0000-7000-8000-000000000002',
    'files/org_acme/00000000-0000-7000-8000-000000000002/x',
  ];
  const begin = (key: string) => ground.storage.startMultipart(key, 'text/plain');
  for (const key of [...left, keyOf(fresh), 'backup/x']) await begin(key);
  await ground.run('files__reconcile');
  expect(await ground.begunUploads()).toHaveLength(6);
  await ground.run('files__reconcile', { minAgeSeconds: 0 });
  const wanted = ['backup/x', keyOf(kept), keyOf(fresh)].sort();
  expect(await ground.begunUploads()).toEqual(wanted);
  for (const made of [kept, fresh]) {
    await ground.mutate('abortUpload', { id: made.file.id }, 'file { id }');
  }
  await ground.run('files__reconcile', { minAgeSeconds: 0 });
  expect(await ground.begunUploads()).toEqual(['backup/x']);
});

test('the reconciliation goes on where an earlier one was cut short, and then begins again', async () => {
  await ground.idle();
  const orphans = ['files/org_acme', 'incoming/org_acme'].map(
    (area) => `${area}/00000000-0000-7000-8000-000000000003`,
  );
  for (const key of orphans) await putUnsigned(key);
  await ground.database.superuser.query('update app_private.file_patrol set swept_key = $1', [
    'files/org_zzz/x',
  ]);
  await ground.run('files__reconcile', { minAgeSeconds: 0 });
  expect(await ground.keys()).toEqual(expect.arrayContaining([orphans[0]]));
  expect(await ground.keys()).not.toContain(orphans[1]);
  await ground.run('files__reconcile', { minAgeSeconds: 0 });
  expect(await ground.keys()).not.toContain(orphans[0]);
});

test('the reconciliation tells operators of a ready file whose object is gone', async () => {
  const { id } = await ground.upload(bytes);
  await ground.idle();
  const keys = await ground.keys();
  await ground.storage.remove(keys.find((key) => key.includes(rowId(id))) ?? '');
  await ground.run('files__reconcile');
  const line = await ground.worker.line(
    ({ fileId, level }) => level === 'error' && fileId === rowId(id),
  );
  expect(line.msg).toContain('gone');
});

test('the reconciliation tells operators of a ready file that has another version than was verified', async () => {
  store.versionOf = () => 'first';
  const ids = [(await ground.upload(bytes)).id, (await ground.upload(bytes)).id].map(rowId);
  await ground.idle();
  store.versionOf = (url) => (url.includes(ids[1] ?? '') ? 'second' : 'first');
  await ground.run('files__reconcile');
  store.versionOf = undefined;
  const isTold = (id: string | undefined) => (line: { level?: unknown; fileId?: unknown }) =>
    line.level === 'error' && line.fileId === id;
  await ground.worker.line(isTold(ids[1]));
  // Which was looked at before.
  expect(ground.worker.lines.filter(isTold(ids[0]))).toEqual([]);
});

test('the reconciliation resumes a file whose job was dropped', async () => {
  const { file, upload } = await ground.presign(bytes);
  await put(upload, bytes);
  await ground.database.superuser.query(
    `set session_replication_role = replica;
     update app_public.files set status = 'FINALIZING', updated_at = now() - interval '2 hours' where id = '${rowId(file.id)}';
     set session_replication_role = origin`,
  );
  await ground.run('files__reconcile');
  expect((await ground.settled(file.id)).status).toBe('READY');
});

test('a file whose job used up its attempts while the store was away goes on', async () => {
  const { file, upload } = await ground.presign(bytes);
  await put(upload, bytes);
  await ground.worker.close();
  await ground.mutate('finalizeUpload', { id: file.id }, 'file { id }');
  await ground.database.superuser.query(
    `set session_replication_role = replica;
     update app_public.files set updated_at = now() - interval '2 hours' where id = '${rowId(file.id)}';
     set session_replication_role = origin;
     update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'UNAVAILABLE: away'
     where key like 'files__finalize:%'`,
  );
  await ground.startWorker();
  await ground.run('files__reconcile');
  expect((await ground.settled(file.id)).status).toBe('READY');
});

test('an object that is replaced again and again around finalizing is never ready with other bytes', async () => {
  expect(await raceAroundFinalize(ground, 10)).toContain('8 races');
}, 60_000);

async function putUnsigned(key: string): Promise<void> {
  const url = `${ground.settings.S3_ENDPOINT}/${ground.settings.S3_BUCKET_UPLOADS}/${key}`;
  await until(
    `${key} to be there`,
    async () => (await fetch(url, { method: 'PUT', body: 'x' })).ok,
  );
}
