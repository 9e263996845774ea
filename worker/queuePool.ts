import type { Job } from 'graphile-worker';
import type { Pool, PoolClient, QueryConfig, QueryResult } from 'pg';
import { keepTrying } from '../platform/keepTrying.ts';
import { isAway } from './attempt.ts';

/** What this worker holds of the queue, and the pool through which graphile-worker says so. */
export type QueuePool = {
  /** In place of the pool. */
  pool: Pool;
  /** A job was taken. */
  take(job: Job): void;
  /** Its end is written already, or is not to be written: graphile-worker has nothing to say about it. */
  settle(job: Job): void;
  /** Takes no more jobs, not even for what is on its way to ask for one. */
  stopTaking(): void;
  /** Jobs whose end is not written yet. */
  held(): string[];
};

/**
 * Stands between graphile-worker and the pool where jobs end. graphile-worker
 * neither waits for what it writes then nor tries again: one lost connection would
 * be an unhandled rejection, and leave a job locked that nobody works on. Here it is
 * tried until it is written, and is left out where it has been written before.
 *
 * graphile-worker names its statements; those of an end, and those that take
 * a job, are known by their name.
 *
 * @param signal aborts when this worker's ends count no more.
 * @param onError told what Postgres refuses to write.
 */
export function makeQueuePool(
  pool: Pool,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): QueuePool {
  const held = new Set<string>();
  /** How many ends of a job that graphile-worker will still write are to be left out. */
  const settled = new Map<string, number>();
  let isTaking = true;

  async function end(statement: QueryConfig): Promise<QueryResult> {
    const ids = idsOf(statement).filter((id) => !isSettled(id));
    if (ids.length > 0) {
      const left = { ...statement, values: valuesOf(statement, ids) };
      await keepTrying(
        async () => {
          await pool.query(left).catch((error: unknown) => {
            if (isAway(error)) throw error;
            onError(error);
          });
        },
        { signal, onFailure: () => {} },
      );
    }
    for (const id of ids) held.delete(id);
    return nothing();
  }

  /** Counts, because the job may have been taken again meanwhile. */
  function isSettled(id: string): boolean {
    const count = settled.get(id) ?? 0;
    if (count > 1) settled.set(id, count - 1);
    else settled.delete(id);
    return count > 0;
  }

  /** Takes a connection only when there is something to send that needs one. */
  function lazyClient(): Pick<PoolClient, 'query' | 'release'> {
    let client: Promise<PoolClient> | undefined;
    const query = async (statement: string | QueryConfig, values?: unknown[]) => {
      if (typeof statement === 'object' && isEnd(statement)) return end(statement);
      client ??= pool.connect();
      const connected = await client;
      if (!isTaking && typeof statement === 'object' && isTake(statement)) return nothing();
      return connected.query(statement as string, values);
    };
    const release = () => {
      void client?.then(
        (opened) => opened.release(),
        () => {},
      );
    };
    return { query, release } as Pick<PoolClient, 'query' | 'release'>;
  }

  const standIn: Pool = Object.create(pool, {
    connect: {
      value: (callback?: Parameters<Pool['connect']>[0]) =>
        // With a callback it is the connection that listens.
        callback ? pool.connect(callback) : Promise.resolve(lazyClient()),
    },
    query: { value: pool.query.bind(pool) },
  });
  return {
    pool: standIn,
    take: ({ id }) => void held.add(id),
    settle({ id }) {
      held.delete(id);
      settled.set(id, (settled.get(id) ?? 0) + 1);
    },
    stopTaking() {
      isTaking = false;
    },
    held: () => [...held],
  };
}

const takeName = /^get_job/;

function isTake({ name }: QueryConfig): boolean {
  return name !== undefined && takeName.test(name);
}

function nothing(): QueryResult {
  return { command: '', rowCount: 0, oid: 0, fields: [], rows: [] };
}

const endName = /^(complete_jobs?|complete_job_q|fail_job|fail_job_q)\//;

function isEnd({ name }: QueryConfig): boolean {
  return name !== undefined && endName.test(name);
}

/** The jobs of a statement: one id, a list of ids, or the specs of failed jobs as JSON. */
function idsOf({ values = [] }: QueryConfig): string[] {
  const [first] = values;
  const specs = specsOf(values);
  if (specs) return specs.map(({ jobId }) => jobId);
  return Array.isArray(first) ? first.map(String) : [String(first)];
}

/** The values of a statement for some of its jobs. */
function valuesOf({ values = [] }: QueryConfig, ids: readonly string[]): unknown[] {
  const [first, ...rest] = values;
  const specs = specsOf(values);
  if (specs) return [first, JSON.stringify(specs.filter(({ jobId }) => ids.includes(jobId)))];
  return [Array.isArray(first) ? ids : first, ...rest];
}

function specsOf([, second]: readonly unknown[]): { jobId: string }[] | undefined {
  if (typeof second !== 'string' || !second.startsWith('[')) return undefined;
  return JSON.parse(second) as { jobId: string }[];
}
