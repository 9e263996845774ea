import { setTimeout as sleep } from 'node:timers/promises';

/** How `keepTrying` says what stands in the way. */
export type KeepTryingOptions = {
  signal: AbortSignal;
  onFailure: (error: unknown, againInMs: number) => void;
};

/**
 * Tries until it works, with growing pauses of at most 5 s: what a process stands
 * on may come up after it. Resolves to undefined when the signal aborts first.
 */
export async function keepTrying<Result>(
  work: () => Promise<Result>,
  { signal, onFailure }: KeepTryingOptions,
): Promise<Result | undefined> {
  for (let waitMs = 250; !signal.aborted; waitMs = Math.min(waitMs * 2, 5_000)) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return undefined;
      onFailure(error, waitMs);
      await sleep(waitMs, undefined, { signal }).catch(() => {});
    }
  }
  return undefined;
}
