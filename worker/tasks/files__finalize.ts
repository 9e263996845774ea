import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { arePartsWrong, isMissing, StorageError } from '../../services/storage/StorageError.ts';
import { inspectBytes, isSameType, type Verdict } from '../files/inspectBytes.ts';
import { isListed } from '../files/isListed.ts';
import { purgeObjects } from '../files/purgeObjects.ts';
import type { FileServices } from '../files/services.ts';
import { defineTask, type Task } from '../task.ts';

const fileSchema = z.object({
  content_type: z.string(),
  byte_size: z.string().transform(BigInt),
  checksum_sha256: z.string(),
  multipart_upload_id: z.string().nullable(),
  parts: z.array(z.object({ partNumber: z.int(), etag: z.string() })).nullable(),
  incoming_key: z.string(),
  object_prefix: z.string(),
});
type File = z.output<typeof fileSchema>;

/** What was found, and under which key. */
type Found = { verdict: Verdict; key?: string; version?: string | null; etag?: string };

/**
 * Verifies what was uploaded, and makes the file READY or REJECTED.
 *
 * The bytes are copied first and verified where they lie then: under a key that nobody
 * else knows, that no client can write to, and that each try makes anew, so that no late
 * write of an earlier one can change them. Whatever happens to the uploaded object around
 * it, what is pinned is what was verified.
 */
export function makeFilesFinalize(services: FileServices): Task {
  const { storage } = services;
  return defineTask({
    payload: z.object({ rowId: z.uuid() }),
    timeoutMs: 3_600_000,
    async run({ rowId }, context) {
      const startedMs = performance.now();
      const { attempt, signal, withClient, complete } = context;
      const { rows } = await withClient((client) =>
        client.query('select * from app_private.file_to_finalize($1, $2)', [attempt, rowId]),
      );
      // It is there already, or was deleted: an earlier attempt may have left a copy.
      if (!rows[0]) return purgeObjects(storage, rowId, null, context);

      const file = fileSchema.parse(rows[0]);
      const { verdict, key, version, etag } = await findOut(services, file, signal);
      const isThere = await complete(async (client) => {
        const { rows: answers } = verdict.isAsDeclared
          ? await client.query<{ moved: boolean }>(
              'select app_private.accept_file($1, $2, $3, $4, $5, $6, $7) as moved',
              [attempt, rowId, key, version, etag, verdict.width, verdict.height],
            )
          : await client.query<{ moved: boolean }>(
              'select app_private.reject_file($1, $2, $3) as moved',
              [attempt, rowId, verdict.error],
            );
        return answers[0]?.moved ?? false;
      });
      // Deleted meanwhile. Should this fail, the reconciliation finds the copy.
      if (!isThere && key) await storage.remove(key, signal);
      if (isThere) {
        const error = verdict.isAsDeclared ? null : verdict.error;
        const durationMs = Math.round(performance.now() - startedMs);
        context.observe({ type: 'uploadEnded', fileId: rowId, error, durationMs });
      }
    },
  });
}

async function findOut(services: FileServices, file: File, signal: AbortSignal): Promise<Found> {
  try {
    return await lookAt(services, file, signal);
  } catch (error) {
    // What the store refuses says nothing about the file: it is asked again, once permissions
    // are back or whoever replaced the object is done.
    if (!(error instanceof StorageError)) throw error;
    const code = error.kind === 'refused' ? 'UNAVAILABLE' : 'CONFLICT';
    throw new RowhouseError(code, { cause: error });
  }
}

async function lookAt(services: FileServices, file: File, signal: AbortSignal): Promise<Found> {
  const { storage, scanner } = services;
  const isJoined = await joinParts(services, file, signal);
  const incoming = isJoined ? await storage.head(file.incoming_key, signal) : null;
  if (!incoming) {
    if (isJoined && (await isListed(storage, file.incoming_key, signal))) {
      throw new RowhouseError('CONFLICT');
    }
    return { verdict: { isAsDeclared: false, error: 'UPLOAD_MISSING' } };
  }
  // Before any bytes are moved: most of what is wrong shows here.
  if (incoming.byteSize !== file.byte_size) {
    return { verdict: { isAsDeclared: false, error: 'UPLOAD_SIZE_MISMATCH' } };
  }
  if (!isSameType(incoming.contentType, file.content_type)) {
    return { verdict: { isAsDeclared: false, error: 'UPLOAD_TYPE_MISMATCH' } };
  }

  // Nor are they moved for a scanner that is away.
  await scanner?.ping();

  const key = `${file.object_prefix}${randomUUID()}`;
  const to = { key, contentType: file.content_type };
  try {
    await storage.copy({ ...incoming, key: file.incoming_key }, to, signal);
    const object = await storage.head(key, signal);
    if (!object) throw new RowhouseError('CONFLICT');
    const declared = {
      contentType: file.content_type,
      byteSize: file.byte_size,
      checksumSha256: file.checksum_sha256,
    };
    const verdict = await inspectBytes(services, key, object, declared, signal);
    return { verdict, key, version: object.version, etag: object.etag };
  } catch (error) {
    // Each try makes a copy, and there may be many for days. Should this fail, or the copy come
    // later, the reconciliation finds it.
    await storage.remove(key, AbortSignal.timeout(removeWithinMs)).catch(() => {});
    throw error;
  }
}

/** How long a try that failed may take to tidy up, also while the process stops. */
const removeWithinMs = 5_000;

/** Joins what was uploaded in parts. False where a part is not there, or not as the client said. */
async function joinParts(
  { storage }: FileServices,
  { incoming_key: key, multipart_upload_id: uploadId, parts, byte_size: byteSize }: File,
  signal: AbortSignal,
): Promise<boolean> {
  // An earlier attempt may have joined them.
  if (!uploadId || (await storage.head(key, signal))) return true;
  try {
    await storage.completeMultipart(key, uploadId, parts ?? [], Number(byteSize), signal);
  } catch (error) {
    // Or joins them now.
    if (isMissing(error)) return true;
    if (arePartsWrong(error)) return false;
    throw error;
  }
  return true;
}
