import { z } from 'zod';
import { defineTask } from '../task.ts';

/** Ends uploads that nobody finalized, or that could not be verified, in time. Runs by the clock. */
export const files__expire = defineTask({
  payload: z.object({}),
  async run(_, { attempt, withClient, observe }) {
    const expire = async () => {
      const { rows } = await withClient((client) =>
        client.query<{ expired: number }>('select app_private.expire_files($1) as expired', [
          attempt,
        ]),
      );
      return rows[0]?.expired ?? 0;
    };
    // In short transactions: each locks what it changes.
    for (;;) {
      const files = await expire();
      if (files === 0) return;
      observe({ type: 'uploadsExpired', files });
    }
  },
});
