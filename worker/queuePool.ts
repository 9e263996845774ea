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
  const held = new Map<string, 'running' | 'settled'>();
  let isTaking = true;

  async function end(statement: QueryConfig): Promise<QueryResult> {
    const ids = idsOf(statement);
    const isSettled = ids.every((id) => held.get(id) !== 'running');
    if (!isSettled) {
      await keepTrying(
        async () => {
          await pool.query(statement).catch((error: unknown) => {
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
    take: ({ id }) => void held.set(id, 'running'),
    settle: ({ id }) => void held.set(id, 'settled'),
    stopTaking() {
      isTaking = false;
    },
    held: () => [...held].filter(([, state]) => state === 'running').map(([id]) => id),
  };
}

const takeName = /^get_job/;

function isTake({ name }: QueryConfig): boolean {
  return name !== undefined && takeName.test(name);
}

function nothing(): QueryResult {
  return { command: '', rowCount: 0, oid: 0, fields: [], rows: [] };
}

const endName = /^(complete|fail)_job(_q)?\//;

function isEnd({ name }: QueryConfig): boolean {
  return name !== undefined && endName.test(name);
}

/** The jobs of a statement: one id, a list of ids, or the specs of failed jobs as JSON. */
function idsOf({ values = [] }: QueryConfig): string[] {
  const [first, second] = values;
  if (typeof second === 'string' && second.startsWith('[')) {
    return (JSON.parse(second) as { jobId: string }[]).map(({ jobId }) => String(jobId));
  }
  return Array.isArray(first) ? first.map(String) : [String(first)];
}
