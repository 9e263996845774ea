import { run } from 'graphile-worker';
import { countJobs } from '../countJobs.ts';

/** graphile-worker as its documentation starts it. */

const count = countJobs();
await run({
  connectionString: process.env.DATABASE_WORKER_URL,
  concurrency: Number(process.env.WORKER_CONCURRENCY),
  maxPoolSize: Number(process.env.DATABASE_POOL_SIZE),
  taskList: { bench__nothing: async () => count() },
});
