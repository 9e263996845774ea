import { DatabaseError, type Pool, type QueryResultRow } from 'pg';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { makeWithPgClient } from './makeWithPgClient.ts';
import type { Limits } from './settings.ts';

/** What asks Postgres as the login itself, which can read no table. */
export type Login = {
  /**
   * Sends one statement, a transaction of its own, bounded like those of callers.
   *
   * @throws RowhouseError `UNAVAILABLE` where it writes and the database is read-only.
   */
  query<Row extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ rows: readonly Row[] }>;
};

/**
 * Makes a way to ask as the login: for provisioning, and for what a process checks
 * of its database.
 *
 * @param limits where the sessions of the pool do not have them.
 */
export function asLogin(pool: Pool, limits?: Limits): Login {
  const withPgClient = makeWithPgClient(pool, false, limits);
  return {
    async query(text, values = []) {
      try {
        return await withPgClient(null, (client) => client.query({ text, values: [...values] }));
      } catch (error) {
        throw isReadOnly(error) ? new RowhouseError('UNAVAILABLE', { cause: error }) : error;
      }
    },
  };
}

/** Of a caller's statement it would mean a query that writes; the login makes no transaction read-only. */
function isReadOnly(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '25006';
}
