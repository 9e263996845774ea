import type { ClientBase, Pool, PoolClient } from 'pg';
import { cancelStatement } from '../db/scope/cancelStatement.ts';
import { RowhouseError } from '../platform/errors/registry.ts';

/** The part of a connection that a task gets. */
export type AttemptClient = Pick<ClientBase, 'query'>;

/** Connections of a pool that are lent for as long as an attempt lasts. */
export type Lending = {
  /**
   * @throws RowhouseError `UNAVAILABLE` when the connection breaks meanwhile.
   */
  withClient<Result>(work: (client: AttemptClient) => Promise<Result>): Promise<Result>;
  /** Work in a transaction. What the commit did is not known when the connection breaks at it. */
  inTransaction<Result>(work: (client: AttemptClient) => Promise<Result>): Promise<Result>;
  /** Cancels and destroys what is still lent. Nothing is lent any more. */
  close(): void;
};

/** @param makeOverError what borrowing fails with after it is closed. */
export function openLending(pool: Pool, makeOverError: () => Error): Lending {
  const lent = new Set<PoolClient>();
  let isClosed = false;

  async function borrow(): Promise<PoolClient> {
    if (isClosed) throw makeOverError();
    const client = await pool.connect();
    if (isClosed) {
      client.release();
      throw makeOverError();
    }
    lent.add(client);
    return client;
  }

  async function withClient<Result>(
    work: (client: AttemptClient, doubt: () => void) => Promise<Result>,
  ): Promise<Result> {
    const client = await borrow();
    let isInDoubt = false;
    let broke: Error | undefined;
    const onError = (error: Error) => {
      broke = error;
    };
    client.on('error', onError);
    try {
      return await work(client, () => {
        isInDoubt = true;
      });
    } catch (error) {
      if (isClosed) throw makeOverError();
      throw broke && !hasSqlState(error)
        ? new RowhouseError('UNAVAILABLE', { cause: broke })
        : error;
    } finally {
      client.off('error', onError);
      if (lent.delete(client)) client.release(isInDoubt || broke !== undefined);
    }
  }

  return {
    withClient,
    inTransaction: (work) =>
      withClient(async (client, doubt) => {
        await client.query('begin');
        try {
          const result = await work(client);
          await client.query('commit');
          return result;
        } catch (error) {
          await client.query('rollback').catch(doubt);
          throw error;
        }
      }),
    close() {
      isClosed = true;
      for (const client of lent) {
        lent.delete(client);
        cancelStatement(client);
        client.release(true);
      }
    },
  };
}

function hasSqlState(error: unknown): boolean {
  return error instanceof Error && 'severity' in error;
}
