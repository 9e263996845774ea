import type { Pool, PoolClient } from 'pg';

/** A statement as it was sent. */
export type Statement = { text: string; values: readonly unknown[] };

/** A pool that remembers what was sent through its clients. */
export type RecordingPool = {
  /** For PostGraphile: connects to whatever `use` named last. */
  pool: Pool;
  use(pool: Pool): void;
  /** Statements since the last call, without begin, commit and settings. */
  take(): Statement[];
};

const bookkeeping = /^\s*(begin|commit|rollback|savepoint|release)\b|set_config\(|^\s*set jit/i;

/** Makes a recording pool in front of another. */
export function makeRecordingPool(first: Pool): RecordingPool {
  let current = first;
  let statements: Statement[] = [];

  function record(client: PoolClient): PoolClient {
    const { query } = client;
    const release = client.release.bind(client);
    client.query = ((...args: unknown[]) => {
      const [config, values] = args;
      const statement = typeof config === 'string' ? { text: config, values } : config;
      const { text, values: given } = statement as { text: string; values?: unknown[] };
      if (!bookkeeping.test(text)) statements.push({ text, values: given ?? [] });
      return Reflect.apply(query, client, args);
    }) as typeof client.query;
    client.release = (error) => {
      client.query = query;
      release(error);
    };
    return client;
  }

  const pool = {
    on: () => pool,
    async connect() {
      return record(await current.connect());
    },
  };
  return {
    pool: pool as unknown as Pool,
    use(next) {
      current = next;
    },
    take() {
      const taken = statements;
      statements = [];
      return taken;
    },
  };
}
