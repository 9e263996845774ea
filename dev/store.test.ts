import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CopyObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type LocalStore, openLocalStore } from './store.ts';

let dir: string;
let store: LocalStore;
let client: S3Client;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rowhouse-test-store-'));
  store = await openLocalStore({ dir });
  const { AWS_REGION, S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = store.settings;
  client = new S3Client({
    region: AWS_REGION,
    endpoint: S3_ENDPOINT,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY },
  });
});
afterEach(async () => {
  client.destroy();
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

test('an object that is being replaced can be described and copied, and so can its copies', async () => {
  const Bucket = store.settings.S3_BUCKET_UPLOADS;
  const put = (Body: string) =>
    client.send(
      new PutObjectCommand({ Bucket, Key: 'incoming/one', Body, ContentType: 'text/plain' }),
    );
  await put('Sell more anvils.');
  let isOver = false;
  const replacing = Array.from({ length: 4 }, async () => {
    while (!isOver) await put('Sell less anvils.');
  });
  try {
    for (let i = 0; i < 40; i += 1) {
      const Key = `files/${i}`;
      await client.send(new HeadObjectCommand({ Bucket, Key: 'incoming/one' }));
      await client.send(
        new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/incoming/one` }),
      );
      const { ContentType } = await client.send(new HeadObjectCommand({ Bucket, Key }));
      expect(ContentType).toBe('text/plain');
    }
  } finally {
    isOver = true;
    await Promise.all(replacing);
  }
  const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'files/' }));
  expect(KeyCount).toBe(40);
});
