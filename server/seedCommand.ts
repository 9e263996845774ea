import { Command } from 'commander';
import { readEnvironment } from '../platform/config/environment.ts';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { addDemoData } from './addDemoData.ts';

/** `npm run seed`. */

new Command('seed')
  .description(
    'Writes demo data as the login in DATABASE_URL, and a file to the bucket in ' +
      'S3_BUCKET_UPLOADS where it is set. Needs SEED=true; adds nothing twice.',
  )
  .parse();

const { seed: isAllowed, databaseUrl } = loadConfigOrExit('none');
if (!isAllowed) fail('Refused: demo data is only written where SEED=true says so.');
if (!databaseUrl) fail('DATABASE_URL is not set, and the local stack (npm start) is not running.');

try {
  const added = await addDemoData(databaseUrl, readEnvironment(process.env));
  const { organizations, users, documentsAdded, filesAdded } = added;
  const files = filesAdded === 1 ? '1 file added' : 'no file added';
  const why = filesAdded === undefined ? ', as S3_BUCKET_UPLOADS is not set' : '';
  process.stdout.write(
    `${organizations} organizations, ${users} users; ${documentsAdded} documents added; ${files}${why}.\n`,
  );
} catch (error) {
  process.stderr.write(`Seeding failed: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
