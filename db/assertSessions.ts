import { DatabaseError, type Pool } from 'pg';
import type { Limits } from './scope/settings.ts';

/** A pooler where connections were taken for sessions of their own. */
export class PoolerError extends Error {
  override readonly name = 'PoolerError';
}

/**
 * Makes sure that the connections of a pool are sessions of their own: what they say
 * about themselves at their start was heard, so it holds, and so would what they prepare.
 *
 * @throws PoolerError, saying what to do; other errors as they come.
 */
export async function assertSessions(pool: Pool, limits: Limits): Promise<void> {
  const { rows } = await pool
    .query<{ name: keyof Limits; setting: string }>(sql)
    .catch((error: unknown) => {
      throw isRefusal(error) ? new PoolerError(advice, { cause: error }) : error;
    });
  // One of them, since a connection string may set the other.
  if (!rows.some(({ name, setting }) => setting === limits[name])) throw new PoolerError(advice);
}

const advice =
  'A pooler answers at DATABASE_URL instead of Postgres: set DATABASE_PREPARED_STATEMENTS=false. See docs/pgbouncer.md.';

const sql = `
  select name, setting from pg_catalog.pg_settings
  where name in ('statement_timeout', 'idle_in_transaction_session_timeout')
`;

/** Postgres takes the parameters; who refuses them on the way in is not Postgres. */
function isRefusal(error: unknown): boolean {
  const { cause } = Object(error) as { cause?: unknown };
  return cause instanceof DatabaseError && cause.code === '08P01';
}
