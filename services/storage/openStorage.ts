import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  S3Client,
  type S3ClientConfig,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { makeCaller } from './makeCaller.ts';
import { makeSigner, type Signer } from './makeSigner.ts';
import { isMissing } from './StorageError.ts';

/** An object as the store describes it. */
export type StoredObject = {
  byteSize: bigint;
  contentType: string;
  etag: string;
  /** Where the bucket keeps versions. */
  version: string | null;
  /** Of all its bytes, in base64, where the store has computed it itself; else null. */
  checksumSha256: string | null;
};

/** A part that was uploaded, by its number and the entity tag that the store gave it. */
export type UploadedPart = { partNumber: number; etag: string };

/** Which object a copy is made of, as it was seen. */
export type CopySource = Pick<StoredObject, 'byteSize' | 'contentType' | 'etag'> & { key: string };

/**
 * The bucket of uploads. What fails throws StorageError where the store said no, or
 * RowhouseError `UNAVAILABLE` where it is away.
 */
export type Storage = {
  sign: Signer;
  /** Null where there is no such object. */
  head(key: string, signal?: AbortSignal): Promise<StoredObject | null>;
  /** The bytes, all or the first of them, as they come. */
  read(key: string, options?: ReadOptions): AsyncIterable<Buffer>;
  /** Copies an object in the store, if it is still as it was seen. Never repeats itself. */
  copy(source: CopySource, toKey: string, signal?: AbortSignal): Promise<void>;
  /** Does nothing where there is no such object. */
  remove(key: string, signal?: AbortSignal): Promise<void>;
  /** Keys under a prefix, in pages. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<{ key: string; changedAt: Date }[]>;
  startMultipart(key: string, contentType: string): Promise<string>;
  completeMultipart(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    signal?: AbortSignal,
  ): Promise<void>;
  /** Does nothing where there is no such upload. */
  abortMultipart(key: string, uploadId: string, signal?: AbortSignal): Promise<void>;
  close(): void;
};

type ReadOptions = {
  version?: string | null;
  /** Only so many from the start. */
  first?: number;
  signal?: AbortSignal;
};

/** Where the bucket is, and how long to wait for it. */
export type StorageOptions = {
  bucket: string;
  region: string;
  /** Another store than AWS's. */
  endpoint?: string | undefined;
  /** For one try, and between two pieces of a body. */
  timeoutMs: number;
  /** For all tries of a call; unlimited where absent. */
  deadlineMs?: number;
  /** By default what the SDK finds. */
  credentials?: S3ClientConfig['credentials'];
};

/** The largest object that is copied in one call. */
const maxSingleCopy = 5n * 1024n ** 3n;
const copyPartSize = 1024n ** 3n;

/** Opens the bucket of uploads. Asks nobody. */
export function openStorage(options: StorageOptions): Storage {
  const { bucket: Bucket, region, endpoint, timeoutMs, deadlineMs, credentials } = options;
  const client = new S3Client({
    region,
    ...(endpoint && { endpoint, forcePathStyle: true }),
    ...(credentials && { credentials }),
    // makeCaller tries again.
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: timeoutMs, httpsAgent: { maxSockets: 200 } },
  });
  const call = makeCaller({ timeoutMs, deadlineMs });
  // Copying takes the store as long as the object is large.
  const callLong = makeCaller({ timeoutMs: Math.max(timeoutMs, 300_000) });
  // Of another store nobody knows whether it computed the checksum or repeats what it was told.
  const isTrusted = endpoint === undefined;

  async function copyInParts(source: CopySource, Key: string, signal?: AbortSignal) {
    const { UploadId } = await call(
      (abortSignal) =>
        client.send(
          new CreateMultipartUploadCommand({ Bucket, Key, ContentType: source.contentType }),
          { abortSignal },
        ),
      { signal },
    );
    const parts: { PartNumber: number; ETag: string | undefined }[] = [];
    for (let from = 0n; from < source.byteSize; from += copyPartSize) {
      const to = from + copyPartSize < source.byteSize ? from + copyPartSize : source.byteSize;
      const PartNumber = parts.length + 1;
      const { CopyPartResult } = await callLong(
        (abortSignal) =>
          client.send(
            new UploadPartCopyCommand({
              Bucket,
              Key,
              UploadId,
              PartNumber,
              CopySource: `${Bucket}/${source.key}`,
              CopySourceIfMatch: source.etag,
              CopySourceRange: `bytes=${from}-${to - 1n}`,
            }),
            { abortSignal },
          ),
        { signal },
      );
      parts.push({ PartNumber, ETag: CopyPartResult?.ETag });
    }
    await callLong(
      (abortSignal) =>
        client.send(
          new CompleteMultipartUploadCommand({
            Bucket,
            Key,
            UploadId,
            MultipartUpload: { Parts: parts },
          }),
          { abortSignal },
        ),
      { signal, mayRepeat: false },
    );
  }

  return {
    sign: makeSigner(client, Bucket),
    async head(Key, signal) {
      try {
        const found = await call(
          (abortSignal) =>
            client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }), {
              abortSignal,
            }),
          { signal },
        );
        const isWhole = found.ChecksumType !== 'COMPOSITE';
        const version = found.VersionId;
        return {
          byteSize: BigInt(found.ContentLength ?? 0),
          contentType: found.ContentType ?? '',
          etag: found.ETag ?? '',
          version: version === undefined || version === 'null' ? null : version,
          checksumSha256: isTrusted && isWhole ? (found.ChecksumSHA256 ?? null) : null,
        };
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
    async *read(Key, { version, first, signal } = {}) {
      const { Body } = await call(
        (abortSignal) =>
          untilAnswered(abortSignal, (ownSignal) =>
            client.send(
              new GetObjectCommand({
                Bucket,
                Key,
                ...(version && { VersionId: version }),
                ...(first && { Range: `bytes=0-${first - 1}` }),
              }),
              { abortSignal: ownSignal },
            ),
          ),
        { signal },
      );
      if (Body) yield* withoutStalls(Body as Readable, timeoutMs, signal);
    },
    async copy(source, Key, signal) {
      if (source.byteSize > maxSingleCopy) return copyInParts(source, Key, signal);
      await callLong(
        (abortSignal) =>
          client.send(
            new CopyObjectCommand({
              Bucket,
              Key,
              CopySource: `${Bucket}/${source.key}`,
              CopySourceIfMatch: source.etag,
              // So that the copy has one of all its bytes, also where the source came in parts.
              ...(isTrusted && { ChecksumAlgorithm: 'SHA256', IfNoneMatch: '*' }),
            }),
            { abortSignal },
          ),
        // One that was sent and not answered may happen yet.
        { signal, mayRepeat: false },
      );
    },
    async remove(Key, signal) {
      try {
        await call(
          (abortSignal) => client.send(new DeleteObjectCommand({ Bucket, Key }), { abortSignal }),
          { signal },
        );
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    },
    async *list(Prefix, signal) {
      let ContinuationToken: string | undefined;
      do {
        const page = await call(
          (abortSignal) =>
            client.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }), {
              abortSignal,
            }),
          { signal },
        );
        const objects = page.Contents ?? [];
        yield objects.map(({ Key = '', LastModified = new Date() }) => ({
          key: Key,
          changedAt: LastModified,
        }));
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken);
    },
    async startMultipart(Key, ContentType) {
      const { UploadId } = await call((abortSignal) =>
        client.send(new CreateMultipartUploadCommand({ Bucket, Key, ContentType }), {
          abortSignal,
        }),
      );
      if (!UploadId) throw new RowhouseError('UNAVAILABLE');
      return UploadId;
    },
    async completeMultipart(Key, UploadId, parts, signal) {
      const Parts = parts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: etag }));
      await callLong(
        (abortSignal) =>
          client.send(
            new CompleteMultipartUploadCommand({
              Bucket,
              Key,
              UploadId,
              MultipartUpload: { Parts },
            }),
            { abortSignal },
          ),
        { signal },
      );
    },
    async abortMultipart(Key, UploadId, signal) {
      try {
        await call(
          (abortSignal) =>
            client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), {
              abortSignal,
            }),
          { signal },
        );
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    },
    close: () => client.destroy(),
  };
}

/** The time limit of a call is for its answer: the body may take longer than that. */
async function untilAnswered<Result>(
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const control = new AbortController();
  const abort = () => control.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await work(control.signal);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** The pieces of a body; one that does not come in time ends it. */
async function* withoutStalls(
  body: Readable,
  timeoutMs: number,
  signal?: AbortSignal,
): AsyncIterable<Buffer> {
  const stop = () => body.destroy(new RowhouseError('UNAVAILABLE', { cause: 'stalled' }));
  let timer = setTimeout(stop, timeoutMs);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for await (const piece of body) {
      // Whoever reads may take their time.
      clearTimeout(timer);
      yield piece as Buffer;
      timer = setTimeout(stop, timeoutMs);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof RowhouseError
      ? error
      : new RowhouseError('UNAVAILABLE', { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
    body.destroy();
  }
}
