import type { Meter } from '@opentelemetry/api';
import type { Pool } from 'pg';

/** What hears of a pool's life. */
export type PoolObserver = {
  opened(pool: Pool): void;
  /** A connection was made, in so long. */
  created(durationMs: number): void;
  /** A caller has got a connection, after so long. */
  waited(durationMs: number): void;
  /** A caller has given up waiting. */
  timedOut(): void;
  /** A connection was given back, after so long. */
  used(durationMs: number): void;
};

/** Seconds: from a connection that is there to the longest wait, and to the longest statement. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10];

/**
 * Makes the metrics of one pool, named after OpenTelemetry's semantic conventions for
 * pools of database clients. Counts are read from the pool when somebody asks for them.
 *
 * @param name tells this pool from others of the process.
 */
export function makePoolMetrics(meter: Meter, name: string): PoolObserver {
  const own = { 'db.client.connection.pool.name': name };
  const idle = { ...own, 'db.client.connection.state': 'idle' };
  const used = { ...own, 'db.client.connection.state': 'used' };
  const time = (what: string, description: string) =>
    meter.createHistogram(`db.client.connection.${what}`, {
      description,
      unit: 's',
      advice: { explicitBucketBoundaries: buckets },
    });
  const createTime = time('create_time', 'The time it took to create a new connection.');
  const waitTime = time('wait_time', 'The time it took to get an open connection from the pool.');
  const useTime = time('use_time', 'The time from taking a connection to giving it back.');
  const timeouts = meter.createCounter('db.client.connection.timeouts', {
    description: 'Callers that waited for a connection in vain.',
    unit: '{timeout}',
  });
  timeouts.add(0, own);

  return {
    opened: (pool) => observeCounts(meter, pool, { own, idle, used }),
    created: (durationMs) => createTime.record(durationMs / 1000, own),
    waited: (durationMs) => waitTime.record(durationMs / 1000, own),
    timedOut: () => timeouts.add(1, own),
    used: (durationMs) => useTime.record(durationMs / 1000, own),
  };
}

type Labels = Record<'own' | 'idle' | 'used', Record<string, string>>;

function observeCounts(meter: Meter, pool: Pool, { own, idle, used }: Labels): void {
  const gauge = (what: string, description: string, unit: string) =>
    meter.createObservableUpDownCounter(`db.client.connection.${what}`, { description, unit });
  const count = gauge('count', 'Connections of the pool, by state.', '{connection}');
  const max = gauge('max', 'The most connections the pool opens.', '{connection}');
  const pending = gauge('pending_requests', 'Callers waiting for a connection.', '{request}');
  meter.addBatchObservableCallback(
    (result) => {
      result.observe(count, pool.idleCount, idle);
      result.observe(count, pool.totalCount - pool.idleCount, used);
      result.observe(max, pool.options.max, own);
      result.observe(pending, pool.waitingCount, own);
    },
    [count, max, pending],
  );
}
