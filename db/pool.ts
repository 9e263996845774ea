import pg from 'pg';
import { RowhouseError } from '../platform/errors/registry.ts';

/** How a pool of connections to Postgres behaves. */
export type PoolOptions = {
  connectionString: string;
  /** The most connections it opens. */
  size: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** Postgres cancels a statement that runs longer. Without it statements have no limit. */
  statementTimeoutMs?: number;
  /** A connection broke. The pool has dropped it and goes on. */
  onConnectionError: (error: Error) => void;
};

/** How long a caller waits for a free connection before it is told UNAVAILABLE. */
const waitMs = 2_000;

/**
 * Opens a pool. Connections are made when first needed.
 *
 * `connect` throws RowhouseError `UNAVAILABLE` when Postgres cannot be reached,
 * or no connection is free within two seconds.
 */
export function openPool(options: PoolOptions): pg.Pool {
  const pool = new BoundedPool({
    connectionString: options.connectionString,
    max: options.size,
    application_name: options.applicationName,
    connectionTimeoutMillis: waitMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    ...(options.statementTimeoutMs !== undefined && {
      statement_timeout: options.statementTimeoutMs,
      // A connection that forgot its transaction is worse than one that is gone.
      idle_in_transaction_session_timeout: options.statementTimeoutMs * 2,
    }),
  });
  pool.on('error', options.onConnectionError);
  // While a client is in use the pool does not listen, and an error nobody hears ends the process.
  pool.on('connect', (client) => client.on('error', options.onConnectionError));
  return pool;
}

class BoundedPool extends pg.Pool {
  override connect(): Promise<pg.PoolClient>;
  override connect(callback: ConnectCallback): undefined;
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    if (callback) {
      super.connect(callback);
      return undefined;
    }
    return super.connect().catch((cause: unknown) => {
      throw new RowhouseError('UNAVAILABLE', { cause });
    });
  }
}

type ConnectCallback = Parameters<pg.Pool['connect']>[0];
