import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { bucketSetup } from './bucketSetup.ts';
import { openStorage } from './openStorage.ts';
import { longestUploadSeconds } from './slowestRate.ts';

const steps = bucketSetup('uploads', ['https://app.example.com'], 86_400);
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

test.each([
  [3_600, 4],
  [86_400, 4],
  [604_800, 10],
])('what was uploaded within %i s stays until it was verified: %i days', (seconds, days) => {
  const rules = JSON.stringify(bucketSetup('uploads', [], seconds));
  expect(rules).toContain(`"Expiration":{"Days":${days}}`);
  expect(rules).toContain(`"DaysAfterInitiation":${days}}`);
});

test('the four days that are always kept outlast any upload in one piece, and two days of verifying', () => {
  // The most that the settings allow.
  const [ttlSeconds, byteSize] = [43_200, 5 * 1024 ** 3];
  expect((ttlSeconds + longestUploadSeconds(byteSize)) / 86_400 + 2).toBeLessThan(4);
});

test('nothing is left for ever of a file that was deleted', () => {
  const rules = inputOf('PutBucketLifecycleConfiguration') ?? '';
  expect(rules.match(/"Prefix":"files\/".*/)?.[0]).toMatch(
    /"NoncurrentDays":30.*"ExpiredObjectDeleteMarker":true/,
  );
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
    'ceil(var.multipart_ttl_seconds / 86400) + 3',
    'days = local.kept_days',
    'days_after_initiation = local.kept_days',
    'expired_object_delete_marker = true',
    'BucketOwnerEnforced',
    'aws:SecureTransport',
  ]) {
    expect(terraform).toContain(said);
  }
});
