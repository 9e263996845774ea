import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { bucketSetup } from './bucketSetup.ts';
import { openStorage } from './openStorage.ts';

const steps = bucketSetup('uploads', ['https://app.example.com']);
const inputOf = (call: string) => JSON.stringify(steps.find((step) => step.call === call)?.input);

test('a bucket is private, encrypted, keeps versions, and cleans up by itself', () => {
  expect(steps.map(({ call }) => call)).toEqual([
    'PutPublicAccessBlock',
    'PutBucketOwnershipControls',
    'PutBucketEncryption',
    'PutBucketVersioning',
    'PutBucketPolicy',
    'PutBucketLifecycleConfiguration',
    'PutBucketCors',
  ]);
  expect(inputOf('PutPublicAccessBlock')).not.toContain('false');
  expect(inputOf('PutBucketLifecycleConfiguration')).toContain('"Prefix":"incoming/"');
});

test('pages may send every header that an upload is signed with', async () => {
  const { sign } = openStorage({
    bucket: 'uploads',
    region: 'us-east-1',
    timeoutMs: 1,
    credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
  });
  const { headers } = await sign.upload({
    key: 'x',
    contentType: 'text/plain',
    byteSize: 1n,
    checksumSha256: 'x',
    ttlSeconds: 60,
  });
  for (const name of Object.keys(headers)) {
    // The browser's own, which no rule need allow.
    if (name === 'Content-Length') continue;
    expect(inputOf('PutBucketCors')).toContain(`"${name.toLowerCase()}"`);
  }
});

test('the Terraform says the same', () => {
  const terraform = readFileSync(
    new URL('../../deploy/terraform/uploads/main.tf', import.meta.url),
    'utf8',
  );
  for (const said of [
    'allowed_headers = ["content-type", "if-none-match", "x-amz-checksum-sha256"]',
    'allowed_methods = ["PUT", "GET", "HEAD"]',
    'expose_headers  = ["ETag"]',
    'noncurrent_days = 30',
    'days = 3',
    'BucketOwnerEnforced',
    'aws:SecureTransport',
  ]) {
    expect(terraform).toContain(said);
  }
});
