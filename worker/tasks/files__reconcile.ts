import { z } from 'zod';
import type { FileServices } from '../files/services.ts';
import { defineTask, type Task, type TaskContext } from '../task.ts';

/** Files looked after in one statement, and in one run. */
const batchSize = 500;
const maxPerRun = 10_000;
/** Objects asked for at once. */
const concurrency = 8;

/**
 * Finds what row and store disagree about, both ways, and has files go on that have lost
 * their job, or wait because the store was away. Runs by the clock. Objects that no row wants are deleted. A file that is ready and whose object
 * is gone is told to operators: nothing can bring it back, and nothing but somebody with
 * the keys of the bucket can have taken it.
 */
export function makeFilesReconcile({ storage }: FileServices): Task {
  return defineTask({
    payload: z.object({
      /** Younger objects are left alone, so that a database restored from a backup costs none at once. */
      minAgeSeconds: z.number().min(0).default(3_600),
    }),
    timeoutMs: 3_600_000,
    async run({ minAgeSeconds }, context) {
      const { attempt, signal, withClient, log, observe } = context;
      const startedMs = performance.now();
      const ask = async <Row extends object>(sql: string, ...values: unknown[]) =>
        (await withClient((client) => client.query<Row>(sql, [attempt, ...values]))).rows;

      let orphans = 0;
      for (const area of ['incoming/', 'files/']) {
        for await (const page of storage.list(area, signal)) {
          const old = page.filter(
            ({ changedAt }) => Date.now() - changedAt.getTime() >= minAgeSeconds * 1000,
          );
          const unneeded = await ask<{ key: string }>(
            'select key from app_private.unneeded_objects($1, $2) as key',
            old.map(({ key }) => key),
          );
          for (const { key } of unneeded) await storage.remove(key, signal);
          orphans += unneeded.length;
        }
      }
      // The store is there: what waits for it need not wait for its next attempt.
      const [answer] = await ask<{ resumed: number }>(
        'select app_private.resume_files($1) as resumed',
      );
      const resumed = answer?.resumed ?? 0;
      const lost = await findLost(ask, storage, signal, log);
      if (orphans > 0) observe({ type: 'objectsDeleted', reason: 'orphan', objects: orphans });
      const durationMs = Math.round(performance.now() - startedMs);
      observe({ type: 'filesReconciled', resumed, orphans, lost, durationMs });
    },
  });
}

type Ask = <Row extends object>(sql: string, ...values: unknown[]) => Promise<Row[]>;
type ReadyFile = { id: string; object_key: string; byte_size: string };

async function findLost(
  ask: Ask,
  storage: FileServices['storage'],
  signal: AbortSignal,
  log: TaskContext['log'],
): Promise<number> {
  let lost = 0;
  for (let looked = 0; looked < maxPerRun; looked += batchSize) {
    const files = await ask<ReadyFile>(
      'select * from app_private.next_ready_files($1, $2)',
      batchSize,
    );
    for (let i = 0; i < files.length; i += concurrency) {
      const some = files.slice(i, i + concurrency);
      const found = await Promise.all(
        some.map(({ object_key }) => storage.head(object_key, signal)),
      );
      for (const [place, { id, byte_size }] of some.entries()) {
        if (found[place]?.byteSize === BigInt(byte_size)) continue;
        lost += 1;
        log.error({ fileId: id }, 'a file is ready, and its object is gone or has another size');
      }
    }
    if (files.length < batchSize) break;
  }
  return lost;
}
