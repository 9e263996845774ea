import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type FaultyStore, openFaultyStore, type StoreRefusal } from '../support/faultyStore.ts';
import { type FileGround, openFileGround, put } from '../support/files.ts';
import { until } from '../support/until.ts';

/** A store that refuses says nothing about a file: it waits, and is ready once the store lets it be looked at. */

let ground: FileGround;
let store: FaultyStore;
beforeAll(async () => {
  const settings = { UPLOAD_SINGLE_MAX_BYTES: '10' };
  ground = await openFileGround(settings, async (endpoint) => {
    store = await openFaultyStore(endpoint);
    return store.url;
  });
  await ground.startWorker();
});
afterAll(async () => {
  await ground.close();
  await store.close();
});
beforeEach(() => {
  store.fault = 'none';
});

const small = Buffer.from('Sell.');
const large = Buffer.from('Sell more anvils.');
const rowId = (id: string) => JSON.parse(Buffer.from(id, 'base64').toString())[1] as string;

/** Uploads a file, finalizes it while the store refuses, and answers how it ends when it does no more. */
async function liveThrough(refusal: StoreRefusal, upload: () => Promise<Finalizing>) {
  const { id, finalize } = await upload();
  store.fault = refusal;
  await finalize();
  const { rows } = await until('the job to have failed', async () => {
    const found = await ground.database.superuser.query(
      `select j.last_error, f.status from graphile_worker._private_jobs as j
       join app_public.files as f on j.key = concat_ws(':', 'files__finalize', f.org_id, f.id)
       where f.id = $1 and j.last_error is not null`,
      [rowId(id)],
    );
    return found.rows.length > 0 && found;
  });
  // What the reconciliation has go on again.
  expect(rows[0].last_error).toMatch(/^(UNAVAILABLE|CONFLICT):/);
  expect(rows[0].status).toBe('FINALIZING');
  store.fault = 'none';
  await ground.database.superuser.query(
    'update graphile_worker._private_jobs set run_at = now() where locked_at is null',
  );
  return ground.settled(id);
}

type Finalizing = { id: string; finalize(): Promise<unknown> };

async function uploadWhole(): Promise<Finalizing> {
  const { file, upload } = await ground.presign(small);
  await put(upload, small);
  return {
    id: file.id,
    finalize: () => ground.mutate('finalizeUpload', { id: file.id }, 'file { id }'),
  };
}

async function uploadInParts(): Promise<Finalizing> {
  const { file } = await ground.presign(large);
  // The API waits for the store no longer than 700 ms, which a busy machine may take the first time.
  const { parts } = await until('an upload in parts', () =>
    ground
      .mutate(
        'presignUploadParts',
        { id: file.id, parts: [{ partNumber: 1 }] },
        'parts { upload { url headers { name value } } }',
      )
      .catch(() => undefined),
  );
  const { headers } = await put(parts[0].upload, large);
  const told = [{ partNumber: 1, etag: headers.get('etag') }];
  return {
    id: file.id,
    finalize: () =>
      ground.mutate('completeMultipartUpload', { id: file.id, parts: told }, 'file { id }'),
  };
}

test.each([
  [403, 'AccessDenied'],
  [400, 'ExpiredToken'],
  [400, 'InvalidRequest'],
  [409, 'OperationAborted'],
  [503, 'SlowDown'],
  [404, 'NoSuchBucket'],
])('a large file is ready after %i %s to joining its parts', async (status, code) => {
  const refusal = { status, code, to: status === 404 ? /uploadId|list-type/ : /^POST .*uploadId/ };
  expect(await liveThrough(refusal, uploadInParts)).toMatchObject({ status: 'READY' });
});

test.each([
  ['looking at it', 403, 'AccessDenied', /^HEAD/],
  ['copying it', 403, 'AccessDenied', /^PUT .*files/],
  ['reading it', 403, 'AccessDenied', /^GET .*files/],
  ['everything, for want of a bucket', 404, 'NoSuchBucket', /./],
  ['everything, by somebody who is no store', 404, 'nothing', /./],
])('a file is ready after the store has refused %s', async (_, status, code, to) => {
  expect(await liveThrough({ status, code, to }, uploadWhole)).toMatchObject({ status: 'READY' });
});

test.each(['InvalidPart', 'InvalidPartOrder', 'EntityTooSmall'])(
  'a large file is rejected after %s: its parts cannot be joined, ever',
  async (code) => {
    const { id, finalize } = await uploadInParts();
    store.fault = { status: 400, code, to: /^POST .*uploadId/ };
    await finalize();
    expect(await ground.settled(id)).toMatchObject({ status: 'REJECTED', error: 'UPLOAD_MISSING' });
  },
);
