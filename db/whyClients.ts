import { type ClientBase, DatabaseError } from 'pg';
import { type Caller, pgSettings } from './claims.ts';

/** The two ways to Postgres that an answer needs; each inside a transaction that is rolled back. */
export type WhyClients = {
  /** Reads the catalogue and rows, as far as its policies let it: the owner, or a superuser. */
  reader: WhyClient;
  /** May become app_user: the API's login. */
  caller: WhyClient;
  /** Whether a table may be locked for a moment, to see a row that nothing else shows. */
  mayLock: boolean;
};

export type WhyClient = Pick<ClientBase, 'query'>;

/** A question about something that is not there, or cannot be asked. */
export class WhyError extends Error {
  override readonly name = 'WhyError';
}

/** Puts the transaction of a connection into a caller's scope. */
export async function enter(client: WhyClient, caller: Caller): Promise<void> {
  await client.query(
    'select set_config(name, value, true) from jsonb_each_text($1) as s (name, value)',
    [JSON.stringify(pgSettings(caller, 'why'))],
  );
}

/**
 * Does something and undoes it: what it wrote, its settings and its locks. What Postgres
 * refuses is an answer, too.
 */
export async function undone<Result>(
  client: WhyClient,
  work: () => Promise<Result>,
): Promise<Result | DatabaseError> {
  await client.query('savepoint why_undone');
  try {
    return await work();
  } catch (error) {
    if (error instanceof DatabaseError) return error;
    throw error;
  } finally {
    await client.query('rollback to savepoint why_undone; release savepoint why_undone');
  }
}
