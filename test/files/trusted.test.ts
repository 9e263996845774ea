import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type LocalStore, openLocalStore } from '../../dev/store.ts';
import { openStorage, type Storage } from '../../services/storage/openStorage.ts';
import { inspectBytes } from '../../worker/files/inspectBytes.ts';
import { type HonestStore, openHonestStore } from '../support/honestStore.ts';

/** A store whose checksums are believed, as those of AWS are: files need not be read whole. */

let dir: string;
let local: LocalStore;
let store: HonestStore;
let storage: Storage;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rowhouse-test-store-'));
  local = await openLocalStore({ dir });
  const { S3_ENDPOINT, S3_BUCKET_UPLOADS: bucket, AWS_REGION: region, ...account } = local.settings;
  store = await openHonestStore(S3_ENDPOINT);
  storage = openStorage({
    bucket,
    region,
    endpoint: store.url,
    isTrusted: true,
    timeoutMs: 5_000,
    credentials: {
      accessKeyId: account.AWS_ACCESS_KEY_ID,
      secretAccessKey: account.AWS_SECRET_ACCESS_KEY,
    },
  });
});
afterAll(async () => {
  storage.close();
  await store.close();
  await local.close();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(() => {
  store.checksum = 'FULL_OBJECT';
});

const bytes = randomBytes(100_000);
const contentType = 'application/octet-stream';
const checksumOf = (data: Buffer) => createHash('sha256').update(data).digest('base64');
const declared = { contentType, byteSize: 100_000n, checksumSha256: checksumOf(bytes) };

/** Puts bytes where an upload goes, copies and inspects them as the worker does. */
async function look(what: Buffer, terms = declared) {
  const url = `${local.settings.S3_ENDPOINT}/${local.settings.S3_BUCKET_UPLOADS}/incoming/x`;
  const headers = { 'content-type': contentType };
  expect((await fetch(url, { method: 'PUT', body: new Uint8Array(what), headers })).status).toBe(
    200,
  );
  const source = await storage.head('incoming/x');
  if (!source) throw new Error('Nothing was put.');
  const key = `files/${randomBytes(4).toString('hex')}`;
  await storage.copy({ ...source, key: 'incoming/x' }, { key, contentType });
  const object = await storage.head(key);
  if (!object) throw new Error('Nothing was copied.');
  store.forget();
  const verdict = await inspectBytes({ storage }, key, object, terms, new AbortController().signal);
  return { verdict, key, object, source };
}

const asDeclared = { isAsDeclared: true, width: null, height: null };

test('a file with the checksum that was declared is as declared, and its first bytes alone are read', async () => {
  const { verdict, object } = await look(bytes);
  expect(object.checksumSha256).toBe(declared.checksumSha256);
  expect(verdict).toEqual(asDeclared);
  expect(store.asked).toHaveLength(1);
  expect(store.sentBytes).toBeLessThan(5_000);
});

test('a file with another checksum is not, and no byte of it is read', async () => {
  const { verdict } = await look(randomBytes(bytes.length));
  expect(verdict).toEqual({ isAsDeclared: false, error: 'UPLOAD_CHECKSUM_MISMATCH' });
  expect(store.asked).toEqual([]);
});

test.each(['COMPOSITE', 'none'] as const)(
  'where the checksum is %s, all bytes are read, and tell',
  async (checksum) => {
    store.checksum = checksum;
    const right = await look(bytes);
    expect(right.object.checksumSha256).toBeNull();
    expect(right.verdict).toEqual(asDeclared);
    const wrong = await look(randomBytes(bytes.length));
    expect(wrong.verdict).toEqual({ isAsDeclared: false, error: 'UPLOAD_CHECKSUM_MISMATCH' });
    expect(store.sentBytes).toBeGreaterThanOrEqual(bytes.length);
  },
);

test('a type that its first bytes do not have is told by the few that are read', async () => {
  const text = Buffer.from('Sell more anvils.');
  const key = 'files/text';
  const url = `${local.settings.S3_ENDPOINT}/${local.settings.S3_BUCKET_UPLOADS}/${key}`;
  const headers = { 'content-type': 'image/png' };
  await fetch(url, { method: 'PUT', body: new Uint8Array(text), headers });
  const object = await storage.head(key);
  if (!object) throw new Error('Nothing was put.');
  const terms = { contentType: 'image/png', byteSize: 17n, checksumSha256: checksumOf(text) };
  const verdict = await inspectBytes({ storage }, key, object, terms, new AbortController().signal);
  expect(verdict).toEqual({ isAsDeclared: false, error: 'UPLOAD_TYPE_MISMATCH' });
});

test.each(['FULL_OBJECT', 'none'] as const)(
  'of a file nothing is said by the bytes of another object, its checksum being %s',
  async (checksum) => {
    store.checksum = checksum;
    const { key, object } = await look(bytes);
    const seen = { ...object, etag: '"another"' };
    const verdict = inspectBytes({ storage }, key, seen, declared, new AbortController().signal);
    await expect(verdict).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  },
);

test('a copy is made to no key that is taken', async () => {
  const { key, source } = await look(bytes);
  const again = storage.copy({ ...source, key: 'incoming/x' }, { key, contentType });
  await expect(again).rejects.toMatchObject({ kind: 'changed' });
});
