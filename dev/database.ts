import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import pg from 'pg';
import { migrate } from '../db/migrate.ts';
import { readSources } from '../platform/config/environment.ts';
import { loadConfig } from '../platform/config/loadConfig.ts';
import { projectRoot } from '../platform/config/settings.ts';
import { addDemoData } from '../server/addDemoData.ts';
import { findPostgres, openPostgres, type PostgresAddress } from './postgres.ts';

/** `npm run db:watch`, `db:commit`, `db:reset`: the DBA's loop on migrations/current.sql. */

const program = new Command('db').description(
  'Works on the database of the local stack, whether or not npm start is running.',
);
program
  .command('watch')
  .description('Runs migrations/current.sql at each save; a running local API follows.')
  .option('--once', 'run it once and end')
  .action(({ once: isOnce }: { once?: true }) =>
    withPostgres(async (postgres) => {
      await bringUpToDate(postgres);
      await graphileMigrate(postgres, 'watch', ...(isOnce ? ['--once'] : []));
    }),
  );
program
  .command('commit')
  .description(
    'Makes migrations/current.sql the next committed migration, tried on a shadow database first.',
  )
  .requiredOption('-m, --message <text>', 'names the migration: its one concern')
  .action(({ message }: { message: string }) =>
    withPostgres(async (postgres) => {
      await bringUpToDate(postgres);
      await graphileMigrate(postgres, 'commit', '--message', message);
      await announce(postgres);
      await run({}, 'dev/derived.ts');
      say(
        'Now review migrations/committed, db/catalogue.sql and schema.graphql, and commit them together.',
      );
    }),
  );
program
  .command('reset')
  .description('Drops the local database, applies all committed migrations and seeds it again.')
  .option('-y, --yes', 'do not ask')
  .action(({ yes }: { yes?: true }) =>
    withPostgres(async (postgres, isStackRunning) => {
      if (!yes && !(await isConfirmed('This deletes all local data. Go on? [y/N] '))) return;
      await recreate(postgres);
      await bringUpToDate(postgres);
      await announce(postgres);
      await seedAgain(postgres, isStackRunning);
      say('The database is new.');
    }),
  );

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}

/** Works with the running stack's Postgres, or else with the same cluster, started for the while. */
async function withPostgres(
  work: (postgres: PostgresAddress, isStackRunning: boolean) => Promise<void>,
): Promise<void> {
  const { dataDir } = loadConfig('none');
  const running = await findPostgres(dataDir);
  if (running) return work(running, true);
  const postgres = await openPostgres({ dir: dataDir, onProgress: say });
  try {
    await work(postgres, false);
  } finally {
    await postgres.close();
  }
}

/**
 * Runs graphile-migrate's own command, with .gmrc and the connection strings that
 * differ from machine to machine. As a process of its own, because its connections
 * outlive its calls and end the process when Postgres stops.
 */
async function graphileMigrate(postgres: PostgresAddress, ...args: string[]): Promise<void> {
  const env = {
    DATABASE_URL: postgres.urlFor('rowhouse_owner', 'rowhouse'),
    SHADOW_DATABASE_URL: postgres.urlFor('rowhouse_owner', 'rowhouse_shadow'),
    ROOT_DATABASE_URL: postgres.superuserUrl,
  };
  await run(env, 'node_modules/graphile-migrate/dist/cli.js', ...args);
}

async function bringUpToDate(postgres: PostgresAddress): Promise<void> {
  await migrate({
    ownerUrl: postgres.urlFor('rowhouse_owner', 'rowhouse'),
    apiUrl: postgres.urlFor('rowhouse_api', 'rowhouse'),
    workerUrl: postgres.urlFor('rowhouse_worker', 'rowhouse'),
    onProgress: () => {},
  });
}

/** Tells a running API of the schema, as each save of `db:watch` does. */
async function announce(postgres: PostgresAddress): Promise<void> {
  const sql = await readFile(join(projectRoot, 'migrations/announce.sql'), 'utf8');
  await withClient(postgres.urlFor('rowhouse_owner', 'rowhouse'), (client) => client.query(sql));
}

async function recreate(postgres: PostgresAddress): Promise<void> {
  await withClient(postgres.superuserUrl, async (client) => {
    // A running API loses its connections and makes new ones.
    await client.query('drop database if exists rowhouse with (force)');
    await client.query('create database rowhouse owner rowhouse_owner');
  });
}

async function withClient(
  connectionString: string,
  work: (client: pg.Client) => Promise<unknown>,
): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** With a file, where the local stack runs, and its store with it; else the next start adds one. */
async function seedAgain(postgres: PostgresAddress, isStackRunning: boolean): Promise<void> {
  const stack = readSources(process.env).find(({ name }) => name === 'local.env');
  const storeEnv = (isStackRunning && stack?.values) || {};
  await addDemoData(postgres.urlFor('rowhouse_api', 'rowhouse'), storeEnv);
}

/** Runs a script of this checkout. A signal is for it: this process ends after it, in order. */
async function run(env: Record<string, string>, script: string, ...args: string[]): Promise<void> {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: projectRoot,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  let isStopping = false;
  const stop = (signal: NodeJS.Signals) => {
    isStopping = true;
    child.kill(signal);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const [code] = await once(child, 'exit');
  process.off('SIGINT', stop).off('SIGTERM', stop);
  if (code !== 0 && !isStopping) throw new Error(`${script} ${args[0] ?? ''} failed.`);
}

async function isConfirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new Error('Nobody is there to confirm. Run again with: npm run db:reset -- --yes');
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(question);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function say(message: string): void {
  process.stdout.write(`${message}\n`);
}
