import { z } from 'zod';
import { defineTask } from '../task.ts';

/** So few that nobody's word of Clerk's waits long: a space may hold much. */
const batchSize = 10;

/** Empties the personal spaces of users who are gone, once that is due. Runs by the clock. */
export const users__erase = defineTask({
  payload: z.object({}),
  async run(_, { attempt, signal, withClient }) {
    for (;;) {
      signal.throwIfAborted();
      const { rows } = await withClient((client) =>
        client.query<{ users: number }>('select app_private.erase_gone_users($1, $2) as users', [
          attempt,
          batchSize,
        ]),
      );
      if ((rows[0]?.users ?? 0) < batchSize) return;
    }
  },
});
