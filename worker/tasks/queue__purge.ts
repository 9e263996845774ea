import { z } from 'zod';
import { defineTask } from '../task.ts';

/** Deletes bookkeeping of the queue that nobody needs any more. Runs by the clock. */
export const queue__purge = defineTask({
  payload: z.object({}),
  run: (_, { attempt, complete }) =>
    complete((client) => client.query('select app_private.purge_queue($1)', [attempt])),
});
