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
/** Organizations whose jobs are known; after these it begins anew. */
const maxKnown = 10_000;

/** The flag of an organization's jobs, as `app_private.enqueue` sets it. */
export const flagOf = (orgId: string): string => `org:${orgId}`;

type Known = { running: number; typicalMs: number | undefined };

/**
 * Keeps one slot free of an organization whose jobs are long, or not known to be
 * short: its flood leaves one for whoever comes, and takes all where jobs are so
 * short that a newcomer need not wait for one.
 *
 * @param slots jobs at once; with one there is nothing to share.
 */
export function makeFairShare(slots: number): FairShare {
  const known = new Map<string, Known>();
  let isOpen = true;
  let looking = 0;
  let changed = Promise.withResolvers<void>();

  function tell(): void {
    changed.resolve();
    changed = Promise.withResolvers();
  }

  const isLong = ({ typicalMs }: Known) => typicalMs === undefined || typicalMs > longMs;

  /** Whether an organization nobody has met yet could take every slot. */
  function mayAllBeNew(): boolean {
    return looking >= slots - 1 && ![...known.values()].some((each) => !isLong(each));
  }

  async function whenSure(): Promise<string[]> {
    for (;;) {
      const long = [...known].filter(([, each]) => each.running > 0 && isLong(each));
      const full = long.filter(([, { running }]) => running >= slots - 1);
      const isSure =
        !isOpen ||
        looking === 0 ||
        (!mayAllBeNew() &&
          long.every((each) => full.includes(each) || each[1].running + looking < slots - 1));
      if (isSure) {
        looking += 1;
        return full.map(([orgId]) => flagOf(orgId));
      }
      // What the other slots find decides.
      await changed.promise;
    }
  }

  return {
    forbiddenFlags() {
      if (slots < 2) return null;
      return whenSure();
    },
    looked() {
      looking = Math.max(0, looking - 1);
      tell();
    },
    started(orgId) {
      if (orgId === null) return;
      const org = known.get(orgId);
      if (org) org.running += 1;
      else known.set(orgId, { running: 1, typicalMs: undefined });
    },
    ended(orgId, durationMs) {
      const org = orgId === null ? undefined : known.get(orgId);
      if (org) {
        org.running -= 1;
        org.typicalMs = (org.typicalMs ?? durationMs) * (1 - weight) + durationMs * weight;
      }
      if (known.size > maxKnown) {
        for (const [id, { running }] of known) if (running === 0) known.delete(id);
      }
      tell();
    },
    close() {
      isOpen = false;
      tell();
    },
  };
}
