import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks again until there is something, and returns it; for what sends no signal of its own.
 * @param what completes "waited for …" when it does not come in time.
 */
export async function until<Found>(
  what: string,
  look: () => Found | Promise<Found>,
  withinMs = 10_000,
): Promise<Exclude<Found, null | undefined | false>> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found) return found as Exclude<Found, null | undefined | false>;
    if (performance.now() > deadlineMs) throw new Error(`Waited ${withinMs} ms for ${what}.`);
    await sleep(10);
  }
}
