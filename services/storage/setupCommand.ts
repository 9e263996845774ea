import { S3Client } from '@aws-sdk/client-s3';
import { Command } from 'commander';
import { loadConfigOrExit } from '../../platform/config/loadConfigOrExit.ts';
import { bucketSetup } from './bucketSetup.ts';
import { longestUploadSeconds } from './slowestRate.ts';

/** `npm run storage:setup`: gives the bucket of uploads what it needs. */

const { dryRun } = new Command('storage:setup')
  .description(
    'Sets public access, ownership, encryption, versions, lifecycle and CORS of the bucket in ' +
      'S3_BUCKET_UPLOADS. CORS is for CORS_ORIGINS. May be run again.',
  )
  .option('--dry-run', 'print what would be set, and ask nobody')
  .parse()
  .opts<{ dryRun?: true }>();

const config = loadConfigOrExit('none');
const { s3BucketUploads, s3Endpoint, awsRegion, corsOrigins } = config;
if (!s3BucketUploads) {
  process.stderr.write('S3_BUCKET_UPLOADS is not set: which bucket?\n');
  process.exit(1);
}
const client = new S3Client({
  region: awsRegion,
  ...(s3Endpoint && { endpoint: s3Endpoint, forcePathStyle: true }),
  ignoreConfiguredEndpointUrls: true,
});
if (corsOrigins.length === 0) {
  process.stderr.write('CORS_ORIGINS is empty: pages in browsers will not be able to upload.\n');
}
const { uploadUrlTtlSeconds, uploadSingleMaxBytes, uploadMultipartTtlSeconds } = config;
const wholeSeconds = uploadUrlTtlSeconds + longestUploadSeconds(uploadSingleMaxBytes);
for (const { call, why, input, send } of bucketSetup(
  s3BucketUploads,
  corsOrigins,
  Math.max(wholeSeconds, uploadMultipartTtlSeconds),
)) {
  process.stdout.write(`${call}: ${why}\n`);
  if (dryRun) {
    process.stdout.write(`${JSON.stringify(input, null, 2)}\n`);
    continue;
  }
  try {
    await send(client);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? `${error.name}: ${error.message}` : error}\n`);
    process.exitCode = 1;
    break;
  }
}
client.destroy();
