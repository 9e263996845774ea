import { Command } from 'commander';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { openPool } from './pool.ts';
import { seed } from './seed.ts';

/** `npm run seed`. */

new Command('seed')
  .description(
    'Writes demo data as the login in DATABASE_URL. Needs SEED=true; adds nothing twice.',
  )
  .parse();

const { seed: isAllowed, databaseUrl } = loadConfigOrExit('none');
if (!isAllowed) fail('Refused: demo data is only written where SEED=true says so.');
if (!databaseUrl) fail('DATABASE_URL is not set, and the local stack (npm start) is not running.');

const pool = openPool({
  connectionString: databaseUrl,
  size: 1,
  applicationName: 'rowhouse-seed',
  onConnectionError: () => {},
});
try {
  const { organizations, users, documentsAdded } = await seed(pool);
  process.stdout.write(
    `${organizations} organizations, ${users} users; ${documentsAdded} documents added.\n`,
  );
} catch (error) {
  process.stderr.write(`Seeding failed: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  await pool.end();
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
