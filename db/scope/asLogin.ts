import type { Pool, QueryResultRow } from 'pg';
import { makeWithPgClient } from './makeWithPgClient.ts';
import type { Limits } from './settings.ts';

/** What asks Postgres as the login itself, which can read no table. */
export type Login = {
  /** Sends one statement, a transaction of its own, bounded like those of callers. */
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
    query: (text, values = []) =>
      withPgClient(null, (client) => client.query({ text, values: [...values] })),
  };
}
