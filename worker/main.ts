import { Command } from 'commander';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { makeLifecycle } from '../platform/lifecycle.ts';
import { logConsole, makeLogger } from '../platform/logging.ts';
import { makeFileTasks } from './makeFileTasks.ts';
import { openFileServices } from './openFileServices.ts';
import { runWorker } from './runWorker.ts';
import { makeReconcileTask } from './tasks/clerk__reconcile.ts';
import * as tasks from './tasks.ts';

/** The worker process, `npm run worker`: config → open → run → signals. */

new Command('worker')
  .description('Runs jobs of the queue. Settings come from the environment: docs/configuration.md.')
  .parse();

const config = loadConfigOrExit('worker');
const log = makeLogger(config);
logConsole(log);
const lifecycle = makeLifecycle({ log });
lifecycle.onSignals();

await runWorker(
  config,
  (observe) => ({
    ...tasks,
    ...makeReconcileTask(config),
    ...makeFileTasks(openFileServices(config, lifecycle, observe)),
  }),
  log,
  lifecycle,
);
