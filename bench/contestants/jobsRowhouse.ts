import { z } from 'zod';
import { loadConfig } from '../../platform/config/loadConfig.ts';
import { makeLifecycle } from '../../platform/lifecycle.ts';
import { makeLogger } from '../../platform/logging.ts';
import { runWorker } from '../../worker/runWorker.ts';
import { defineTask } from '../../worker/task.ts';
import { countJobs } from '../countJobs.ts';

/** Our worker, as it runs in production: heartbeat, fence, metrics and log lines. */

const count = countJobs();
const bench__nothing = defineTask({
  payload: z.object({ rowId: z.uuid() }),
  run: async () => count(),
});
const log = makeLogger({ logLevel: 'info' });
const lifecycle = makeLifecycle({ log });
lifecycle.onSignals();
await runWorker(loadConfig('worker'), () => ({ bench__nothing }), log, lifecycle);
