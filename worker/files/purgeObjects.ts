import { z } from 'zod';
import type { Storage } from '../../services/storage/openStorage.ts';
import type { TaskContext } from '../task.ts';

const wantedSchema = z.object({
  incoming_key: z.string(),
  object_prefix: z.string(),
  is_on_its_way: z.boolean(),
  object_key: z.string().nullable(),
});

/**
 * Makes the store agree with the row of a file: deletes what lies there and is not
 * pinned by it. Leaves a file alone that is on its way.
 *
 * @param multipartUploadId an upload in parts that was begun for it.
 */
export async function purgeObjects(
  storage: Storage,
  fileId: string,
  multipartUploadId: string | null | undefined,
  {
    attempt,
    signal,
    withClient,
    observe,
  }: Pick<TaskContext, 'attempt' | 'signal' | 'withClient' | 'observe'>,
): Promise<void> {
  const { rows } = await withClient((client) =>
    client.query('select * from app_private.file_to_purge($1, $2)', [attempt, fileId]),
  );
  const wanted = wantedSchema.parse(rows[0]);
  if (wanted.is_on_its_way) return;
  if (multipartUploadId) {
    await storage.abortMultipart(wanted.incoming_key, multipartUploadId, signal);
  }
  await storage.remove(wanted.incoming_key, signal);
  let objects = 1;
  for await (const page of storage.list(wanted.object_prefix, { signal })) {
    for (const { key } of page) {
      if (key === wanted.object_key) continue;
      await storage.remove(key, signal);
      objects += 1;
    }
  }
  observe({ type: 'objectsDeleted', reason: 'ended', objects });
}
