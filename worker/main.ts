import { Command } from 'commander';
import { openPool } from '../db/pool.ts';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { makeLifecycle } from '../platform/lifecycle.ts';
import { logConsole, makeLogger, makePseudonym } from '../platform/logging.ts';
import { makeLogSink } from '../platform/logSink.ts';
import { makeObserver } from '../platform/observer.ts';
import { openRunner } from './openRunner.ts';

/** The worker process, `npm run worker`: config → open → run → signals. */

new Command('worker')
  .description('Runs jobs of the queue. Settings come from the environment: docs/configuration.md.')
  .parse();

const config = loadConfigOrExit('worker');
const log = makeLogger(config);
logConsole(log);
const lifecycle = makeLifecycle({ log });
lifecycle.onSignals();
const observe = makeObserver([makeLogSink(log)], (error) =>
  log.error({ err: error }, 'an observer failed'),
);

const pool = openPool({
  connectionString: config.databaseWorkerUrl,
  // One connection listens, and a job may hold one while it is marked as done on another.
  size: Math.max(config.databasePoolSize, config.workerConcurrency + 2),
  applicationName: 'rowhouse-worker',
  onConnectionError: (error) => log.warn({ err: error }, 'a database connection broke'),
});
lifecycle.opened('database pool', () => pool.end());

const runner = openRunner({
  pool,
  concurrency: config.workerConcurrency,
  graceMs: config.shutdownGraceMs,
  log,
  observe,
  pseudonym: makePseudonym(config.logPseudonymKey),
});
lifecycle.opened('jobs', runner.close, config.shutdownGraceMs + 1_000);
await runner.ready;
observe({ type: 'processReady', process: 'worker', durationMs: Math.round(performance.now()) });
