import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Logger, migrate as runCommitted } from 'graphile-migrate';
import { clearAllPools } from 'graphile-migrate/dist/pg.js';
import { runMigrations as migrateQueue } from 'graphile-worker';
import { Client, DatabaseError } from 'pg';
import { ensureLogin, ensureRoles } from './roles.ts';

/** Where to migrate, and for whom. */
export type MigrateOptions = {
  /** The login that owns the schema, on a direct connection: it holds a session lock. */
  ownerUrl: string;
  /** Logins of the processes; each that is given is made a member of its group. */
  apiUrl?: string | undefined;
  workerUrl?: string | undefined;
  /** Told of each step. */
  onProgress: (message: string) => void;
};

/** Any number, the same for every deployer. */
const lockKey = '7218930017263045';
/** A migration that waits for a lock makes everyone behind it wait too: better to fail and be tried again. */
const pgSettings = { lock_timeout: '10s' };
const queueSql = readFileSync(new URL('./queue.sql', import.meta.url), 'utf8');
const vectorsSql = readFileSync(new URL('./vectors.sql', import.meta.url), 'utf8');
const migrationsFolder = fileURLToPath(new URL('../migrations', import.meta.url));

/**
 * Brings a database to the committed migrations, and graphile-worker's schema
 * with it: roles, queue, migrations, pgvector's use, logins. Each step does nothing where it is
 * done already, so a deployer that was killed is followed by one that goes on.
 *
 * Any number of deployers may call it at once: one works, the others wait.
 */
export async function migrate(options: MigrateOptions): Promise<void> {
  const { ownerUrl, onProgress } = options;
  const owner = new Client({ connectionString: ownerUrl, application_name: 'rowhouse-migrate' });
  await owner.connect();
  try {
    await lock(owner, onProgress);
    await ensureRoles(owner);
    await migrateQueue({ connectionString: ownerUrl });
    const before = await lastMigration(owner);
    const logger = new Logger(() => (_level, message) => onProgress(message));
    await runCommitted({ connectionString: ownerUrl, migrationsFolder, logger, pgSettings });
    // Its policies and triggers call functions of ours.
    await owner.query(queueSql);
    // pgvector may have come since.
    await owner.query(vectorsSql);
    await makePartitions(owner, onProgress);
    const after = await lastMigration(owner);
    if (after !== before) {
      const details = JSON.stringify({ from: before, to: after });
      await owner.query("select app_private.audit_command('migrate', $1)", [details]);
    }
    if (options.apiUrl) await ensureLogin(owner, options.apiUrl, 'app_api');
    if (options.workerUrl) await ensureLogin(owner, options.workerUrl, 'app_worker');
    onProgress('The database is up to date.');
  } finally {
    // graphile-migrate keeps its connection for a moment, and ends the process when that breaks.
    clearAllPools();
    // Ends the session, and the lock with it.
    await owner.end();
  }
}

async function lock(owner: Client, onProgress: (message: string) => void): Promise<void> {
  const { rows } = await owner.query('select pg_try_advisory_lock($1) as free', [lockKey]);
  if (rows[0].free) return;
  onProgress('Another deployer is migrating this database. Waiting for it to finish …');
  await owner.query('select pg_advisory_lock($1)', [lockKey]);
}

/** The file of the newest migration; null before the first. */
async function lastMigration(owner: Client): Promise<string | null> {
  const { rows } = await owner.query(
    "select to_regclass('graphile_migrate.migrations') is not null as is_there",
  );
  if (!rows[0].is_there) return null;
  const last = await owner.query('select max(filename) as file from graphile_migrate.migrations');
  return last.rows[0].file;
}

/** In time also where no worker runs. */
async function makePartitions(owner: Client, onProgress: MigrateOptions['onProgress']) {
  try {
    await owner.query('select app_private.make_audit_partitions()');
  } catch (error) {
    // A long transaction reads the trail. There is time: months are made ahead, and the worker tries again.
    if (!(error instanceof DatabaseError) || error.code !== '55P03') throw error;
    onProgress('The audit trail is in use: its next partitions are left to the worker.');
  }
}
