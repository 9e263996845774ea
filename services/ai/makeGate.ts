import { longestPauseMs } from './AiFailure.ts';

/** Who may have calls open: so many in all, so many of one organization, none of one that was told to wait. */
export type Gate = {
  /** Takes a place; undefined where there is none. What it returns gives the place back. */
  enter(orgId: string): (() => void) | undefined;
  isShut(orgId: string): boolean;
  /** How long it is kept out still, in ms; 0 where it is not, whether or not there is a place. */
  pausedMs(orgId: string): number;
  /** Keeps the organization out for a while. */
  pause(orgId: string, ms: number): void;
};

/** An organization that has calls open or has to wait. */
type Place = { open: number; pausedUntilMs: number };

/** With more organizations than this, those are forgotten that need not wait any more. */
const maxPaused = 10_000;

/** Makes a gate. Nobody waits before it: who finds no place is told at once. */
export function makeGate({
  maxCalls,
  maxCallsPerOrg,
}: {
  maxCalls: number;
  maxCallsPerOrg: number;
}): Gate {
  const places = new Map<string, Place>();
  let open = 0;

  const forget = (orgId: string, place: Place) => {
    if (place.open === 0 && place.pausedUntilMs <= Date.now()) places.delete(orgId);
  };
  const isShut = (orgId: string) => {
    if (open >= maxCalls) return true;
    const place = places.get(orgId);
    if (place === undefined) return false;
    return place.open >= maxCallsPerOrg || place.pausedUntilMs > Date.now();
  };

  return {
    isShut,
    pausedMs: (orgId) => Math.max(0, (places.get(orgId)?.pausedUntilMs ?? 0) - Date.now()),
    enter(orgId) {
      if (isShut(orgId)) return undefined;
      const place = places.get(orgId) ?? { open: 0, pausedUntilMs: 0 };
      places.set(orgId, place);
      place.open += 1;
      open += 1;
      return () => {
        place.open -= 1;
        open -= 1;
        forget(orgId, place);
      };
    },
    pause(orgId, ms) {
      const place = places.get(orgId) ?? { open: 0, pausedUntilMs: 0 };
      place.pausedUntilMs = Date.now() + Math.min(ms, longestPauseMs);
      places.set(orgId, place);
      if (places.size <= maxPaused) return;
      for (const [id, each] of places) forget(id, each);
    },
  };
}
