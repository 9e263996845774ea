import { Command } from 'commander';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { migrate } from './migrate.ts';

/** `npm run migrate`. */

new Command('migrate')
  .description(
    'Applies committed migrations and graphile-worker’s own, as the login in DATABASE_OWNER_URL.\n' +
      'Safe to run from many deployers at once: one works, the others wait.\n' +
      'Logins in DATABASE_URL and DATABASE_WORKER_URL are created or granted what they need.',
  )
  .parse();

const config = loadConfigOrExit('migrate');
try {
  await migrate({
    ownerUrl: config.databaseOwnerUrl,
    apiUrl: config.databaseUrl,
    workerUrl: config.databaseWorkerUrl,
    onProgress: (message) => process.stdout.write(`${message}\n`),
  });
} catch (error) {
  process.stderr.write(`Migration failed: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
