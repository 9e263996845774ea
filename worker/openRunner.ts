import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Job,
  Logger as QueueLogger,
  type Runner,
  run,
  type WorkerEvents,
} from 'graphile-worker';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { keepTrying } from '../platform/keepTrying.ts';
import type { Pseudonym } from '../platform/logging.ts';
import type { Observe } from '../platform/observer.ts';
import { crontab } from './crontab.ts';
import * as tasks from './tasks.ts';

/** What runs the queue, and who hears of it. */
export type RunnerOptions = {
  /** The worker's login; its size covers the concurrency and one connection that listens. */
  pool: Pool;
  /** Jobs at once. */
  concurrency: number;
  /** How long running jobs may take to end when it is closed. */
  graceMs: number;
  log: Logger;
  observe: Observe;
  pseudonym: Pseudonym;
};

/** The jobs of this process. */
export type JobRunner = {
  /** Resolves once jobs are taken from the queue. */
  ready: Promise<void>;
  /**
   * Takes no more jobs and waits for those that run; graphile-worker aborts them
   * after 5 s, and what runs on after the grace period goes back to the queue.
   */
  close(): Promise<void>;
};

/**
 * Works off the queue, as soon as the database is there. A runner that ended by
 * itself (the database was gone for longer than it tries) is followed by another.
 */
export function openRunner(options: RunnerOptions): JobRunner {
  const { pool, concurrency, graceMs, log } = options;
  const closing = new AbortController();
  const ready = Promise.withResolvers<void>();
  let runner: Runner | undefined;
  /** Under these ids the queue knows which running jobs are ours. */
  const poolIds: string[] = [];
  const events = observedEvents(options);
  events.on('pool:create', ({ workerPool }) => poolIds.push(workerPool.id));

  const start = () =>
    run({
      pgPool: pool,
      concurrency,
      taskList: { ...tasks },
      crontab,
      noHandleSignals: true,
      events,
      logger: queueLogger(log),
    });
  const onFailure = (err: unknown, againInMs: number) => log.error({ err, againInMs }, 'not ready');

  async function runUntilClosed(): Promise<void> {
    while (!closing.signal.aborted) {
      runner = await keepTrying(start, { signal: closing.signal, onFailure });
      ready.resolve();
      // Asked to close while it was starting.
      if (closing.signal.aborted) await runner?.stop('asked to stop');
      await runner?.promise.catch((err: unknown) => log.error({ err }, 'the queue stopped'));
      runner = undefined;
    }
  }
  const ended = runUntilClosed();

  return {
    ready: ready.promise,
    async close() {
      closing.abort();
      const finished = Promise.resolve(runner?.stop('asked to stop')).then(() => ended);
      const tooLate = sleep(graceMs, undefined, { ref: false });
      await Promise.race([finished.then(() => untilQuiet(pool)), tooLate]);
      // What did not end in time is for the next worker; otherwise it stays locked for hours.
      if (poolIds.length > 0) {
        await pool.query('select graphile_worker.force_unlock_workers($1)', [poolIds]);
      }
    },
  };
}

/** graphile-worker does not wait for what it writes about its last jobs. */
async function untilQuiet(pool: Pool): Promise<void> {
  while (pool.waitingCount > 0 || pool.idleCount < pool.totalCount) await sleep(5);
}

function observedEvents({ observe, pseudonym }: RunnerOptions): WorkerEvents {
  const events: WorkerEvents = new EventEmitter();
  const startedMs = new Map<string, number>();
  const finished = (job: Job, outcome: 'succeeded' | 'failed' | 'dead', error?: unknown) => {
    const orgId = (job.payload as { orgId?: unknown } | null)?.orgId;
    observe({
      type: 'jobFinished',
      task: job.task_identifier,
      jobId: job.id,
      attempt: job.attempts,
      durationMs: Math.round(performance.now() - (startedMs.get(job.id) ?? performance.now())),
      outcome,
      error,
      orgHash: typeof orgId === 'string' ? pseudonym(orgId) : null,
    });
    startedMs.delete(job.id);
  };
  events.on('job:start', ({ job }) => startedMs.set(job.id, performance.now()));
  events.on('job:success', ({ job }) => finished(job, 'succeeded'));
  events.on('job:error', ({ job, error }) => {
    finished(job, job.attempts >= job.max_attempts ? 'dead' : 'failed', error);
  });
  return events;
}

/** The queue's own words, on the level below ours: its events are reported above. */
function queueLogger(log: Logger): QueueLogger {
  return new QueueLogger((scope) => (level, message) => {
    const line = { ...scope, queue: message };
    if (level === 'error') log.error(line, 'queue');
    else if (level === 'warning') log.warn(line, 'queue');
    else log.debug(line, 'queue');
  });
}
