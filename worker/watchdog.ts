import { Worker } from 'node:worker_threads';

/** Watches the event loop from a thread of its own. */
export type Watchdog = { close(): Promise<void> };

/**
 * Kills the process when its event loop stands still for longer than `limitMs`: a job
 * that blocks it can be ended in no other way. By then its jobs are others', and
 * whoever runs the process starts it again.
 */
export function openWatchdog(limitMs: number): Watchdog {
  const ticks = new Int32Array(new SharedArrayBuffer(4));
  const tick = setInterval(() => Atomics.add(ticks, 0, 1), limitMs / 10);
  tick.unref();
  const thread = new Worker(new URL('./watchdogThread.ts', import.meta.url), {
    workerData: { ticks, limitMs },
  });
  thread.unref();
  return {
    async close() {
      clearInterval(tick);
      await thread.terminate();
    },
  };
}
