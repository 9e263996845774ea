import { DatabaseError } from 'pg';
import { limitsOf, openPool } from './pool.ts';
import { asLogin, type Login } from './scope/asLogin.ts';

/** How a database is, as far as a process can use it. */
export type DatabaseState = {
  /** Number of its newest migration; 0 where there is none. */
  migration: number;
  /** Whether nothing can be written there now. */
  isReadOnly: boolean;
  /** Whether that is because it follows another one. */
  isStandby: boolean;
};

/** Looks at a database by a way of its own. */
export type StateProbe = {
  /** @throws where the database is away, refuses or does not answer in time. */
  look(): Promise<DatabaseState>;
  close(): Promise<void>;
};

/** What a probe is opened with. */
export type StateProbeOptions = {
  connectionString: string;
  /** How long Postgres may take to answer. */
  timeoutMs: number;
  /** False behind a pooler. */
  hasSessions: boolean;
  /** The way of requests, taken where Postgres has no connection left for another. */
  login: Login;
  onConnectionError: (error: Error) => void;
};

/**
 * Opens a probe. In the pool of requests it would wait behind slow statements, and tell of
 * these instead of the database. Its one connection is made when somebody asks and ends soon
 * after the last has.
 */
export function openStateProbe(options: StateProbeOptions): StateProbe {
  const { connectionString, timeoutMs, hasSessions, login, onConnectionError } = options;
  const pool = openPool({
    connectionString,
    size: 1,
    applicationName: 'rowhouse-api-probe',
    statementTimeoutMs: timeoutMs,
    answerTimeoutMs: timeoutMs,
    hasSessions,
    onConnectionError,
  });
  const probe = asLogin(pool, hasSessions ? undefined : limitsOf(timeoutMs));
  return {
    async look() {
      try {
        return await databaseState(probe);
      } catch (error) {
        if (isFull(error)) return databaseState(login);
        throw error;
      }
    },
    close: () => pool.end(),
  };
}

type Row = { level: string | null; is_read_only: boolean; is_standby: boolean };

async function databaseState(login: Login): Promise<DatabaseState> {
  const { rows } = await login.query<Row>(sql);
  const [{ level, is_read_only, is_standby } = none] = rows;
  return {
    migration: Number.parseInt(level ?? '0', 10),
    isReadOnly: is_read_only,
    isStandby: is_standby,
  };
}

const none: Row = { level: null, is_read_only: false, is_standby: false };

/** Whether Postgres lives, and has no connection left for this login or database. */
function isFull(error: unknown): boolean {
  const { cause } = Object(error) as { cause?: unknown };
  return cause instanceof DatabaseError && cause.code === '53300';
}

// On a standby every transaction is read-only.
const sql = `
  select app_private.migration_level() as level,
    pg_catalog.current_setting('transaction_read_only')::boolean as is_read_only,
    pg_catalog.pg_is_in_recovery() as is_standby
`;
