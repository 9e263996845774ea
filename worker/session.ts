import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Logger as QueueLogger,
  type Runner,
  run,
  type TaskList,
  type WorkerEvents,
} from 'graphile-worker';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { withConnectionSettings } from '../db/connectionSettings.ts';
import { openPool } from '../db/pool.ts';
import { makeFairShare } from './fairShare.ts';
import type { Heart } from './heart.ts';
import type { RunnerOptions } from './openRunner.ts';
import { makeQueuePool, type QueuePool } from './queuePool.ts';
import { orgIdOf, type RunningAttempt, runAttempt } from './runAttempt.ts';

/** One worker, from its registration to its end. */
export type Session = {
  /** Resolves when it has ended, whatever the reason. */
  ended: Promise<void>;
  /** Ends it: waits for its jobs as long as the grace period, and returns the others. */
  close(): Promise<void>;
};

/** When it is asked to end, jobs are let alone for so long; then their signals abort. */
const undisturbedMs = 5_000;

/**
 * Registers a worker and takes jobs. Its connections carry its name from their start,
 * and Postgres lets them touch only the jobs that this name holds.
 */
export async function openSession(options: RunnerOptions, heart: Heart): Promise<Session> {
  const { log, concurrency, graceMs, deadAfterMs } = options;
  const workerId = await heart.register();
  const pool = openWorkerPool(options, workerId);
  const abandoned = new AbortController();
  const running = new Set<RunningAttempt>();
  const queue = makeQueuePool(pool, abandoned.signal, (err) =>
    log.error({ err }, 'the end of a job could not be written'),
  );
  const share = makeFairShare(concurrency);

  let runner: Runner;
  try {
    runner = await run({
      pgPool: queue.pool,
      concurrency,
      taskList: makeTaskList(options, { pool, queue, running, abandoned: abandoned.signal }),
      crontab: options.crontab,
      forbiddenFlags: share.forbiddenFlags,
      gracefulShutdownAbortTimeout: undisturbedMs,
      // What ends within a millisecond is written together. The pool above sees to it.
      preset: { worker: { completeJobBatchDelay: 0 } },
      noHandleSignals: true,
      events: makeEvents(workerId, queue, share),
      logger: queueLogger(log),
    });
  } catch (error) {
    await Promise.allSettled([heart.end(workerId), pool.end()]);
    throw error;
  }

  const stopped = new AbortController();
  const beating = heart.beat(workerId, queue.held, stopped.signal).then((end) => {
    if (end === 'stopped') return;
    log.error({ workerId, deadAfterMs }, 'this worker was declared dead; starting anew');
    void finish(0);
  });
  const ended = Promise.withResolvers<void>();
  // By itself only when it cannot go on.
  runner.promise
    .catch((err: unknown) => log.error({ err }, 'the queue stopped'))
    .finally(() => void finish(0));

  let ending: Promise<void> | undefined;
  function finish(patienceMs: number): Promise<void> {
    ending ??= endOnce(patienceMs).finally(ended.resolve);
    return ending;
  }

  async function endOnce(patienceMs: number): Promise<void> {
    queue.stopTaking();
    share.close();
    const idle = runner.stop('asked to stop').catch(() => {});
    const ask = setTimeout(() => stopAll(), Math.min(undisturbedMs, patienceMs / 2));
    const tooLate = sleep(patienceMs, undefined, { ref: false });
    await Promise.race([idle.then(() => untilWritten(queue)), tooLate]);
    clearTimeout(ask);
    // What did not end in time is for the next worker.
    abandoned.abort();
    for (const attempt of running) attempt.abandon();
    stopped.abort();
    await beating;
    await heart.end(workerId).catch((err: unknown) => log.warn({ err }, 'not signed off'));
    await Promise.race([idle.then(() => pool.end()), sleep(1_000, undefined, { ref: false })]);
  }

  function stopAll(): void {
    for (const attempt of running) attempt.stop();
  }

  return { ended: ended.promise, close: () => finish(graceMs) };
}

function openWorkerPool(
  { connectionString, poolSize, log, concurrency, heartbeatMs, deadAfterMs }: RunnerOptions,
  workerId: string,
): Pool {
  return openPool({
    connectionString: withConnectionSettings(connectionString, {
      'app.worker_id': workerId,
      // A process that stopped in the middle of a transaction must not keep its job from being swept.
      idle_in_transaction_session_timeout: deadAfterMs,
      // Nor one that was killed in the middle of a statement.
      client_connection_check_interval: Math.min(heartbeatMs, 2_000),
    }),
    // One connection listens, and a job may hold one while another ends.
    size: Math.max(poolSize, concurrency + 2),
    applicationName: 'rowhouse-worker',
    onConnectionError: (error) => log.warn({ err: error }, 'a database connection broke'),
  });
}

type Ground = {
  pool: Pool;
  queue: QueuePool;
  running: Set<RunningAttempt>;
  abandoned: AbortSignal;
};

function makeTaskList(
  options: RunnerOptions,
  { pool, queue, running, abandoned }: Ground,
): TaskList {
  const { log, observe, pseudonym, taskTimeoutMs: timeoutMs } = options;
  const { settle } = queue;
  const ground = { pool, timeoutMs, running, abandoned, settle, log, observe, pseudonym };
  const entries = Object.entries(options.tasks).map(([name, task]) => [
    name,
    (_: unknown, { job }: { job: Parameters<typeof runAttempt>[1] }) =>
      runAttempt(task, job, ground),
  ]);
  return Object.fromEntries(entries);
}

function makeEvents(
  workerId: string,
  queue: QueuePool,
  share: ReturnType<typeof makeFairShare>,
): WorkerEvents {
  const events: WorkerEvents = new EventEmitter();
  const startedMs = new Map<string, number>();
  // The name it locks jobs by, before it locks the first.
  events.on('pool:create', ({ workerPool }) => {
    workerPool.id = workerId;
  });
  events.on('job:start', ({ job }) => {
    queue.take(job);
    startedMs.set(job.id, performance.now());
    share.started(orgIdOf(job));
    share.looked();
  });
  events.on('worker:getJob:empty', share.looked);
  events.on('worker:getJob:error', share.looked);
  events.on('job:complete', ({ job }) => {
    const sinceMs = startedMs.get(job.id) ?? performance.now();
    startedMs.delete(job.id);
    share.ended(orgIdOf(job), performance.now() - sinceMs);
  });
  return events;
}

/** graphile-worker does not wait for what it writes about its last jobs. */
async function untilWritten(queue: QueuePool): Promise<void> {
  while (queue.held().length > 0) await sleep(5);
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
