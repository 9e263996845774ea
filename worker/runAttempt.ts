import type { Job } from 'graphile-worker';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { z } from 'zod';
import { RowhouseError } from '../platform/errors/registry.ts';
import type { Pseudonym } from '../platform/logging.ts';
import type { JobFinished, Observe } from '../platform/observer.ts';
import { type Attempt, AttemptOverError, isAway, openAttempt } from './attempt.ts';
import { PostponedError, type Task, type TaskContext } from './task.ts';

/** What attempts at jobs run on. */
export type AttemptGround = {
  /** The connections of the worker that holds the jobs. */
  pool: Pool;
  /** How long a task may take that does not say so itself. */
  timeoutMs: number;
  /** Attempts that run now. */
  running: Set<RunningAttempt>;
  /** Aborts when nobody waits any longer: the worker's jobs are another's. */
  abandoned: AbortSignal;
  /** The end of a job is written, or not to be written here. */
  settle(job: Job): void;
  log: Logger;
  observe: Observe;
  pseudonym: Pseudonym;
};

/** An attempt that runs, as whoever ends it sees it. */
export type RunningAttempt = {
  /** Asks the task to end. */
  stop(): void;
  /** Ends it, whether the task agrees or not. */
  abandon(): void;
};

type Outcome = Pick<JobFinished, 'outcome'> & { error?: unknown };

/**
 * One attempt at a job: checks the payload, runs the task within its time, and
 * writes how it ended. Never rejects, and never takes longer than that: a task that
 * hangs is left behind, without its connections.
 */
export async function runAttempt(task: Task, job: Job, ground: AttemptGround): Promise<void> {
  const startedMs = performance.now();
  const { task_identifier: name, id: jobId, attempts: attempt } = job;
  const orgId = orgIdOf(job);
  const common = { task: name, jobId, attempt, orgHash: orgId && ground.pseudonym(orgId) };
  ground.observe({ type: 'jobStarted', ...common, waitedMs: waitedMs(job) });
  const { outcome, error } = await attemptOnce(task, job, ground);
  const durationMs = Math.round(performance.now() - startedMs);
  ground.observe({ type: 'jobFinished', ...common, durationMs, outcome, error });
}

/** The organization of a job; null for one that runs by the clock. */
export function orgIdOf({ payload }: Job): string | null {
  const orgId = (payload as { orgId?: unknown } | null)?.orgId;
  return typeof orgId === 'string' ? orgId : null;
}

async function attemptOnce(task: Task, job: Job, ground: AttemptGround): Promise<Outcome> {
  const attempt = openAttempt(ground.pool, job, ground.abandoned);
  const course = startCourse(task.timeoutMs ?? ground.timeoutMs);
  ground.running.add(course);
  let isLeftToQueue = false;
  try {
    const payload = task.payload.safeParse(job.payload);
    if (!payload.success) {
      throw new RowhouseError('BAD_USER_INPUT', { message: z.prettifyError(payload.error) });
    }
    const context = makeContext(attempt, job, course.signal, ground);
    await Promise.race([task.run(payload.data as never, context), course.cutShort]);
    isLeftToQueue = !attempt.isCompleted();
    return { outcome: 'succeeded' };
  } catch (error) {
    if (attempt.isCompleted()) {
      ground.log.warn({ err: error, jobId: job.id }, 'a task failed after its job was completed');
      return { outcome: 'succeeded' };
    }
    const isOver = error instanceof AttemptOverError && !course.isTooLong();
    if (course.isAsked() || isOver) return { outcome: 'interrupted', error };
    if (error instanceof PostponedError && !course.isTooLong()) {
      return await postpone(attempt, job, error);
    }
    return await fail(attempt, job, course.isTooLong() ? 'TIMEOUT' : codeOf(error), error);
  } finally {
    course.end();
    ground.running.delete(course);
    attempt.close();
    if (!isLeftToQueue) ground.settle(job);
  }
}

async function fail(attempt: Attempt, job: Job, code: string, error: unknown): Promise<Outcome> {
  // Another try would give the same.
  const isFinal = code === 'BAD_USER_INPUT';
  const message = error instanceof Error ? error.message : String(error);
  // A transaction that is left behind may hold the job itself.
  attempt.close();
  try {
    await attempt.fail({ code, message, isFinal });
  } catch (failure) {
    // The job is another's by now; or nobody can be told, and the heartbeat returns it.
    return { outcome: 'interrupted', error: new AggregateError([error, failure], message) };
  }
  return { outcome: isFinal || job.attempts >= job.max_attempts ? 'dead' : 'failed', error };
}

async function postpone(
  attempt: Attempt,
  job: Job,
  { pauseMs, cause }: PostponedError,
): Promise<Outcome> {
  attempt.close();
  try {
    if (await attempt.postpone(pauseMs)) return { outcome: 'postponed' };
  } catch (failure) {
    return { outcome: 'interrupted', error: failure };
  }
  return fail(attempt, job, codeOf(cause), cause);
}

function makeContext(
  attempt: Attempt,
  job: Job,
  signal: AbortSignal,
  { log, observe }: AttemptGround,
): TaskContext {
  const { withClient, complete } = attempt;
  let ownLog: Logger | undefined;
  return {
    attempt: attempt.id,
    attemptNumber: job.attempts,
    signal,
    observe,
    withClient,
    complete,
    get log() {
      ownLog ??= log.child({ task: job.task_identifier, jobId: job.id, attempt: job.attempts });
      return ownLog;
    },
  };
}

/** The time of an attempt, and what may end it before. */
function startCourse(limitMs: number) {
  const control = new AbortController();
  const cut = Promise.withResolvers<never>();
  // Nobody may be waiting for it.
  cut.promise.catch(() => {});
  let end: 'too long' | 'asked' | undefined;
  const timer = setTimeout(() => {
    end ??= 'too long';
    leave(new RowhouseError('TIMEOUT'));
  }, limitMs);
  function leave(reason: Error): void {
    control.abort(reason);
    cut.reject(reason);
  }
  return {
    signal: control.signal,
    /** Rejects when the attempt is over though the task goes on. */
    cutShort: cut.promise,
    isTooLong: () => end === 'too long',
    isAsked: () => end === 'asked',
    stop() {
      end ??= 'asked';
      control.abort(new AttemptOverError('The worker stops.'));
    },
    abandon() {
      end ??= 'asked';
      leave(new AttemptOverError('The worker is gone.'));
    },
    end: () => clearTimeout(timer),
  };
}

/** Of the registry where the task said which; else nobody foresaw it. */
function codeOf(error: unknown): string {
  if (error instanceof RowhouseError) return error.code;
  return isAway(error) ? 'UNAVAILABLE' : 'INTERNAL';
}

/** By the clock of Postgres, which wrote all three. */
function waitedMs({ locked_at, run_at, created_at }: Job): number {
  const dueMs = Math.max(run_at.getTime(), created_at.getTime());
  return Math.max(0, (locked_at ?? run_at).getTime() - dueMs);
}
