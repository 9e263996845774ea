/** Which organizations may have one more job run here. */
export type FairShare = {
  /** Called before a job is looked for: the flags of jobs that may not be taken now. */
  forbiddenFlags(): string[] | null | Promise<string[]>;
  /** What was looked for has been found, or not. */
  looked(): void;
  started(orgId: string | null): void;
  ended(orgId: string | null, durationMs: number): void;
  /** Nobody waits any more. */
  close(): void;
};

/** Jobs over this time are long: a newcomer would wait for one. */
const longMs = 250;
/** How much the latest job of an organization counts in its typical duration. */
const weight = 0.2;
/** Organizations whose jobs are remembered; after these it begins anew. */
const maxKnown = 10_000;

/** The flag of an organization's jobs, as `app_private.enqueue` sets it. */
export const flagOf = (orgId: string): string => `org:${orgId}`;

/**
 * Keeps one place free of an organization whose jobs are long, or not known to be
 * short: its flood leaves one for whoever comes, and takes all where jobs are so
 * short that a newcomer need not wait for one.
 *
 * @param slots jobs at once; with one there is nothing to share.
 */
export function makeFairShare(slots: number): FairShare {
  /** Jobs that run, by organization. */
  const running = new Map<string, number>();
  /** The typical duration of those that have ended, in milliseconds. */
  const typicalMs = new Map<string, number>();
  /** Whether the latest job to end was of an organization with short ones. */
  let isLatestShort = false;
  let isOpen = true;
  let looking = 0;
  let changed = Promise.withResolvers<void>();

  function tell(): void {
    changed.resolve();
    changed = Promise.withResolvers();
  }

  /** The flags to leave out; undefined while what the other places find may change them. */
  function flagsNow(): string[] | undefined {
    const full: string[] = [];
    // The organizations of these jobs are not known yet, and could take every place.
    let isSure = looking < slots - 1 || isLatestShort;
    for (const [orgId, count] of running) {
      if ((typicalMs.get(orgId) ?? Number.POSITIVE_INFINITY) <= longMs) continue;
      if (count >= slots - 1) full.push(flagOf(orgId));
      else if (count + looking >= slots - 1) isSure = false;
    }
    return isSure || looking === 0 || !isOpen ? full : undefined;
  }

  async function whenSure(): Promise<string[]> {
    for (;;) {
      await changed.promise;
      const flags = flagsNow();
      if (!flags) continue;
      looking += 1;
      return flags;
    }
  }

  return {
    forbiddenFlags() {
      if (slots < 2) return null;
      const flags = flagsNow();
      if (!flags) return whenSure();
      looking += 1;
      return flags;
    },
    looked() {
      looking = Math.max(0, looking - 1);
      tell();
    },
    started(orgId) {
      if (orgId !== null) running.set(orgId, (running.get(orgId) ?? 0) + 1);
    },
    ended(orgId, durationMs) {
      if (orgId !== null) {
        const count = (running.get(orgId) ?? 1) - 1;
        if (count > 0) running.set(orgId, count);
        else running.delete(orgId);
        if (typicalMs.size >= maxKnown && !typicalMs.has(orgId)) typicalMs.clear();
        const before = typicalMs.get(orgId) ?? durationMs;
        const typical = before * (1 - weight) + durationMs * weight;
        typicalMs.set(orgId, typical);
        isLatestShort = typical <= longMs;
      }
      tell();
    },
    close() {
      isOpen = false;
      tell();
    },
  };
}
