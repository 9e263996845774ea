import { z } from 'zod';
import { defineTask } from '../task.ts';

/** As many at once, so that a page of first sights never waits long for the mirror. */
const batchSize = 500;

/** Merges the events of Clerk that wait in the inbox into the mirror, whichever brought it about. */
export const clerk_events__apply = defineTask({
  payload: z.object({}),
  async run(_, { attempt, signal, observe, withClient }) {
    for (;;) {
      signal.throwIfAborted();
      const { rows } = await withClient((client) =>
        client.query<Counts>('select * from app_private.apply_clerk_events($1, $2)', [
          attempt,
          batchSize,
        ]),
      );
      const { applied, stale, failed } = rows[0] ?? { applied: 0, stale: 0, failed: 0 };
      const all = applied + stale + failed;
      if (all > 0) observe({ type: 'clerkEventsApplied', applied, stale, failed });
      if (all < batchSize) return;
    }
  },
});

type Counts = { applied: number; stale: number; failed: number };
