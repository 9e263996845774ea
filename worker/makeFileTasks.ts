import { z } from 'zod';
import { RowhouseError } from '../platform/errors/registry.ts';
import type { FileServices } from './files/services.ts';
import { defineTask, type Task, type Tasks } from './task.ts';
import { files__expire } from './tasks/files__expire.ts';
import { makeFilesFinalize } from './tasks/files__finalize.ts';
import { makeFilesPurge } from './tasks/files__purge.ts';
import { makeFilesReconcile } from './tasks/files__reconcile.ts';

/**
 * The tasks about files, under the names jobs call them by. Without a bucket, those that
 * need it fail and are tried again: somebody will configure it.
 */
export function makeFileTasks(services: FileServices | undefined): Tasks {
  return {
    files__expire,
    files__finalize: services ? makeFilesFinalize(services) : unavailable,
    files__purge: services ? makeFilesPurge(services) : unavailable,
    files__reconcile: services ? makeFilesReconcile(services) : nothing,
  };
}

const unavailable: Task = defineTask({
  payload: z.object({}),
  run: () => Promise.reject(new RowhouseError('UNAVAILABLE')),
});
const nothing: Task = defineTask({ payload: z.object({}), run: () => Promise.resolve() });
