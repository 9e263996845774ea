import { z } from 'zod';
import { isRefused } from '../../services/storage/StorageError.ts';
import { isListed } from '../files/isListed.ts';
import type { FileServices } from '../files/services.ts';
import { defineTask, type Task, type TaskContext } from '../task.ts';

/** Files looked after in one statement, and in one run. */
const batchSize = 500;
const maxPerRun = 10_000;
/** Objects asked for at once. */
const concurrency = 8;
/** Where objects of files lie, in the order of a list. */
const areas = ['files/', 'incoming/'];

/**
 * Finds what row and store disagree about, both ways, and has files go on that have lost
 * their job, or wait because the store was away. Runs by the clock. Objects that no row wants
 * are deleted, and uploads in parts that nobody will complete given up. A file that is ready and
 * whose object is gone is told to operators: nothing can bring it back, and nothing but somebody
 * with the keys of the bucket can have taken it.
 *
 * A list of all objects may take longer than one run: what takes little time comes first, and
 * the sweep goes on where an earlier run was cut short.
 */
export function makeFilesReconcile({ storage }: FileServices): Task {
  return defineTask({
    payload: z.object({
      /** Younger objects are left alone, so that a database restored from a backup costs none at once. */
      minAgeSeconds: z.number().min(0).default(3_600),
    }),
    timeoutMs: 3_600_000,
    async run({ minAgeSeconds }, context) {
      const { attempt, signal, withClient, observe } = context;
      const startedMs = performance.now();
      const ask: Ask = async (sql, ...values) =>
        (await withClient((client) => client.query<never>(sql, [attempt, ...values]))).rows;
      const isOld = (at: Date) => Date.now() - at.getTime() >= minAgeSeconds * 1000;
      const round: Round = { storage, ask, signal, isOld, log: context.log };

      // Once the store is there, what waits for it need not wait for its next attempt.
      for await (const _ of storage.list('incoming/', { signal })) break;
      const [answer] = await ask<{ resumed: number }>(
        'select app_private.resume_files($1) as resumed',
      );
      const resumed = answer?.resumed ?? 0;
      const lost = await findLost(round);
      const orphans = (await sweepUploads(round)) + (await sweepObjects(round));
      if (orphans > 0) observe({ type: 'objectsDeleted', reason: 'orphan', objects: orphans });
      const durationMs = Math.round(performance.now() - startedMs);
      observe({ type: 'filesReconciled', resumed, orphans, lost, durationMs });
    },
  });
}

/** What one run needs of its surroundings. */
type Round = Pick<FileServices, 'storage'> &
  Pick<TaskContext, 'signal' | 'log'> & { ask: Ask; isOld(at: Date): boolean };
type Ask = <Row extends object>(sql: string, ...values: unknown[]) => Promise<Row[]>;
type ReadyFile = {
  org_id: string;
  id: string;
  object_key: string;
  object_version: string | null;
  byte_size: string;
};

async function findLost({ ask, storage, signal, log }: Round): Promise<number> {
  let lost = 0;
  const isThere = async ({ object_key: key, object_version: version, byte_size }: ReadyFile) => {
    const found = await storage.head(key, signal);
    if (!found) return isListed(storage, key, signal);
    // Under another one, the version that is pinned is gone, or will be by the bucket's lifecycle.
    const isPinned = version === null || found.version === null || found.version === version;
    return isPinned && found.byteSize === BigInt(byte_size);
  };
  for (let looked = 0; looked < maxPerRun; looked += batchSize) {
    const files = await ask<ReadyFile>(
      'select * from app_private.next_ready_files($1, $2)',
      batchSize,
    );
    for (let i = 0; i < files.length; i += concurrency) {
      const some = files.slice(i, i + concurrency);
      const found = await Promise.all(some.map(isThere));
      for (const [place, { org_id, id, object_key }] of some.entries()) {
        if (found[place]) continue;
        // Its owner may have deleted it meanwhile.
        const [answer] = await ask<{ is_ready: boolean }>(
          'select app_private.is_file_ready($1, $2, $3, $4) as is_ready',
          org_id,
          id,
          object_key,
        );
        if (!answer?.is_ready) continue;
        lost += 1;
        log.error({ fileId: id }, 'a file is ready, and its object is gone or has another size');
      }
    }
    if (files.length < batchSize) break;
  }
  return lost;
}

/** Gives up uploads in parts that nobody will complete. Answers how many. */
async function sweepUploads({ ask, storage, signal, isOld, log }: Round): Promise<number> {
  let swept = 0;
  try {
    for (const area of areas) {
      for await (const page of storage.listMultiparts(area, signal)) {
        const old = page.filter(({ begunAt }) => isOld(begunAt));
        const unneeded = await ask<{ key: string; upload_id: string }>(
          'select * from app_private.unneeded_uploads($1, $2, $3)',
          old.map(({ key }) => key),
          old.map(({ uploadId }) => uploadId),
        );
        for (const { key, upload_id } of unneeded) {
          await storage.abortMultipart(key, upload_id, signal);
        }
        swept += unneeded.length;
      }
    }
  } catch (error) {
    // Some stores cannot list them, and some roles may not.
    if (!isRefused(error)) throw error;
    log.warn(
      { err: error },
      'uploads in parts cannot be listed: the bucket has to end them itself',
    );
  }
  return swept;
}

/** Deletes objects that no row wants. Answers how many. */
async function sweepObjects({ ask, storage, signal, isOld }: Round): Promise<number> {
  const keepPlace = (key: string | null) =>
    ask<{ reached: string }>('select app_private.swept_to($1, $2) as reached', key);
  const [place] = await keepPlace(null);
  const reached = place?.reached ?? '';
  let swept = 0;
  for (const area of areas) {
    const isWithin = reached.startsWith(area);
    if (reached > area && !isWithin) continue;
    for await (const page of storage.list(area, { signal, ...(isWithin && { after: reached }) })) {
      const old = page.filter(({ changedAt }) => isOld(changedAt));
      const unneeded = await ask<{ key: string }>(
        'select key from app_private.unneeded_objects($1, $2) as key',
        old.map(({ key }) => key),
      );
      for (const { key } of unneeded) await storage.remove(key, signal);
      swept += unneeded.length;
      const last = page.at(-1);
      if (last) await keepPlace(last.key);
    }
  }
  await keepPlace('');
  return swept;
}
