import { Command } from 'commander';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { makeLifecycle } from '../platform/lifecycle.ts';
import { logConsole, makeLogger } from '../platform/logging.ts';
import type { Observe } from '../platform/observer.ts';
import { openConfiguredAi } from '../services/ai/openConfiguredAi.ts';
import { makeEmbeddingTasks } from './makeEmbeddingTasks.ts';
import { makeFileTasks } from './makeFileTasks.ts';
import { makeGenerationTasks } from './makeGenerationTasks.ts';
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

/** With one way to the AI service, so that what one task learns of it all know. */
const makeTasks = (observe: Observe) => {
  const ai = openConfiguredAi(config, { jobs: config.workerConcurrency }, observe);
  if (ai) lifecycle.opened('AI service', () => ai.close());
  return {
    ...tasks,
    ...makeReconcileTask(config),
    ...makeFileTasks(openFileServices(config, lifecycle, observe)),
    ...makeEmbeddingTasks(config, ai),
    ...makeGenerationTasks(config, ai),
  };
};
await runWorker(config, makeTasks, log, lifecycle);
