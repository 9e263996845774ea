import {
  PutBucketCorsCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
} from '@aws-sdk/client-s3';

/** One thing that is set on a bucket. */
export type SetupStep = {
  /** What it is for. */
  why: string;
  /** The call, as the S3 API names it, and what it is given. */
  call: string;
  input: object;
  send(client: S3Client): Promise<unknown>;
};

/** Within so many days after it was finalized a file is ready or rejected. */
const verifiedWithinDays = 2;

/**
 * What a bucket of uploads needs, in order. Each sets a whole aspect of the bucket, so
 * that it may be done again; what stood there before is replaced.
 *
 * @param corsOrigins the web origins whose pages upload.
 * @param longestUploadSeconds how long the slowest upload may take.
 */
export function bucketSetup(
  Bucket: string,
  corsOrigins: readonly string[],
  longestUploadSeconds: number,
): SetupStep[] {
  const keptDays = Math.ceil(longestUploadSeconds / 86_400) + verifiedWithinDays + 1;
  const publicAccess = {
    Bucket,
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true,
      IgnorePublicAcls: true,
      BlockPublicPolicy: true,
      RestrictPublicBuckets: true,
    },
  };
  const ownership = {
    Bucket,
    OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' as const }] },
  };
  const encryption = {
    Bucket,
    ServerSideEncryptionConfiguration: {
      Rules: [
        {
          ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' as const },
          BucketKeyEnabled: true,
        },
      ],
    },
  };
  const versioning = { Bucket, VersioningConfiguration: { Status: 'Enabled' as const } };
  const policy = { Bucket, Policy: JSON.stringify(onlyEncryptedTransport(Bucket)) };
  const cors = {
    Bucket,
    CORSConfiguration: {
      CORSRules: [
        {
          AllowedOrigins: [...corsOrigins],
          AllowedMethods: ['PUT', 'GET', 'HEAD'],
          AllowedHeaders: ['content-type', 'if-none-match', 'x-amz-checksum-sha256'],
          ExposeHeaders: ['ETag'],
          MaxAgeSeconds: 3_000,
        },
      ],
    },
  };
  const lifecycle = {
    Bucket,
    LifecycleConfiguration: {
      Rules: [
        {
          ID: 'incoming',
          Status: 'Enabled' as const,
          Filter: { Prefix: 'incoming/' },
          // Which also removes what is left of objects that were deleted.
          Expiration: { Days: keptDays },
          NoncurrentVersionExpiration: { NoncurrentDays: 1 },
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: keptDays },
        },
        {
          ID: 'deleted-files',
          Status: 'Enabled' as const,
          Filter: { Prefix: 'files/' },
          // What was deleted can be brought back for so long.
          NoncurrentVersionExpiration: { NoncurrentDays: 30 },
          // And then its marker goes as well: lists would be ever longer.
          Expiration: { ExpiredObjectDeleteMarker: true },
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: verifiedWithinDays + 1 },
        },
      ],
    },
  };

  const steps: SetupStep[] = [
    {
      why: 'Nobody reads without a signature.',
      call: 'PutPublicAccessBlock',
      input: publicAccess,
      send: (client) => client.send(new PutPublicAccessBlockCommand(publicAccess)),
    },
    {
      why: 'Access lists of single objects mean nothing.',
      call: 'PutBucketOwnershipControls',
      input: ownership,
      send: (client) => client.send(new PutBucketOwnershipControlsCommand(ownership)),
    },
    {
      why: 'Objects are encrypted where they lie.',
      call: 'PutBucketEncryption',
      input: encryption,
      send: (client) => client.send(new PutBucketEncryptionCommand(encryption)),
    },
    {
      why: 'A file is pinned to a version, and what is deleted can be brought back for a while.',
      call: 'PutBucketVersioning',
      input: versioning,
      send: (client) => client.send(new PutBucketVersioningCommand(versioning)),
    },
    {
      why: 'Nothing goes over the network in the clear.',
      call: 'PutBucketPolicy',
      input: policy,
      send: (client) => client.send(new PutBucketPolicyCommand(policy)),
    },
    {
      why: 'Uploads that were given up go by themselves, and so do old versions.',
      call: 'PutBucketLifecycleConfiguration',
      input: lifecycle,
      send: (client) => client.send(new PutBucketLifecycleConfigurationCommand(lifecycle)),
    },
  ];
  // S3 takes no empty list: without origins, no page of a browser may upload.
  if (corsOrigins.length > 0) {
    steps.push({
      why: 'Pages of these origins may upload.',
      call: 'PutBucketCors',
      input: cors,
      send: (client) => client.send(new PutBucketCorsCommand(cors)),
    });
  }
  return steps;
}

function onlyEncryptedTransport(bucket: string) {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'OnlyEncryptedTransport',
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:*',
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      },
    ],
  };
}
