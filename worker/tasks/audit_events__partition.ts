import { z } from 'zod';
import { defineTask } from '../task.ts';

/** Makes partitions of the audit trail ahead of time, and drops those that are no longer kept. Runs by the clock. */
export const audit_events__partition = defineTask({
  payload: z.object({}),
  run: (_, { attempt, complete }) =>
    complete((client) => client.query('select app_private.maintain_audit($1)', [attempt])),
});
