import type { Pool, PoolClient } from 'pg';
import { BatchQuery } from '../../db/scope/BatchQuery.ts';

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

const bookkeeping =
  /^\s*(begin|commit|rollback|savepoint|release)\b|set_config\(|^\s*set jit|as is_clean;/i;

/** Makes a recording pool in front of another. */
export function makeRecordingPool(first: Pool): RecordingPool {
  let current = first;
  let statements: Statement[] = [];

  function record(client: PoolClient): PoolClient {
    const { query } = client;
    const release = client.release.bind(client);
    client.query = ((...args: unknown[]) => {
      statements.push(...sent(args).filter(({ text }) => !bookkeeping.test(text)));
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

/** The statements of a call of `client.query`: a text, a config, or a batch of them. */
function sent([query, values]: unknown[]): Statement[] {
  if (typeof query === 'string') return [{ text: query, values: (values as unknown[]) ?? [] }];
  const { text, values: given = [] } = query as { text: string; values?: unknown[] };
  return query instanceof BatchQuery ? [...query.statements] : [{ text, values: given }];
}
