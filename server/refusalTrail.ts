import type { Claims } from '../db/claims.ts';
import type { Login } from '../db/scope/asLogin.ts';
import type { ErrorCode } from '../platform/errors/registry.ts';

/** A mutation, or a whole request, that was refused. */
export type Refusal = {
  caller: Pick<Claims, 'userId' | 'orgId' | 'actorId'>;
  /** The field of the mutation: `updateDocument`; `request` where nobody looked what was asked. */
  operation: string;
  /** What it was about, or referred to, where the caller named it. */
  row: { table: string; rowId: string } | null;
  code: ErrorCode;
  requestId: string;
  /** '' without one. */
  traceId: string;
};

/** Writes refusals into the audit trail, behind the answers. */
export type RefusalTrail = {
  /** Never throws, never waits. */
  record(refusal: Refusal): void;
  /** Waits until what was recorded is written, for a while. */
  flush(): Promise<void>;
};

/** Of one user in one organization: so many at once, and then one in so long. */
const burst = 20;
const refillMs = 5_000;
/** Users that are counted; the one seen first is forgotten for another. */
const maxUsers = 10_000;
/** Refusals that wait to be written; they are small. */
const maxWaiting = 1_000;
const flushWithinMs = 2_000;

/**
 * Makes the trail of refusals. Each is written in a transaction of its own, one at a
 * time, so that whoever is refused a thousand times a second takes one connection at
 * most. What is over a user's measure is left out, and counted in the next event of
 * that user.
 *
 * @param onFailure told of a refusal that could not be written.
 */
export function makeRefusalTrail(
  login: Login,
  onFailure: (error: unknown, refusal: Refusal) => void,
  nowMs: () => number = Date.now,
): RefusalTrail {
  const users = new Map<string, Measure>();
  const waiting: { refusal: Refusal; leftOut: number }[] = [];
  let writing: Promise<void> | undefined;

  return {
    record(refusal) {
      const measure = measureOf(refusal);
      if (waiting.length >= maxWaiting || !takeOne(measure, nowMs())) {
        measure.leftOut += 1;
        return;
      }
      waiting.push({ refusal, leftOut: measure.leftOut });
      measure.leftOut = 0;
      writing ??= writeAll().finally(() => {
        writing = undefined;
      });
    },
    async flush() {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, flushWithinMs);
      await Promise.race([writing, late.promise]);
      clearTimeout(timer);
    },
  };

  function measureOf({ caller: { userId, orgId } }: Refusal): Measure {
    const key = JSON.stringify([orgId, userId]);
    const measure = users.get(key) ?? { left: burst, atMs: nowMs(), leftOut: 0 };
    users.set(key, measure);
    const oldest = users.keys().next();
    if (users.size > maxUsers && !oldest.done) users.delete(oldest.value);
    return measure;
  }

  async function writeAll(): Promise<void> {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { refusal, leftOut } = next;
      const { caller, row } = refusal;
      try {
        await login.query(recordSql, [
          caller.userId,
          caller.actorId,
          caller.orgId,
          refusal.operation,
          row?.table ?? null,
          row?.rowId ?? null,
          refusal.code,
          refusal.requestId,
          refusal.traceId || null,
          leftOut,
        ]);
      } catch (error) {
        onFailure(error, refusal);
      }
    }
  }
}

/** What a user may still have written, and how many were left out. */
type Measure = { left: number; atMs: number; leftOut: number };

function takeOne(measure: Measure, nowMs: number): boolean {
  measure.left = Math.min(burst, measure.left + (nowMs - measure.atMs) / refillMs);
  measure.atMs = nowMs;
  if (measure.left < 1) return false;
  measure.left -= 1;
  return true;
}

const recordSql = 'select app_private.audit_refusal($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)';
