import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openStorage } from '../../services/storage/openStorage.ts';
import {
  declarationOf,
  type FileGround,
  openFileGround,
  type Payload,
  put,
} from '../support/files.ts';
import { until } from '../support/until.ts';

let ground: FileGround;
beforeAll(async () => {
  ground = await openFileGround({ UPLOAD_SINGLE_MAX_BYTES: '1000' });
  await ground.startWorker();
});
afterAll(() => ground.close());

const partSize = 16_777_216;
const bytes = randomBytes(partSize + 1_234);
const slices = [bytes.subarray(0, partSize), bytes.subarray(partSize)];
const partFields =
  'file { id } parts { partNumber byteSize upload { url method headers { name value } expiresAt } }';

const sign = (id: string, parts: object[]) =>
  ground.mutate('presignUploadParts', { id, parts }, partFields);

/** Uploads both parts, and answers their entity tags. */
async function putParts(
  id: string,
  contents = slices,
): Promise<{ partNumber: number; etag: string }[]> {
  const asked = slices.map((slice, i) => ({
    partNumber: i + 1,
    checksumSha256: declarationOf(slice).checksumSha256,
  }));
  const { parts } = await sign(id, asked);
  return Promise.all(
    parts.map(async ({ partNumber, upload }: Payload) => {
      const response = await put(upload, contents[partNumber - 1] ?? bytes);
      expect(response.status).toBe(200);
      return { partNumber, etag: response.headers.get('etag') ?? '' };
    }),
  );
}

const rowId = (id: string) => JSON.parse(Buffer.from(id, 'base64').toString())[1] as string;

const complete = (id: string, parts: object[]) =>
  ground.mutate('completeMultipartUpload', { id, parts }, 'file { status }');

describe('a large file', () => {
  test('is uploaded in parts, joined and verified', async () => {
    const { file, upload } = await ground.presign(bytes, {
      contentType: 'application/octet-stream',
    });
    expect(upload).toBeNull();
    expect(file.partSize).toBe(String(partSize));
    const parts = await putParts(file.id);
    const { file: told } = await complete(file.id, parts.reverse());
    expect(told.status).toBe('FINALIZING');
    const ready = await ground.settled(file.id);
    expect(ready.status).toBe('READY');
    const response = await fetch(ready.downloadUrl?.url ?? '');
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    expect((await complete(file.id, parts)).file.status).toBe('READY');
  });

  test('of other bytes is rejected', async () => {
    const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
    const wrong = [randomBytes(partSize), slices[1] ?? bytes];
    await complete(file.id, await putParts(file.id, wrong));
    expect(await ground.settled(file.id)).toMatchObject({
      status: 'REJECTED',
      error: 'UPLOAD_CHECKSUM_MISMATCH',
    });
    await ground.idle();
  });

  test('of which a part never arrived is rejected', async () => {
    const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
    const { parts } = await sign(file.id, [{ partNumber: 1 }]);
    const { headers } = await put(parts[0].upload, slices[0] ?? bytes);
    await complete(file.id, [
      { partNumber: 1, etag: headers.get('etag') ?? '' },
      { partNumber: 2, etag: '"00000000000000000000000000000000"' },
    ]);
    expect(await ground.settled(file.id)).toMatchObject({
      status: 'REJECTED',
      error: 'UPLOAD_MISSING',
    });
  });

  test('over what the store copies at once is copied in parts', async () => {
    const { AWS_REGION: region = '', S3_BUCKET_UPLOADS: bucket = '' } = ground.settings;
    const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '' } = ground.settings;
    const storage = openStorage({
      bucket,
      region,
      endpoint: ground.settings.S3_ENDPOINT,
      timeoutMs: 5_000,
      largestCopy: { whole: partSize, part: 5 * 1024 ** 2 },
      credentials: { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY },
    });
    const url = `${ground.settings.S3_ENDPOINT}/${bucket}/incoming/large`;
    const headers = { 'content-encoding': 'gzip', 'content-type': 'text/html' };
    expect((await fetch(url, { method: 'PUT', body: bytes, headers })).status).toBe(200);
    const source = await storage.head('incoming/large');
    if (!source) throw new Error('Nothing was put.');
    const to = { key: 'files/large', contentType: 'text/plain' };
    await storage.copy({ ...source, key: 'incoming/large' }, to);
    expect(await storage.head('files/large')).toMatchObject({
      contentType: 'text/plain',
      contentEncoding: null,
    });
    const pieces: Buffer[] = [];
    for await (const piece of storage.read('files/large')) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    for (const key of ['incoming/large', 'files/large']) await storage.remove(key);
    storage.close();
  });

  test('is completed once, however many say so at once: each gets the same answer', async () => {
    const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
    const parts = await putParts(file.id);
    // All of them have begun before the first is done.
    const holder = await ground.database.superuser.connect();
    await holder.query('begin');
    await holder.query('select from app_public.files where id = $1 for update', [rowId(file.id)]);
    const answers = Array.from({ length: 3 }, () => complete(file.id, parts));
    await until('all to wait for the row', async () => {
      const { rows } = await ground.database.superuser.query(
        `select from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query ~ 'complete_multipart'`,
      );
      return rows.length === answers.length;
    });
    await holder.query('commit');
    holder.release();
    for (const answer of await Promise.all(answers)) {
      expect(['FINALIZING', 'READY']).toContain(answer.file.status);
    }
    expect((await ground.settled(file.id)).status).toBe('READY');
  });

  test('can be given up', async () => {
    const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
    const parts = await putParts(file.id);
    await ground.mutate('abortUpload', { id: file.id }, 'file { status }');
    expect((await complete(file.id, parts)).file.status).toBe('EXPIRED');
    await ground.idle();
    expect((await ground.keys()).filter((key) => key.startsWith('incoming/'))).toEqual([]);
  });

  test('keeps one upload, however many ask at once', async () => {
    const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => sign(file.id, [{ partNumber: 1 }])),
    );
    const ids = answers.map(({ parts }) =>
      new URL(parts[0].upload.url).searchParams.get('uploadId'),
    );
    expect(new Set(ids).size).toBe(1);
  });
});

describe('is refused', () => {
  test.each([
    ['no part', []],
    ['a part before the first', [{ partNumber: 0 }]],
    ['a part after the last', [{ partNumber: 3 }]],
    ['checksums of some parts alone', [{ partNumber: 1, checksumSha256: 'x' }, { partNumber: 2 }]],
    ['a part that is asked for twice', [{ partNumber: 1 }, { partNumber: 1 }]],
    ['more than a hundred', Array.from({ length: 101 }, () => ({ partNumber: 1 }))],
  ])('%s', async (_, parts) => {
    const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
    await expect(sign(file.id, parts)).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      field: 'parts',
    });
  });

  test.each(['', 'x', `${'A'.repeat(43)}\r`, 'A'.repeat(44), `${'A'.repeat(43)}=\r\nx: y`])(
    'a checksum of a part that is none: %j',
    async (checksumSha256) => {
      const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
      await expect(sign(file.id, [{ partNumber: 1, checksumSha256 }])).rejects.toMatchObject({
        code: 'BAD_USER_INPUT',
        field: 'checksumSha256',
      });
      // And the file may still come without.
      await sign(file.id, [{ partNumber: 1 }]);
    },
  );

  test.each([true, false])(
    'parts that come otherwise than the first ones: those had checksums: %s',
    async (hadChecksums) => {
      const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
      const checksumSha256 = declarationOf(bytes).checksumSha256;
      const part = (partNumber: number, hasChecksum: boolean) => [
        { partNumber, ...(hasChecksum && { checksumSha256 }) },
      ];
      await sign(file.id, part(1, hadChecksums));
      await expect(sign(file.id, part(2, !hadChecksums))).rejects.toMatchObject({
        code: 'BAD_USER_INPUT',
        field: 'parts',
      });
      await sign(file.id, part(2, hadChecksums));
    },
  );

  test('completing with other parts than it has, or an entity tag that is none', async () => {
    const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
    const etag = '"00000000000000000000000000000000"';
    for (const parts of [
      [],
      [{ partNumber: 1, etag }],
      [
        { partNumber: 1, etag },
        { partNumber: 1, etag },
      ],
      [
        { partNumber: 1, etag },
        { partNumber: 2, etag: '<x>' },
      ],
    ]) {
      await expect(complete(file.id, parts)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    }
  });

  test('finalizing it before it is complete, and parts of a small file', async () => {
    const { file } = await ground.presign(bytes, { contentType: 'application/octet-stream' });
    await expect(
      ground.mutate('finalizeUpload', { id: file.id }, '__typename'),
    ).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    const small = await ground.presign(Buffer.from('x'));
    await expect(sign(small.file.id, [{ partNumber: 1 }])).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });
});
