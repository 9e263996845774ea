import pg from 'pg';
import { RowhouseError } from '../platform/errors/registry.ts';
import { GuardedSocket } from './GuardedSocket.ts';
import type { PoolObserver } from './poolMetrics.ts';
import type { Limits } from './scope/settings.ts';

/** How a pool of connections to Postgres behaves. */
export type PoolOptions = {
  connectionString: string;
  /** The most connections it opens. */
  size: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** Postgres cancels a statement that runs longer. Without it statements have no limit. */
  statementTimeoutMs?: number;
  /**
   * A server that has not answered by then counts as gone, and the connection with
   * it; five seconds more than Postgres takes to cancel a statement, by default.
   */
  answerTimeoutMs?: number;
  /**
   * Whether a connection is a session of its own: then the limits are its settings from
   * the start. A pooler refuses them, so there they have to travel with the statements.
   */
  hasSessions?: boolean;
  /** A connection broke. The pool has dropped it and goes on. */
  onConnectionError: (error: Error) => void;
  /** Told what the pool does. */
  observer?: PoolObserver;
};

/** How long a caller waits for a free connection before it is told UNAVAILABLE. */
const waitMs = 2_000;
/** After how long without a word a connection is probed: it may listen for hours. */
const keepAliveMs = 30_000;

/**
 * Opens a pool. Connections are made when first needed.
 *
 * `connect` throws RowhouseError `UNAVAILABLE` when Postgres cannot be reached,
 * or no connection is free within two seconds; so does `query`, also when the
 * connection breaks meanwhile.
 */
export function openPool(options: PoolOptions): pg.Pool {
  const { statementTimeoutMs, answerTimeoutMs, hasSessions = true, observer } = options;
  const config: pg.PoolConfig = {
    connectionString: options.connectionString,
    max: options.size,
    application_name: options.applicationName,
    connectionTimeoutMillis: waitMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    stream: () => new GuardedSocket(),
    Client: clientOf(observer),
    ...(hasSessions && sessionSettings(statementTimeoutMs)),
    ...(statementTimeoutMs !== undefined && {
      query_timeout: answerTimeoutMs ?? statementTimeoutMs + 5_000,
    }),
  };
  const pool = new BoundedPool(config, observer);
  // An error that nobody hears ends the process. The pool passes on what its idle clients have said.
  pool.on('connect', (client) => client.on('error', options.onConnectionError));
  pool.on('error', () => {});
  return pool;
}

/** What bounds the statements of a session, which run at most so long. */
export function limitsOf(statementTimeoutMs: number): Limits {
  return {
    statement_timeout: String(statementTimeoutMs),
    // A connection that forgot its transaction is worse than one that is gone.
    idle_in_transaction_session_timeout: String(statementTimeoutMs * 2),
    // Statements here are too short for it to pay, and misjudged ones wait for it for seconds.
    jit: 'off',
  };
}

function sessionSettings(statementTimeoutMs: number | undefined): pg.PoolConfig {
  const { jit, statement_timeout, idle_in_transaction_session_timeout } = limitsOf(
    statementTimeoutMs ?? 0,
  );
  return {
    options: `-c jit=${jit}`,
    ...(statementTimeoutMs !== undefined && {
      statement_timeout: Number(statement_timeout),
      idle_in_transaction_session_timeout: Number(idle_in_transaction_session_timeout),
    }),
  };
}

class BoundedPool extends pg.Pool {
  readonly #observer: PoolObserver | undefined;

  constructor(config: pg.PoolConfig, observer: PoolObserver | undefined) {
    super(config);
    this.#observer = observer;
    if (observer) observeUse(this, observer);
  }

  override query(...args: never[]): never {
    const result: unknown = Reflect.apply(super.query, this, args);
    if (!(result instanceof Promise)) return result as never;
    return result.catch((error: unknown) => {
      // What Postgres did not say itself is that the connection broke, or the wait was too long.
      const isKnown = error instanceof pg.DatabaseError || error instanceof RowhouseError;
      throw isKnown ? error : unavailable(error);
    }) as never;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: ConnectCallback): undefined;
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    const startedMs = performance.now();
    const connected = () => this.#observer?.waited(performance.now() - startedMs);
    const failed = (cause: unknown) => {
      // Timers may be early by a part of a millisecond.
      if (performance.now() - startedMs >= waitMs - 1) this.#observer?.timedOut();
      return unavailable(cause);
    };
    if (callback) {
      // So comes `query`.
      super.connect((error, ...rest) => {
        if (!error) connected();
        callback(error && failed(error), ...rest);
      });
      return undefined;
    }
    return super.connect().then(
      (client) => {
        connected();
        return client;
      },
      (cause: unknown) => {
        throw failed(cause);
      },
    );
  }
}

function observeUse(pool: pg.Pool, observer: PoolObserver): void {
  const sinceMs = new WeakMap<pg.PoolClient, number>();
  pool.on('acquire', (client) => sinceMs.set(client, performance.now()));
  pool.on('release', (_, client) => {
    observer.used(performance.now() - (sinceMs.get(client) ?? performance.now()));
  });
  observer.opened(pool);
}

/**
 * A client that tells how long it took to connect, which a pool has it do at once; and that leaves
 * no socket behind where it fails. The pool forgets it then, and a back-end that has let it in, or
 * waits for a word, would be there for as long as the process.
 */
function clientOf(observer: PoolObserver | undefined): typeof pg.Client {
  return class PooledClient extends pg.Client {
    override connect(): Promise<pg.Client>;
    override connect(callback: Connected): void;
    override connect(callback?: Connected): Promise<pg.Client> | undefined {
      // Pools give one.
      if (!callback) return super.connect();
      const startedMs = performance.now();
      super.connect((error: Error | null) => {
        if (error) this.connection.stream.destroy();
        else observer?.created(performance.now() - startedMs);
        (callback as (error: Error | null) => void)(error);
      });
      return undefined;
    }
  };
}

function unavailable(cause: unknown): RowhouseError {
  return new RowhouseError('UNAVAILABLE', { cause });
}

/** The types tell failure and success apart, of which one call is both. */
type Connected = ((error: Error) => void) | ((error: null, client: pg.Client) => void);
type ConnectCallback = Parameters<pg.Pool['connect']>[0];
