import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryResult, QueryResultRow } from 'pg';
import type { Logger } from 'pino';
import { openPool } from '../db/pool.ts';
import type { Observe } from '../platform/observer.ts';

/** What tells the database that this process lives. */
export type Heart = {
  /** Registers a worker, and returns the name under which it locks jobs. */
  register(): Promise<string>;
  /**
   * Beats until the signal aborts, or resolves to `dead` when the database says that
   * this worker is: its jobs are another's by now.
   *
   * @param held the jobs it is at.
   */
  beat(workerId: string, held: () => string[], signal: AbortSignal): Promise<'dead' | 'stopped'>;
  /** Says that a worker ends, and returns what it holds to the queue. */
  end(workerId: string): Promise<void>;
  /** Whether the last heartbeat arrived, and less time ago than makes a worker dead. */
  isBeating(): boolean;
  query<Row extends QueryResultRow>(sql: string, values?: unknown[]): Promise<QueryResult<Row>>;
  close(): Promise<void>;
};

type HeartOptions = {
  connectionString: string;
  heartbeatMs: number;
  deadAfterMs: number;
  log: Logger;
  observe: Observe;
};

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

/**
 * Opens the connections that beat. They are its own, so that no job can keep them
 * busy; but they beat from the event loop that runs the jobs: a job that blocks the
 * loop stops it, and the jobs go to others.
 */
export function openHeart({
  connectionString,
  heartbeatMs,
  deadAfterMs,
  log,
  observe,
}: HeartOptions): Heart {
  const pool = openPool({
    connectionString,
    // One beats, one looks at the queue.
    size: 2,
    applicationName: 'rowhouse-worker-heart',
    statementTimeoutMs: Math.max(1_000, Math.floor(deadAfterMs / 2)),
    onConnectionError: (error) => log.warn({ err: error }, 'a database connection broke'),
  });
  const deadAfter = `${deadAfterMs} milliseconds`;
  let lastBeatMs = Number.NEGATIVE_INFINITY;

  /** False when this worker was declared dead. */
  async function once(workerId: string, held: string[]): Promise<boolean> {
    const { rows } = await pool.query<{ is_alive: boolean }>(
      'select app_private.beat($1, $2, $3) as is_alive',
      [workerId, held, deadAfter],
    );
    if (!rows[0]?.is_alive) return false;
    lastBeatMs = performance.now();
    const swept = await pool.query<{ workers: number; jobs: number }>(
      'select workers, jobs from app_private.sweep($1, $2)',
      [workerId, deadAfter],
    );
    const [{ workers, jobs } = { workers: 0, jobs: 0 }] = swept.rows;
    if (workers > 0 || jobs > 0) observe({ type: 'jobsSwept', workers, jobs });
    return true;
  }

  return {
    async register() {
      const workerId = `worker-${randomUUID()}`;
      await pool.query('select app_private.register_worker($1, $2, $3)', [
        workerId,
        hostname(),
        version,
      ]);
      lastBeatMs = performance.now();
      return workerId;
    },
    async beat(workerId, held, signal) {
      while (!signal.aborted) {
        try {
          if (!(await once(workerId, held()))) return 'dead';
        } catch (error) {
          log.warn({ err: error }, 'no heartbeat');
        }
        await sleep(heartbeatMs, undefined, { signal }).catch(() => {});
      }
      return 'stopped';
    },
    async end(workerId) {
      // A transaction that was cut off holds its job until Postgres has noticed.
      for (let tries = 20; tries > 0; tries -= 1) {
        await pool.query('select app_private.end_worker($1)', [workerId]);
        const { rowCount } = await pool.query(
          'select from graphile_worker._private_jobs where locked_by = $1 limit 1',
          [workerId],
        );
        if (rowCount === 0) return;
        await sleep(50);
      }
    },
    isBeating: () => performance.now() - lastBeatMs < deadAfterMs,
    query: (sql, values) => pool.query(sql, values),
    close: () => pool.end(),
  };
}
