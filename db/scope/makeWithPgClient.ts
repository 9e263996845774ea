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
  type Limits,
  limitsStatement,
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
 * Characters of the longest statement that is prepared. Each connection keeps a hundred texts, and its
 * back-end their plans, so longer ones would be memory that anybody can take.
 */
const longestPrepared = 10_000;

/**
 * Makes PostGraphile's `withPgClient` in the caller's scope.
 *
 * A statement outside `withTransaction` travels with the settings in one batch and
 * is a transaction of its own: committed when its result is there. Statements of a
 * transaction share a connection; begin and settings travel with the first.
 *
 * With null for settings it runs as the login, which can read nothing: for introspection.
 *
 * Five things it does otherwise than PostGraphile's own adaptor. Outside
 * `withTransaction` each statement stands alone, and there is no `rawClient`. A
 * transaction whose failed statement was swallowed fails. A text holds one
 * statement. Settings are those of the scope, and never none by mistake. A
 * transaction that has ended takes no more.
 *
 * @param usePrepared false behind a pooler that gives each transaction another connection.
 * @param limits there, what a session of our own would have from its start.
 */
export function makeWithPgClient(
  pool: Pool,
  usePrepared = true,
  limits?: Limits,
): WithPgClient<ScopedClient> {
  const ofLogin = limits ? [limitsStatement(limits)] : [];
  return async (pgSettings: ScopeSettings | null, callback) => {
    if (pgSettings === undefined) throw new ScopeError('A scope needs settings.');
    const signal = pgSettings?.[scopeSignal];
    const connect = () => openConnection(pool, signal);
    const scope = pgSettings ? [settingsStatement(pgSettings, usePrepared, limits)] : ofLogin;
    const isRead = isReadOnly(pgSettings);
    const statement = ({ text, values = [], name }: PgClientQuery): Statement => ({
      text,
      values,
      name: usePrepared && text.length <= longestPrepared ? name : undefined,
    });

    const client = new Client({
      raw() {
        throw new Error('There is no connection of your own outside withTransaction.');
      },
      query: (query) => single(connect, [...scope, statement(query)], query.arrayMode, isRead),
      withTransaction: (work) => transaction(connect, scope, statement, work, isRead),
    });
    return callback(client);
  };
}

/** The parts of a client. */
type ClientParts = Pick<ScopedClient, 'query' | 'withTransaction'> & { raw(): PoolClient };

/**
 * A class for its getter alone: V8 keeps the getter of an object literal in the old
 * generation, and with it all that the request holds on to, until the next full collection.
 */
class Client {
  readonly query: ScopedClient['query'];
  readonly withTransaction: ScopedClient['withTransaction'];
  readonly #raw: () => PoolClient;

  constructor({ raw, query, withTransaction }: ClientParts) {
    this.#raw = raw;
    this.query = query;
    this.withTransaction = withTransaction;
  }

  get rawClient(): PoolClient {
    return this.#raw();
  }
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
      connection.release('doubtful');
      // What lost against another has done nothing; a read may be done twice.
      const mayReadAgain = isLost && isRead && !isTimeout(error) && !isRefusal(error);
      const mayRepeat = isRetryable(error) || mayReadAgain;
      if (triesLeft === 0 || !mayRepeat)
        throw isLost ? lost(error, isRead, !isRead && !hasOutlived(error)) : error;
    }
  }
}

async function transaction<Result>(
  connect: () => Promise<ScopeConnection>,
  scope: readonly Statement[],
  statement: (query: PgClientQuery) => Statement,
  work: (client: ScopedClient) => Promise<Result>,
  isRead: boolean,
): Promise<Result> {
  const connection = await connect();
  const opening = [{ text: 'begin' }, ...scope];
  const turns = makeTurns();
  let isOpen = false;
  let hasEnded = false;
  let isEnding = false;
  let isInOtherHands = false;
  const send: Send = async (next, arrayMode) => {
    // The connection may be another caller's by now.
    if (hasEnded) throw new Error('The transaction has ended.');
    return turns.take(async () => {
      // By a rollback or commit that did not come from here: the settings have ended with it.
      if (isOpen && connection.raw.getTransactionStatus() === 'I') throw new LeftError();
      if (isOpen) return connection.run(next, arrayMode);
      const first = [...opening, ...next];
      const result = connection.run(first, arrayMode);
      // Not before: what could not be sent has opened nothing.
      isOpen = true;
      // Nobody has seen anything of the transaction yet, so it can begin again unnoticed.
      const mayRepeat = (error: unknown) => hasLost(error) && !isInOtherHands;
      const repeat = () => connection.run([{ text: 'rollback' }, ...first], arrayMode);
      return again(result, mayRepeat, repeat);
    });
  };
  const end = (text: 'commit' | 'rollback') => {
    const ended = send([{ text }]);
    hasEnded = true;
    return ended;
  };

  const clientAt = (level: number, nested = makeTurns()): ScopedClient =>
    new Client({
      raw() {
        if (hasEnded) throw new Error('The transaction has ended.');
        isInOtherHands = true;
        // Sent ahead of whatever the caller sends. Its failure shows in that.
        if (!isOpen) send([]).catch(noop);
        return connection.raw;
      },
      query(query) {
        const work = () => send([statement(query)], query.arrayMode) as never;
        // The savepoint of a nested transaction would take along what is sent beside it.
        return nested.isTaken() ? nested.take(work) : work();
      },
      withTransaction: (inner) =>
        nested.take(() => savepoint(send, `s${level}`, () => inner(clientAt(level + 1)))),
    });

  const outermost = makeTurns();
  try {
    const result = await work(clientAt(1, outermost));
    // A nested one that nobody waited for is not to be committed by half.
    if (outermost.isTaken()) await outermost.take(async () => {});
    if (isOpen) {
      isEnding = !connection.isLost();
      assertCommitted(await end('commit'));
    }
    connection.release(isInOtherHands ? 'doubtful' : 'ok');
    return result;
  } catch (error) {
    const isLost = connection.isLost();
    if (isOpen && !hasEnded && !isLost) await end('rollback').catch(noop);
    connection.release('doubtful');
    throw isLost ? lost(error, isRead, !isRead && isEnding) : error;
  } finally {
    hasEnded = true;
  }
}

/** The transaction was ended by a statement within it, and the rest of it would run as the login. */
class LeftError extends Error {
  override readonly name = 'LeftError';
  override readonly message = 'The transaction was ended from within.';
}

/** Sends the next statements of a transaction. */
type Send = (statements: readonly Statement[], arrayMode?: boolean) => Promise<RunResult>;

const noop = () => {};

/** A queue: work is done at once, or as soon as all is done that came before it. */
function makeTurns() {
  let last: Promise<unknown> | undefined;
  return {
    isTaken: () => last !== undefined,
    take<Result>(work: () => Promise<Result>): Promise<Result> {
      const result = last ? last.then(work) : work();
      const done = result.then(noop, noop).then(() => {
        if (last === done) last = undefined;
      });
      last = done;
      return result;
    },
  };
}

/** The result, or that of doing it again where that may help. */
async function again<Result>(
  result: Promise<Result>,
  mayRepeat: (error: unknown) => boolean,
  repeat: () => Promise<Result>,
): Promise<Result> {
  for (let triesLeft = maxTries - 1; ; triesLeft--) {
    try {
      return await result;
    } catch (error) {
      if (triesLeft === 0 || !mayRepeat(error)) throw error;
      result = repeat();
    }
  }
}

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
  return hasLost(error) || hasOutlived(error);
}

/** Whether another transaction came first. */
function hasLost(error: unknown): boolean {
  return error instanceof DatabaseError && isRetryableSqlState(error.code ?? '');
}

function isTimeout(error: unknown): boolean {
  return error instanceof RowhouseError && error.code === 'TIMEOUT';
}

/**
 * Whether a pooler had no connection for it in time. Sent again, it would wait as long again. With the
 * same code it tells of a server that broke; there is nothing but the text to tell them apart.
 */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof DatabaseError) || error.code !== '08P01') return false;
  return !/^server conn/.test(error.message);
}

/** What is told where nobody knows what the server did. A timeout would say that it did nothing. */
function lost(cause: unknown, isRead: boolean, mayBeDone: boolean): unknown {
  return isRead && isTimeout(cause)
    ? cause
    : new RowhouseError('UNAVAILABLE', { cause, mayBeDone });
}
