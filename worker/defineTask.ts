import type { JobHelpers, Task } from 'graphile-worker';
import type { z } from 'zod';

/**
 * Makes a task whose payload is checked before it runs.
 *
 * @throws the schema's error where a payload does not fit: the job fails and says why.
 */
export function defineTask<Payload extends z.ZodType>(
  schema: Payload,
  run: (payload: z.output<Payload>, helpers: JobHelpers) => Promise<unknown>,
): Task {
  return async (payload, helpers) => {
    await run(schema.parse(payload), helpers);
  };
}
