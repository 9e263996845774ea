import { z } from 'zod';
import { defineTask } from '../task.ts';

/** Forgets events of Clerk that are long done. Runs by the clock. */
export const clerk_events__purge = defineTask({
  payload: z.object({}),
  run: (_, { attempt, complete }) =>
    complete((client) => client.query('select app_private.purge_clerk_events($1)', [attempt])),
});
