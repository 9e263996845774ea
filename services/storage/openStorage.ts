import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { makeCaller } from './makeCaller.ts';
import { makeSigner, type Signer } from './makeSigner.ts';
import { isMissing } from './StorageError.ts';
import { slowestRate } from './slowestRate.ts';

/** An object as the store describes it. */
export type StoredObject = {
  byteSize: bigint;
  contentType: string;
  /** How readers are told to decode its bytes; null for not at all. */
  contentEncoding: string | null;
  etag: string;
  /** Where the bucket keeps versions. */
  version: string | null;
  /** Of all its bytes, in base64, where the store has computed it itself; else null. */
  checksumSha256: string | null;
};

/** A part that was uploaded, by its number and the entity tag that the store gave it. */
export type UploadedPart = { partNumber: number; etag: string };

/** Which object a copy is made of, as it was seen. */
export type CopySource = Pick<StoredObject, 'byteSize' | 'etag'> & { key: string };

/** An upload in parts that was begun, and neither completed nor given up. */
export type BegunUpload = { key: string; uploadId: string; begunAt: Date };

/**
 * The bucket of uploads. What fails throws StorageError where the store said no, or
 * RowhouseError `UNAVAILABLE` where it is away.
 */
export type Storage = {
  sign: Signer;
  /** Null where there is no such object. */
  head(key: string, signal?: AbortSignal): Promise<StoredObject | null>;
  /**
   * The bytes, all or the first of them, as they come. It ends with `UNAVAILABLE` where they are not
   * of the object that was seen, or not as many.
   */
  read(key: string, options?: ReadOptions): AsyncIterable<Buffer>;
  /**
   * Copies the bytes of an object in the store, if it is still as it was seen, and nothing else
   * of it: no header that somebody sent along with them. Never repeats itself.
   */
  copy(
    source: CopySource,
    to: Pick<StoredObject, 'contentType'> & { key: string },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Does nothing where there is no such object. */
  remove(key: string, signal?: AbortSignal): Promise<void>;
  /** Keys under a prefix, in order and in pages; from the first, or after one. */
  list(
    prefix: string,
    options?: { after?: string; signal?: AbortSignal },
  ): AsyncIterable<{ key: string; changedAt: Date }[]>;
  /** Uploads in parts under a prefix, in pages. */
  listMultiparts(prefix: string, signal?: AbortSignal): AsyncIterable<BegunUpload[]>;
  /** @param hasChecksums whether every part will come with its SHA-256; else none may. */
  startMultipart(
    key: string,
    contentType: string,
    options?: { hasChecksums?: boolean },
  ): Promise<string>;
  /** Joins the parts to an object of so many bytes. */
  completeMultipart(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    byteSize: number,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Does nothing where there is no such upload. */
  abortMultipart(key: string, uploadId: string, signal?: AbortSignal): Promise<void>;
  close(): void;
};

type ReadOptions = {
  /** The object as its head told of it. */
  seen?: Pick<StoredObject, 'byteSize' | 'etag' | 'version'>;
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
  /** Whether checksums that it reports are its own; by default those of AWS are. */
  isTrusted?: boolean;
  /** For one try, and how long a body may stand still. Copying takes longer, by the size. */
  timeoutMs: number;
  /** For all tries of a call; unlimited where absent. */
  deadlineMs?: number;
  /** In bytes; S3's own limits by default. */
  largestCopy?: { whole: number; part: number };
  /** Told when the store begins to count as down, and when it is back. */
  onBreaker?: (isOpen: boolean) => void;
  /** By default what the SDK finds. */
  credentials?: S3ClientConfig['credentials'];
};

/** The largest object that S3 copies in one call, and the parts of those that are larger. */
const largestCopy = { whole: 5 * 1024 ** 3, part: 1024 ** 3 };

/** Bytes per second: what is slower within a store counts as standing still. */
const slowestCopy = 8 * 1024 ** 2;

/** Opens the bucket of uploads. Asks nobody. */
export function openStorage(options: StorageOptions): Storage {
  const { bucket: Bucket, region, endpoint, timeoutMs, deadlineMs, credentials } = options;
  const { whole: maxSingleCopy, part: copyPartSize } = options.largestCopy ?? largestCopy;
  const client = new S3Client({
    region,
    ...(endpoint && { endpoint, forcePathStyle: true }),
    // Another store is one that is named to Rowhouse: it is not trusted as AWS is.
    ignoreConfiguredEndpointUrls: true,
    ...(credentials && { credentials }),
    // makeCaller tries again.
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: timeoutMs, httpsAgent: { maxSockets: 200 } },
  });
  const call = makeCaller({ timeoutMs, deadlineMs, onBreaker: options.onBreaker });
  // Copying and joining take the store as long as the object is large.
  const longTimeoutMs = (byteSize: number) =>
    timeoutMs + Math.ceil((byteSize / slowestCopy) * 1000);
  // Of another store nobody knows whether it computed the checksum or repeats what it was told.
  const { isTrusted = endpoint === undefined } = options;

  async function copyInParts(
    source: CopySource,
    { key: Key, contentType }: { key: string; contentType: string },
    signal?: AbortSignal,
  ) {
    const byteSize = Number(source.byteSize);
    const UploadId = await startMultipart(Key, contentType, { signal });
    try {
      const parts: UploadedPart[] = [];
      for (let from = 0; from < byteSize; from += copyPartSize) {
        const to = Math.min(from + copyPartSize, byteSize);
        const partNumber = parts.length + 1;
        const { CopyPartResult } = await call(
          (abortSignal) =>
            client.send(
              new UploadPartCopyCommand({
                Bucket,
                Key,
                UploadId,
                PartNumber: partNumber,
                CopySource: `${Bucket}/${source.key}`,
                CopySourceIfMatch: source.etag,
                CopySourceRange: `bytes=${from}-${to - 1}`,
              }),
              { abortSignal },
            ),
          { signal, longTimeoutMs: longTimeoutMs(to - from) },
        );
        parts.push({ partNumber, etag: CopyPartResult?.ETag ?? '' });
      }
      await join(
        Key,
        UploadId,
        parts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: etag })),
        byteSize,
        signal,
      );
    } catch (error) {
      // Should this fail too, the bucket's lifecycle ends it.
      await abortMultipart(Key, UploadId).catch(() => {});
      throw error;
    }
  }

  async function startMultipart(
    Key: string,
    ContentType: string,
    { hasChecksums, signal }: { hasChecksums?: boolean; signal?: AbortSignal | undefined } = {},
  ) {
    const { UploadId } = await call(
      (abortSignal) =>
        client.send(
          new CreateMultipartUploadCommand({
            Bucket,
            Key,
            ContentType,
            // Without it AWS takes no part that comes with a checksum; with it, none without.
            ...(hasChecksums && { ChecksumAlgorithm: 'SHA256' }),
          }),
          { abortSignal },
        ),
      { signal },
    );
    if (!UploadId) throw new RowhouseError('UNAVAILABLE');
    return UploadId;
  }

  async function join(
    Key: string,
    UploadId: string,
    Parts: CompletedPart[],
    byteSize: number,
    signal?: AbortSignal,
  ) {
    await call(
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
      // One that was sent and not answered may happen yet.
      { signal, mayRepeat: false, longTimeoutMs: longTimeoutMs(byteSize) },
    );
  }

  /** As the store keeps them by their number: where it asked for checksums, it wants to be told them again. */
  async function checksumsOf(Key: string, UploadId: string, signal?: AbortSignal) {
    const checksums = new Map<number, string>();
    let PartNumberMarker: string | undefined;
    do {
      const page = await call(
        (abortSignal) =>
          client.send(new ListPartsCommand({ Bucket, Key, UploadId, PartNumberMarker }), {
            abortSignal,
          }),
        { signal, key: Key },
      );
      for (const { PartNumber, ChecksumSHA256 } of page.Parts ?? []) {
        if (PartNumber && ChecksumSHA256) checksums.set(PartNumber, ChecksumSHA256);
      }
      PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
    } while (PartNumberMarker);
    return checksums;
  }

  async function abortMultipart(Key: string, UploadId: string, signal?: AbortSignal) {
    try {
      await call(
        (abortSignal) =>
          client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), { abortSignal }),
        { signal, key: Key },
      );
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
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
          { signal, key: Key },
        );
        const { ContentLength, ETag } = found;
        // Whoever answers so is no store.
        if (ContentLength === undefined || !ETag) throw new RowhouseError('UNAVAILABLE');
        const isWhole = found.ChecksumType !== 'COMPOSITE';
        const version = found.VersionId;
        return {
          byteSize: BigInt(ContentLength),
          contentType: found.ContentType ?? '',
          contentEncoding: found.ContentEncoding || null,
          etag: ETag,
          version: version === undefined || version === 'null' ? null : version,
          checksumSha256: isTrusted && isWhole ? (found.ChecksumSHA256 ?? null) : null,
        };
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
    async *read(Key, { seen, first, signal } = {}) {
      const { Body, ETag } = await call(
        (abortSignal) =>
          untilAnswered(abortSignal, (ownSignal) =>
            client.send(
              new GetObjectCommand({
                Bucket,
                Key,
                ...(seen?.version && { VersionId: seen.version }),
                ...(first && { Range: `bytes=0-${first - 1}` }),
              }),
              { abortSignal: ownSignal },
            ),
          ),
        { signal, key: Key },
      );
      const body = Body as Readable | undefined;
      if (seen && plainEtag(ETag) !== plainEtag(seen.etag)) {
        body?.destroy();
        throw new RowhouseError('UNAVAILABLE', { cause: new Error('another object was answered') });
      }
      let arrived = 0;
      for await (const piece of body ? withoutStalls(body, timeoutMs, signal) : []) {
        arrived += piece.length;
        yield piece;
      }
      // Whoever stands between may end a body cleanly, and too early.
      if (seen && arrived !== Math.min(Number(seen.byteSize), first ?? Number.POSITIVE_INFINITY)) {
        throw new RowhouseError('UNAVAILABLE', { cause: new Error('not all bytes arrived') });
      }
    },
    async copy(source, to, signal) {
      const byteSize = Number(source.byteSize);
      if (byteSize > maxSingleCopy) return copyInParts(source, to, signal);
      await call(
        (abortSignal) =>
          client.send(
            new CopyObjectCommand({
              Bucket,
              Key: to.key,
              CopySource: `${Bucket}/${source.key}`,
              CopySourceIfMatch: source.etag,
              // Headers such as Content-Encoding are bound by no signature, and would have readers
              // make other bytes of these.
              MetadataDirective: 'REPLACE',
              ContentType: to.contentType,
              ...(isTrusted && {
                TaggingDirective: 'REPLACE',
                // So that the copy has one of all its bytes, also where the source came in parts.
                ChecksumAlgorithm: 'SHA256',
                IfNoneMatch: '*',
              }),
            }),
            { abortSignal },
          ),
        // One that was sent and not answered may happen yet.
        { signal, mayRepeat: false, longTimeoutMs: longTimeoutMs(byteSize) },
      );
    },
    async remove(Key, signal) {
      try {
        await call(
          (abortSignal) => client.send(new DeleteObjectCommand({ Bucket, Key }), { abortSignal }),
          { signal, key: Key },
        );
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    },
    async *list(Prefix, { after: StartAfter, signal } = {}) {
      let ContinuationToken: string | undefined;
      do {
        const input = { Bucket, Prefix, StartAfter, ContinuationToken };
        const page = await call(
          (abortSignal) => client.send(new ListObjectsV2Command(input), { abortSignal }),
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
    async *listMultiparts(Prefix, signal) {
      let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
      do {
        const input = { Bucket, Prefix, ...marker };
        const page = await call(
          (abortSignal) => client.send(new ListMultipartUploadsCommand(input), { abortSignal }),
          { signal },
        );
        const uploads = page.Uploads ?? [];
        yield uploads.map(({ Key = '', UploadId = '', Initiated = new Date() }) => ({
          key: Key,
          uploadId: UploadId,
          begunAt: Initiated,
        }));
        marker = page.IsTruncated
          ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
          : {};
      } while (marker.KeyMarker);
    },
    startMultipart: (key, contentType, { hasChecksums = false } = {}) =>
      startMultipart(key, contentType, { hasChecksums }),
    async completeMultipart(key, uploadId, parts, byteSize, signal) {
      const checksums = await checksumsOf(key, uploadId, signal);
      const told = parts.map(({ partNumber, etag }) => {
        const checksum = checksums.get(partNumber);
        return {
          PartNumber: partNumber,
          ETag: etag,
          ...(checksum && { ChecksumSHA256: checksum }),
        };
      });
      await join(key, uploadId, told, byteSize, signal);
    },
    abortMultipart,
    close: () => client.destroy(),
  };
}

/** Quoted or not, weak or not: who stands between may change that. */
const plainEtag = (etag: string | undefined) => etag?.replace(/^W\//, '').replaceAll('"', '');

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

/**
 * The pieces of a body. It ends when it has been waited for longer than `timeoutMs` in all,
 * beyond what its pieces would take at the slowest rate: bytes that trickle in keep nobody.
 */
async function* withoutStalls(
  body: Readable,
  timeoutMs: number,
  signal?: AbortSignal,
): AsyncIterable<Buffer> {
  const stop = () => body.destroy(new RowhouseError('UNAVAILABLE', { cause: 'stalled' }));
  let patienceMs = timeoutMs;
  let askedMs = performance.now();
  let timer = setTimeout(stop, patienceMs);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      // Whoever reads may take their time.
      clearTimeout(timer);
      const earnedMs = (piece.length / slowestRate) * 1000;
      patienceMs = Math.min(timeoutMs, patienceMs - (performance.now() - askedMs) + earnedMs);
      yield piece;
      askedMs = performance.now();
      timer = setTimeout(stop, Math.max(0, patienceMs));
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
