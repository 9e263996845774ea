import { z } from 'zod';
import { defineTask } from '../task.ts';

/**
 * Has the documents embedded that were written while nobody embedded any: some, and the rest by
 * the job that follows it.
 */
export const documents__embed_missing = defineTask({
  payload: z.object({}),
  run: (_, { attempt, complete }) =>
    complete((client) => client.query('select app_private.embed_missing($1)', [attempt])),
});
