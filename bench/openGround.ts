import { join } from 'node:path';
import { Client } from 'pg';
import { type Issuer, openIssuer } from '../dev/issuer.ts';
import { type EmbeddedPostgres, openPostgres } from '../dev/postgres.ts';
import { projectRoot } from '../platform/config/settings.ts';
import { buildDatabase } from './buildDatabase.ts';
import type { Progress } from './progress.ts';
import type { Sizes } from './sizes.ts';

/** What all contestants stand on: one Postgres and one issuer, kept between runs. */
export type Ground = {
  postgres: EmbeddedPostgres;
  issuer: Issuer;
  /** The database of these sizes, built where it is not there yet. */
  openDatabase(sizes: Sizes): Promise<BenchDatabase>;
  close(): Promise<void>;
};

/** A filled database. */
export type BenchDatabase = {
  /** The login of the API. */
  apiUrl: string;
  superuserUrl: string;
  /** A connected superuser, for looking around and tidying up. */
  superuser: Client;
  /** Removes what `createDocument` added, so that the next contestant meets the same rows. */
  removeCreated(): Promise<void>;
  close(): Promise<void>;
};

const dir = join(projectRoot, '.data', 'bench');

/** Background work would be booked on whoever happens to run. */
const quiet = { autovacuum: 'off', checkpoint_timeout: '1h', max_wal_size: '8GB' };

/**
 * Starts the lasting Postgres of `.data/bench` and its issuer.
 * @param settings of Postgres, in place of those of development.
 */
export async function openGround(
  progress: Progress,
  settings: Readonly<Record<string, string>> = {},
): Promise<Ground> {
  progress.say('Starting Postgres');
  const postgres = await openPostgres({ dir, settings, onProgress: progress.say });
  try {
    await withClient(postgres.superuserUrl, async (client) => {
      for (const [name, value] of Object.entries(quiet)) {
        await client.query(`alter system set ${name} = '${value}'`);
      }
      await client.query('select pg_reload_conf()');
    });
    const issuer = await openIssuer({ dir });
    return {
      postgres,
      issuer,
      openDatabase: (sizes) => openDatabase(postgres, sizes, progress),
      async close() {
        await issuer.close();
        await postgres.close();
      },
    };
  } catch (error) {
    await postgres.close();
    throw error;
  }
}

async function openDatabase(
  postgres: EmbeddedPostgres,
  sizes: Sizes,
  progress: Progress,
): Promise<BenchDatabase> {
  const { name, filledAt } = await buildDatabase(postgres, sizes, progress);
  const superuserUrl = postgres.urlFor('postgres', name);
  const superuser = new Client({ connectionString: superuserUrl });
  await superuser.connect();
  const database: BenchDatabase = {
    apiUrl: postgres.urlFor('rowhouse_api', name),
    superuserUrl,
    superuser,
    async removeCreated() {
      await superuser.query('delete from app_public.documents where created_at > $1', [filledAt]);
      await superuser.query('vacuum analyze app_public.documents');
      await superuser.query('checkpoint');
    },
    close: () => superuser.end(),
  };
  // Of a run that was interrupted.
  await database.removeCreated();
  return database;
}

/** Runs work on a connection of its own. */
export async function withClient<Result>(
  connectionString: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
