import { DatabaseError, type Pool, type PoolClient } from 'pg';
import type { PgClient, PgClientQuery, WithPgClient } from 'postgraphile/@dataplan/pg';
import { isRetryableSqlState, RowhouseError } from '../../platform/errors/registry.ts';
import type { Statement } from './BatchQuery.ts';
import {
  hasOutlived,
  openConnection,
  type RunResult,
  type ScopeConnection,
} from './openConnection.ts';
import {
  isReadOnly,
  ScopeError,
  type ScopeSettings,
  scopeSignal,
  settingsStatement,
} from './settings.ts';

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
 * With null for settings it runs as the login, which can read nothing: for introspection.
 *
 * @param usePrepared false behind a pooler that gives each transaction another connection.
 */
export function makeWithPgClient(pool: Pool, usePrepared = true): WithPgClient<ScopedClient> {
  return async (pgSettings: ScopeSettings | null, callback) => {
    if (pgSettings === undefined) throw new ScopeError('A scope needs settings.');
    const signal = pgSettings?.[scopeSignal];
    const connect = () => openConnection(pool, signal);
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
      query: (query) => single(connect, [...scope, statement(query)], query.arrayMode, isRead),
      withTransaction: (work) => transaction(connect, scope, statement, work),
    };
    return callback(client);
  };
}

/** One batch on a connection of its own, sent again where that cannot do a thing twice. */
async function single<Result>(
  connect: () => Promise<ScopeConnection>,
  batch: readonly Statement[],
  arrayMode: boolean | undefined,
  isRead: boolean,
): Promise<Result> {
  for (let triesLeft = maxTries - 1; ; triesLeft--) {
    const connection = await connect();
    try {
      const result = await connection.run(batch, arrayMode);
      connection.release('ok');
      return result as Result;
    } catch (error) {
      const isLost = connection.isLost();
      connection.release('failed');
      // What lost against another has done nothing; a read may be done twice.
      const mayRepeat = isRetryable(error) || (isLost && isRead && !isTimeout(error));
      if (triesLeft === 0 || !mayRepeat) throw isLost ? unavailable(error) : error;
    }
  }
}

async function transaction<Result>(
  connect: () => Promise<ScopeConnection>,
  scope: readonly Statement[],
  statement: (query: PgClientQuery) => Statement,
  work: (client: ScopedClient) => Promise<Result>,
): Promise<Result> {
  const connection = await connect();
  const opening = [{ text: 'begin' }, ...scope];
  let state = 'new' as 'new' | 'open' | 'ended';
  const send: Send = async (next, arrayMode) => {
    // The connection may be another caller's by now.
    if (state === 'ended') throw new Error('The transaction has ended.');
    const result = connection.run(state === 'new' ? [...opening, ...next] : next, arrayMode);
    // Not before: what could not be sent has opened nothing.
    state = 'open';
    return result;
  };
  const end = (text: 'commit' | 'rollback') => {
    const ended = send([{ text }]);
    state = 'ended';
    return ended;
  };

  const clientAt = (level: number): ScopedClient => {
    // Whatever comes while a nested transaction is open waits: its savepoint would take it along.
    let nested: Promise<unknown> | undefined;
    return {
      get rawClient() {
        if (state === 'ended') throw new Error('The transaction has ended.');
        // Queued ahead of whatever the caller sends. Its failure shows in that.
        if (state === 'new') send([]).catch(noop);
        return connection.raw;
      },
      async query(query) {
        if (nested) await nested;
        return send([statement(query)], query.arrayMode) as never;
      },
      withTransaction(inner) {
        const result = (nested ?? Promise.resolve()).then(() =>
          savepoint(send, `s${level}`, () => inner(clientAt(level + 1))),
        );
        const settled = result.then(noop, noop).then(() => {
          if (nested === settled) nested = undefined;
        });
        nested = settled;
        return result;
      },
    };
  };

  try {
    const result = await work(clientAt(1));
    if (state === 'open') assertCommitted(await end('commit'));
    connection.release('ok');
    return result;
  } catch (error) {
    const isLost = connection.isLost();
    if (state === 'open' && !isLost) await end('rollback').catch(noop);
    connection.release('failed');
    throw isLost ? unavailable(error) : error;
  } finally {
    state = 'ended';
  }
}

/** Sends the next statements of a transaction. */
type Send = (statements: readonly Statement[], arrayMode?: boolean) => Promise<RunResult>;

const noop = () => {};

function assertCommitted({ command }: RunResult): void {
  if (command === 'COMMIT') return;
  // Postgres answers the commit of a failed transaction with a rollback, not with an error.
  throw new RowhouseError('INTERNAL', {
    cause: new Error('A statement of the transaction failed and its error was swallowed.'),
  });
}

async function savepoint<Result>(
  send: Send,
  name: string,
  work: () => Promise<Result>,
): Promise<Result> {
  await send([{ text: `savepoint ${name}` }]);
  try {
    const result = await work();
    await send([{ text: `release savepoint ${name}` }]);
    return result;
  } catch (error) {
    // Where this fails too the transaction stays failed, and cannot be committed.
    await send([{ text: `rollback to savepoint ${name}` }]).catch(noop);
    throw error;
  }
}

/** Whether the server did nothing at all, and would perhaps do it now. */
function isRetryable(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false;
  return isRetryableSqlState(error.code ?? '') || hasOutlived(error);
}

function isTimeout(error: unknown): boolean {
  return error instanceof RowhouseError && error.code === 'TIMEOUT';
}

function unavailable(cause: unknown): RowhouseError {
  return cause instanceof RowhouseError ? cause : new RowhouseError('UNAVAILABLE', { cause });
}
