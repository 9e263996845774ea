import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl, S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import { create as contentDisposition } from 'content-disposition';
import { RowhouseError } from '../../platform/errors/registry.ts';

/** A request that a client may send, signed. Nothing but these headers may differ from none. */
export type SignedRequest = {
  url: string;
  method: 'PUT' | 'GET';
  headers: Record<string, string>;
  expiresAt: Date;
};

/** What is fixed about an upload. */
export type UploadTerms = {
  key: string;
  contentType: string;
  byteSize: bigint;
  /** Of the bytes, in base64. */
  checksumSha256: string;
  ttlSeconds: number;
};

/** What is fixed about a part of an upload. */
export type PartTerms = {
  key: string;
  uploadId: string;
  /** From 1. */
  partNumber: number;
  byteSize: bigint;
  /** Of the part, in base64; unchecked where absent. */
  checksumSha256?: string | undefined;
  ttlSeconds: number;
};

/** What is fixed about a download. */
export type DownloadTerms = {
  key: string;
  version: string | null;
  fileName: string;
  contentType: string;
  /** Whether a browser may show it. */
  isInline: boolean;
  ttlSeconds: number;
};

/**
 * Signs requests; without any network, but for credentials that have to be renewed. All throw
 * RowhouseError `UNAVAILABLE` where there are no credentials.
 */
export type Signer = {
  /** Says whether there are credentials, before anything is done that they are needed for. */
  ready(): Promise<void>;
  upload(terms: UploadTerms): Promise<SignedRequest>;
  part(terms: PartTerms): Promise<SignedRequest>;
  download(terms: DownloadTerms): Promise<SignedRequest>;
};

/**
 * Makes the signer of a bucket.
 *
 * It signs by the SDK's signer directly: the SDK's own way to a signed URL runs its whole
 * stack for each, and takes ten times as long.
 */
export function makeSigner(client: S3Client, bucket: string): Signer {
  const presigner = new S3RequestPresigner({ ...client.config });
  const base = baseUrl(client, bucket);

  async function sign(
    method: SignedRequest['method'],
    { key, ttlSeconds }: { key: string; ttlSeconds: number },
    headers: Record<string, string>,
    query: Record<string, string>,
  ): Promise<SignedRequest> {
    const { expiration } = await credentialsOf(client);
    const { protocol, hostname, host, port, pathname } = await base;
    const names = new Set(['host', ...Object.keys(headers).map((name) => name.toLowerCase())]);
    // The store's time, as its answers have told it.
    const signingDate = new Date(Date.now() + client.config.systemClockOffset);
    const signed = await presigner.presign(
      {
        method,
        protocol,
        hostname,
        ...(port && { port: Number(port) }),
        path: `${pathname}${key}`,
        query,
        headers: { ...headers, host },
      },
      { expiresIn: ttlSeconds, signingDate, signableHeaders: names, unhoistableHeaders: names },
    );
    const search = Object.entries(signed.query as Record<string, string>).map(
      ([name, value]) => `${encoded(name)}=${encoded(value)}`,
    );
    const url = `${protocol}//${host}${pathname}${key}?${search.join('&')}`;
    const endsAtMs = signingDate.getTime() + ttlSeconds * 1000;
    // Signed with credentials for a while, it is valid no longer than they are.
    const expiresAt = new Date(Math.min(endsAtMs, expiration?.getTime() ?? endsAtMs));
    return { url, method, headers, expiresAt };
  }

  return {
    ready: async () => void (await credentialsOf(client)),
    upload: (terms) => sign('PUT', terms, uploadHeaders(terms), {}),
    part: (terms) =>
      sign('PUT', terms, partHeaders(terms), {
        partNumber: String(terms.partNumber),
        uploadId: terms.uploadId,
      }),
    download: (terms) => sign('GET', terms, {}, downloadQuery(terms)),
  };
}

function uploadHeaders({ contentType, byteSize, checksumSha256 }: UploadTerms) {
  return {
    'Content-Type': contentType,
    'Content-Length': String(byteSize),
    'x-amz-checksum-sha256': checksumSha256,
    'If-None-Match': '*',
  };
}

function partHeaders({ byteSize, checksumSha256 }: PartTerms): Record<string, string> {
  return {
    'Content-Length': String(byteSize),
    ...(checksumSha256 && { 'x-amz-checksum-sha256': checksumSha256 }),
  };
}

function downloadQuery({ version, fileName, contentType, isInline }: DownloadTerms) {
  return {
    'response-content-disposition': contentDisposition(plainName(fileName), {
      type: isInline ? 'inline' : 'attachment',
    }),
    // What a browser may not show it is not told the type of either.
    'response-content-type': isInline ? contentType : 'application/octet-stream',
    'response-cache-control': 'private, max-age=31536000, immutable',
    ...(version !== null && { versionId: version }),
  };
}

/** As signatures have it: some stores read the query as it stands. */
function encoded(text: string): string {
  const code = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text).replace(/[!'()*]/g, code);
}

/** A name that means nothing but a name: no path, nothing invisible, nothing that turns text round. */
function plainName(fileName: string): string {
  const plain = fileName
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
    .replace(/[/\\:*?"<>|%]/g, '_')
    .replace(/^\.+/, '_')
    .trim();
  return plain === '' ? 'file' : plain;
}

async function credentialsOf(client: S3Client) {
  try {
    return await client.config.credentials();
  } catch (cause) {
    throw new RowhouseError('UNAVAILABLE', { cause });
  }
}

/** Where the objects of a bucket lie, as the SDK says it; ends in a slash. Asks nobody. */
async function baseUrl(client: S3Client, bucket: string): Promise<URL> {
  const { region, endpoint, forcePathStyle } = client.config;
  const asking = new S3Client({
    region,
    forcePathStyle,
    ...(endpoint && { endpoint }),
    ignoreConfiguredEndpointUrls: true,
    credentials: { accessKeyId: 'none', secretAccessKey: 'none' },
  });
  const url = new URL(
    await getSignedUrl(asking, new GetObjectCommand({ Bucket: bucket, Key: 'x' })),
  );
  asking.destroy();
  url.search = '';
  url.pathname = url.pathname.replace(/x$/, '');
  return url;
}
