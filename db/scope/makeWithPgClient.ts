import { DatabaseError, type Pool, type PoolClient } from 'pg';
import type { PgClient, PgClientQuery, WithPgClient } from 'postgraphile/@dataplan/pg';
import { isRetryableSqlState, RowhouseError } from '../../platform/errors/registry.ts';
import type { Statement } from './BatchQuery.ts';
import { openConnection, type ScopeConnection } from './openConnection.ts';
import { isReadOnly, settingsStatement } from './settings.ts';

/** What plans speak to Postgres with: the caller's scope. */
export interface ScopedClient extends PgClient {
  /** The connection of the transaction. @throws outside a transaction, where there is none. */
  readonly rawClient: PoolClient;
}

/** How often a statement that lost against another, or a read whose connection broke, is sent. */
const maxTries = 3;

/**
 * Makes PostGraphile's `withPgClient` in the caller's scope.
 *
 * A statement outside `withTransaction` travels with the settings in one batch and
 * is a transaction of its own: committed when its result is there. Statements of a
 * transaction share a connection; begin and settings travel with the first.
 *
 * Without settings it runs as the login, which can read nothing: for introspection.
 *
 * @param usePrepared false behind a pooler that gives each transaction another connection.
 */
export function makeWithPgClient(pool: Pool, usePrepared = true): WithPgClient<ScopedClient> {
  return async (pgSettings, callback) => {
    const scope = pgSettings ? [settingsStatement(pgSettings, usePrepared)] : [];
    const isRead = isReadOnly(pgSettings);
    const statement = ({ text, values = [], name }: PgClientQuery): Statement => ({
      text,
      values,
      name: usePrepared ? name : undefined,
    });

    const client: ScopedClient = {
      get rawClient(): PoolClient {
        throw new Error('There is no connection of your own outside withTransaction.');
      },
      query: (query) => single(pool, [...scope, statement(query)], query.arrayMode, isRead),
      withTransaction: (work) => transaction(pool, scope, statement, work),
    };
    return callback(client);
  };
}

/** One batch on a connection of its own, sent again where that cannot do a thing twice. */
async function single<Result>(
  pool: Pool,
  batch: readonly Statement[],
  arrayMode: boolean | undefined,
  isRead: boolean,
): Promise<Result> {
  for (let triesLeft = maxTries - 1; ; triesLeft--) {
    const connection = await openConnection(pool);
    try {
      const result = await connection.run(batch, arrayMode);
      connection.release('ok');
      return result as Result;
    } catch (error) {
      const isLost = connection.isLostBy(error);
      connection.release(isLost ? 'lost' : 'failed');
      // What lost against another has done nothing; a read may be done twice.
      const mayRepeat = isLost ? isRead : isRetryable(error);
      if (triesLeft === 0 || !mayRepeat) throw isLost ? unavailable(error) : error;
    }
  }
}

async function transaction<Result>(
  pool: Pool,
  scope: readonly Statement[],
  statement: (query: PgClientQuery) => Statement,
  work: (client: ScopedClient) => Promise<Result>,
): Promise<Result> {
  const connection = await openConnection(pool);
  const opening = [{ text: 'begin' }, ...scope];
  let isOpen = false;
  const send = (next: readonly Statement[], arrayMode?: boolean) => {
    const batch = isOpen ? next : [...opening, ...next];
    isOpen = true;
    return connection.run(batch, arrayMode);
  };

  const clientAt = (level: number): ScopedClient => {
    let turn: Promise<unknown> = Promise.resolve();
    return {
      get rawClient() {
        // Queued ahead of whatever the caller sends. Its failure shows in that.
        if (!isOpen) send([]).catch(() => {});
        return connection.raw;
      },
      query: (query) => send([statement(query)], query.arrayMode) as never,
      withTransaction(inner) {
        // Savepoints nest: two at once would release each other's.
        const result = turn.then(() =>
          savepoint(send, `s${level}`, () => inner(clientAt(level + 1))),
        );
        turn = result.catch(() => {});
        return result;
      },
    };
  };

  let isLost = false;
  try {
    const result = await work(clientAt(1));
    if (isOpen) await commit(connection);
    return result;
  } catch (error) {
    isLost = connection.isLostBy(error) || (isOpen && !(await canRollBack(connection)));
    throw isLost ? unavailable(error) : error;
  } finally {
    connection.release(isLost ? 'lost' : 'ok');
  }
}

async function commit(connection: ScopeConnection): Promise<void> {
  const { command } = await connection.run([{ text: 'commit' }]);
  // Postgres answers the commit of a failed transaction with a rollback, not with an error.
  if (command !== 'COMMIT') {
    throw new RowhouseError('INTERNAL', {
      cause: new Error('A statement of the transaction failed and its error was swallowed.'),
    });
  }
}

async function canRollBack(connection: ScopeConnection): Promise<boolean> {
  return connection.run([{ text: 'rollback' }]).then(
    () => true,
    () => false,
  );
}

async function savepoint<Result>(
  send: (statements: readonly Statement[]) => Promise<unknown>,
  name: string,
  work: () => Promise<Result>,
): Promise<Result> {
  await send([{ text: `savepoint ${name}` }]);
  try {
    const result = await work();
    await send([{ text: `release savepoint ${name}` }]);
    return result;
  } catch (error) {
    await send([{ text: `rollback to savepoint ${name}` }]);
    throw error;
  }
}

function isRetryable(error: unknown): boolean {
  return error instanceof DatabaseError && isRetryableSqlState(error.code ?? '');
}

function unavailable(cause: unknown): RowhouseError {
  return cause instanceof RowhouseError ? cause : new RowhouseError('UNAVAILABLE', { cause });
}
