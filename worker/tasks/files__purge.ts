import { z } from 'zod';
import { purgeObjects } from '../files/purgeObjects.ts';
import type { FileServices } from '../files/services.ts';
import { defineTask, type Task } from '../task.ts';

/** Deletes the objects of a file that it does not want any more: all, once it was deleted. */
export function makeFilesPurge({ storage }: FileServices): Task {
  return defineTask({
    payload: z.object({ rowId: z.uuid(), multipartUploadId: z.string().nullish() }),
    run: ({ rowId, multipartUploadId }, context) =>
      purgeObjects(storage, rowId, multipartUploadId, context),
  });
}
