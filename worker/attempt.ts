import type { Job } from 'graphile-worker';
import pg, { type Pool } from 'pg';
import {
  codeForSqlState,
  isRetryableSqlState,
  RowhouseError,
} from '../platform/errors/registry.ts';
import { keepTrying } from '../platform/keepTrying.ts';
import { type AttemptClient, openLending } from './lending.ts';

/** This attempt is over: it took too long, the process stops, or the job is another worker's. */
export class AttemptOverError extends Error {
  override readonly name = 'AttemptOverError';
}

/** One attempt at a job, from its start to its end in the queue. */
export type Attempt = {
  /** As Postgres reads it: job, revision, number. */
  id: string;
  /** Whether its job has been completed, together with what it wrote. */
  isCompleted(): boolean;
  withClient<Result>(work: (client: AttemptClient) => Promise<Result>): Promise<Result>;
  complete<Result>(work: (client: AttemptClient) => Promise<Result>): Promise<Result>;
  /** Writes that it failed. @throws AttemptOverError when the job is another worker's by now. */
  fail(failure: Failure): Promise<void>;
  /** Puts the job back as if it had not been tried; false, and nothing done, where it is too old. @throws AttemptOverError as `fail` does. */
  postpone(pauseMs: number): Promise<boolean>;
  /** Lends no more connections, and destroys those that are still lent. How it ended can still be written. */
  close(): void;
};

/** How an attempt failed. */
export type Failure = {
  code: string;
  /** For operators. */
  message: string;
  /** Whether to try it never again. */
  isFinal: boolean;
};

/** So says `app_private.enter_attempt` of an attempt that is no longer this worker's. */
const over = { code: 'RW409', constraint: 'attempt_is_held' };

/**
 * Opens an attempt at a job. Its endings are tried again while the database is away,
 * which is safe: each holds the attempt first, so none can happen twice.
 *
 * @param signal aborts when nobody waits for it any more.
 */
export function openAttempt(pool: Pool, job: Job, signal: AbortSignal): Attempt {
  const id = `(${job.id},${job.revision},${job.attempts})`;
  const lending = openLending(pool, () => new AttemptOverError('The attempt is over.'));
  let isCompleted = false;

  return {
    id,
    isCompleted: () => isCompleted,
    withClient: lending.withClient,
    async complete(work) {
      /** What the transaction gave whose commit was the last to be sent. */
      let sent: { result: Awaited<ReturnType<typeof work>> } | undefined;
      const { result } = await whileAway(signal, async () => {
        try {
          return await lending.inTransaction(async (client) => {
            const outcome = { result: await work(client) };
            await client.query('select app_private.complete_attempt($1)', [id]);
            sent = outcome;
            return outcome;
          });
        } catch (error) {
          // It was there already: the answer to the commit was lost.
          if (isOver(error) && sent && (await isGone(pool, job.id))) return sent;
          throw error;
        }
      });
      isCompleted = true;
      return result;
    },
    async fail({ code, message, isFinal }) {
      const values = [id, code, message, isFinal];
      await whileAway(signal, () =>
        pool.query('select app_private.fail_attempt($1, $2, $3, $4)', values),
      );
    },
    async postpone(pauseMs) {
      const { rows } = await whileAway(signal, () =>
        pool.query<{ is_postponed: boolean }>(
          'select app_private.postpone_attempt($1, $2) as is_postponed',
          [id, Math.ceil(pauseMs)],
        ),
      );
      return rows[0]?.is_postponed === true;
    },
    close: lending.close,
  };
}

/** Whether the database was away, or a transaction lost against another: the same again may work. */
export function isAway(error: unknown): boolean {
  if (error instanceof RowhouseError) return error.code === 'UNAVAILABLE';
  if (!(error instanceof pg.DatabaseError)) return false;
  const state = error.code ?? '';
  return codeForSqlState(state) === 'UNAVAILABLE' || isRetryableSqlState(state);
}

/** Tries again as long as the database is away. */
async function whileAway<Result>(
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  const ended = await keepTrying(
    async () => {
      try {
        return { result: await work() };
      } catch (error) {
        if (isAway(error)) throw error;
        return { error };
      }
    },
    { signal, onFailure: () => {} },
  );
  if (!ended) throw new AttemptOverError('The attempt is over.', { cause: signal.reason });
  if (!('error' in ended)) return ended.result;
  if (!isOver(ended.error)) throw ended.error;
  throw new AttemptOverError('The job is another worker’s by now.', { cause: ended.error });
}

function isOver(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  return error.code === over.code && error.constraint === over.constraint;
}

/** Whether a job is no longer in the queue. */
async function isGone(pool: Pool, jobId: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    'select from graphile_worker._private_jobs where id = $1::bigint',
    [jobId],
  );
  return rowCount === 0;
}
