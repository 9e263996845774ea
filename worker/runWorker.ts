import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { expectedMigration } from '../db/migrationLevel.ts';
import type { Config } from '../platform/config/settings.ts';
import type { Lifecycle } from '../platform/lifecycle.ts';
import { makePseudonym } from '../platform/logging.ts';
import { makeLogSink } from '../platform/logSink.ts';
import { openMetrics } from '../platform/metrics.ts';
import {
  makeObserver,
  type Observation,
  type Observe,
  type QueueSampled,
} from '../platform/observer.ts';
import { crontab } from './crontab.ts';
import { openListener } from './listener.ts';
import { openRunner } from './openRunner.ts';
import { countAdded, sampleQueue } from './sampleQueue.ts';
import type { Tasks } from './task.ts';
import { openWatchdog } from './watchdog.ts';

/** How often the queue is looked at. */
const sampleMs = 10_000;

/**
 * Opens what a worker is made of, and runs jobs of these tasks until it is closed.
 * @param makeTasks told whom to report to.
 */
export async function runWorker(
  config: Config<'worker'>,
  makeTasks: (observe: Observe) => Tasks,
  log: Logger,
  lifecycle: Pick<Lifecycle, 'opened'>,
): Promise<void> {
  const metrics = openMetrics();
  lifecycle.opened('metrics', () => metrics.close());
  let sample: QueueSampled | undefined;
  const remember = (observation: Observation) => {
    if (observation.type === 'queueSampled') sample = observation;
  };
  const observe = makeObserver([makeLogSink(log), metrics.sink, remember], (error) =>
    log.error({ err: error }, 'an observer failed'),
  );

  // Longer than it takes to be declared dead: what only was slow goes on.
  const watchdog = openWatchdog(config.workerDeadAfterMs * 2);
  lifecycle.opened('watchdog', () => watchdog.close());

  const tasks = makeTasks(observe);
  const { workerConcurrency: concurrency, shutdownGraceMs: graceMs } = config;
  const runner = openRunner({
    connectionString: config.databaseWorkerUrl,
    poolSize: config.databasePoolSize,
    tasks,
    crontab,
    concurrency,
    graceMs,
    taskTimeoutMs: config.workerTaskTimeoutMs,
    heartbeatMs: config.workerHeartbeatMs,
    deadAfterMs: config.workerDeadAfterMs,
    expectedMigration: expectedMigration(),
    log,
    observe,
    pseudonym: makePseudonym(config.logPseudonymKey),
  });
  let isDraining = false;

  const listener = await openListener({
    port: config.workerPort,
    host: config.host,
    metrics,
    metricsToken: config.metricsToken,
    async readiness() {
      const oldestMs = Math.max(0, ...(sample?.tasks.map((task) => task.oldestMs) ?? []));
      const checks = {
        database: { ok: runner.heart.isBeating() },
        queue: {
          ok: sample !== undefined && oldestMs <= config.workerQueueAgeLimitMs,
          detail: `oldest job due for ${Math.round(oldestMs / 1000)} s`,
        },
      };
      const isReady = !isDraining && Object.values(checks).every(({ ok }) => ok);
      return { isReady, status: isDraining ? 'draining' : isReady ? 'ready' : 'not ready', checks };
    },
  });
  lifecycle.opened('listener', () => listener.close());
  const sampling = new AbortController();
  lifecycle.opened('sampling', () => sampling.abort());
  lifecycle.opened(
    'jobs',
    () => {
      isDraining = true;
      observe({ type: 'processDraining', reason: 'asked to stop' });
      return runner.close();
    },
    graceMs + 3_000,
  );

  await runner.ready;
  await sampleAgainAndAgain(
    async () => {
      observe(await sampleQueue(runner.heart));
      const jobs = await countAdded(runner.heart);
      if (jobs > 0) observe({ type: 'jobsAdded', jobs });
    },
    sampling.signal,
    (err) => log.warn({ err }, 'the queue could not be looked at'),
  );
  const durationMs = Math.round(performance.now());
  observe({ type: 'processReady', process: 'worker', durationMs, url: listener.url });
}

/** Resolves after the first time. */
async function sampleAgainAndAgain(
  once: () => Promise<void>,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): Promise<void> {
  await once().catch(onError);
  void (async () => {
    while (!signal.aborted) {
      await sleep(sampleMs, undefined, { signal }).catch(() => {});
      if (!signal.aborted) await once().catch(onError);
    }
  })();
}
