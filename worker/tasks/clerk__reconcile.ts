import { z } from 'zod';
import type { Config } from '../../platform/config/settings.ts';
import { makeClerkApi } from '../../services/clerk/clerkApi.ts';
import { reconcile } from '../../services/clerk/reconcile.ts';
import { defineTask, type Tasks } from '../task.ts';

/**
 * Compares the mirror with Clerk. Runs by the clock; without a secret key there is nothing to ask
 * Clerk with, and nothing is done. What is cut off is gone on with by the next attempt.
 */
export function makeReconcileTask({
  clerkSecretKey: secretKey,
  clerkApiUrl: url,
}: Pick<Config, 'clerkSecretKey' | 'clerkApiUrl'>): Tasks {
  const clerk__reconcile = defineTask({
    payload: z.object({}),
    timeoutMs: 3_600_000,
    async run(_, { signal, observe, withClient }) {
      if (secretKey === undefined) return;
      const startedMs = performance.now();
      const { seen, changed, unreadable } = await reconcile({
        api: makeClerkApi({ url, secretKey, signal }),
        database: { query: (text, values) => withClient((client) => client.query(text, values)) },
        signal,
      });
      const durationMs = Math.round(performance.now() - startedMs);
      observe({ type: 'clerkReconciled', seen, changed, unreadable, durationMs });
    },
  });
  return { clerk__reconcile };
}
