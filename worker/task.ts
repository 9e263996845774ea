import type { Logger } from 'pino';
import type { z } from 'zod';
import type { Observe } from '../platform/observer.ts';
import type { AttemptClient } from './lending.ts';

/** What a task may do besides its work in the outside world. */
export type TaskContext = {
  /** Of this attempt in the queue, for the `app_private` functions that take an attempt: `$1`. */
  attempt: string;
  /** Counts from 1. */
  attemptNumber: number;
  /** Aborts when the time limit is over, when the process stops, and when the job is another's. */
  signal: AbortSignal;
  /** Writes lines with the task and the job. */
  log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
  observe: Observe;
  /** Lends a connection for as long as the work lasts, and never beyond the attempt. */
  withClient<Result>(work: (client: AttemptClient) => Promise<Result>): Promise<Result>;
  /**
   * Ends the job together with what the work writes, in one transaction: both are
   * there, or neither is. The work is SQL alone, and may run twice when a connection
   * breaks. Nothing that follows can undo it.
   *
   * @throws AttemptOverError when the job is another worker's by now.
   */
  complete<Result>(work: (client: AttemptClient) => Promise<Result>): Promise<Result>;
};

/**
 * Thrown by a task that could not even begin, though nothing is wrong with its job: it goes back to
 * the queue for at least so long, and that was no attempt. A job that is a day old fails instead,
 * with the cause.
 */
export class PostponedError extends Error {
  override readonly name = 'PostponedError';
  readonly pauseMs: number;

  constructor(pauseMs: number, cause: unknown) {
    super('The job is postponed.', { cause });
    this.pauseMs = pauseMs;
  }
}

/** What has to be done for the jobs of one name. */
export type Task = {
  payload: z.ZodType;
  /** Longer than this it may not take; without it WORKER_TASK_TIMEOUT_MS. */
  timeoutMs?: number | undefined;
  run(payload: never, context: TaskContext): Promise<unknown>;
};

/** Tasks by the name that jobs call them by. */
export type Tasks = Readonly<Record<string, Task>>;

/**
 * Makes a task. A payload that does not fit its schema fails the job at once and
 * for good; a task that returns without `complete` has its job completed after it.
 */
export function defineTask<Payload extends z.ZodType>(task: {
  payload: Payload;
  timeoutMs?: number;
  run(payload: z.output<Payload>, context: TaskContext): Promise<unknown>;
}): Task {
  return task;
}
