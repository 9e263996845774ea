import type { DatabaseState } from '../../db/databaseState.ts';
import { sendJson } from '../../platform/http/sendJson.ts';
import type { Stage } from './stages.ts';

/** The state of one thing the process depends on. */
type Check = { ok: boolean; detail?: string };
/** Looks at one dependency; a rejection counts as not ok. */
export type Checks = Record<string, () => Promise<Check> | Check>;

/** How long readiness waits for one check. */
export const checkTimeoutMs = 2_000;

/** How long an answer counts. Whoever asks more often costs the database nothing. */
const freshMs = 1_000;

/** A check that asks once for all who want to know within a second. */
export function remembered(check: () => Promise<Check>): () => Promise<Check> {
  let last: { result: Promise<Check>; atMs: number } | undefined;
  return () => {
    if (!last || performance.now() - last.atMs > freshMs) {
      // Whoever comes late waits no longer, and for the same.
      last = { result: run(check), atMs: performance.now() };
    }
    return last.result;
  };
}

/** The check of a database that has to be at a migration. It may be read-only: most requests only read. */
export function checkDatabase(
  look: () => Promise<DatabaseState>,
  expected: number,
): () => Promise<Check> {
  return async () => {
    const { migration, isReadOnly, isStandby } = await look();
    const remarks = isStandby ? ', read-only: a standby' : isReadOnly ? ', read-only' : '';
    return { ok: migration >= expected, detail: `migration ${migration} of ${expected}${remarks}` };
  };
}

/** Liveness: the process answers. Touches nothing else. */
export const healthz: Stage = (_request, response) => {
  sendJson(response, 200, { status: 'ok' });
};

/**
 * Readiness: whether new requests should come here. 503 while a dependency is
 * not ready, or the process is draining.
 */
export function readyz(checks: Checks, isDraining: () => boolean): Stage {
  return async (_request, response) => {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await run(check)] as const),
    );
    const ready = !isDraining() && results.every(([, { ok }]) => ok);
    const status = ready ? 'ready' : isDraining() ? 'draining' : 'not ready';
    response.setHeader('Cache-Control', 'no-store');
    sendJson(response, ready ? 200 : 503, { status, checks: Object.fromEntries(results) });
  };
}

async function run(check: () => Promise<Check> | Check): Promise<Check> {
  const timeout = new Promise<Check>((resolve) => {
    setTimeout(() => resolve({ ok: false, detail: 'no answer' }), checkTimeoutMs).unref();
  });
  try {
    return await Promise.race([check(), timeout]);
  } catch {
    // The cause is in the log: this page is open to everyone.
    return { ok: false, detail: 'failed' };
  }
}
