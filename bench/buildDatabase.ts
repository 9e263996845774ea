import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { migrate } from '../db/migrate.ts';
import type { EmbeddedPostgres } from '../dev/postgres.ts';
import { projectRoot } from '../platform/config/settings.ts';
import { fillDatabase } from './fillDatabase.ts';
import type { Progress } from './progress.ts';
import { databaseName, describeSizes, type Sizes } from './sizes.ts';

/** A database that is complete, and when: later rows are of a contestant. */
export type BuiltDatabase = { name: string; filledAt: string };

/** What a finished database carries as its comment. */
type Mark = { madeFrom: string; filledAt: string };

/**
 * Makes sure that the database of these sizes is there: migrated, filled,
 * vacuumed and analyzed. One that is complete and made from the same migrations
 * and the same rows is used as it is.
 */
export async function buildDatabase(
  postgres: EmbeddedPostgres,
  sizes: Sizes,
  progress: Progress,
): Promise<BuiltDatabase> {
  const name = databaseName(sizes);
  const madeFrom = fingerprint();
  const admin = new Client({ connectionString: postgres.superuserUrl });
  await admin.connect();
  try {
    const mark = await readMark(admin, name);
    if (mark?.madeFrom === madeFrom) return { name, filledAt: mark.filledAt };

    progress.say(`Building ${describeSizes(sizes)}`);
    await admin.query(`drop database if exists ${name}`);
    await admin.query(`create database ${name} owner rowhouse_owner`);
    const url = (login: string) => postgres.urlFor(login, name);
    await migrate({
      ownerUrl: url('rowhouse_owner'),
      apiUrl: url('rowhouse_api'),
      workerUrl: url('rowhouse_worker'),
      onProgress: () => {},
    });
    await fillDatabase(url('postgres'), sizes, progress);
    const filledAt = new Date().toISOString();
    const text = JSON.stringify({ madeFrom, filledAt } satisfies Mark);
    await admin.query(`comment on database ${name} is ${admin.escapeLiteral(text)}`);
    return { name, filledAt };
  } finally {
    await admin.end();
  }
}

async function readMark(admin: Client, name: string): Promise<Mark | undefined> {
  const { rows } = await admin.query<{ mark: string | null }>(
    `select shobj_description(oid, 'pg_database') as mark from pg_database where datname = $1`,
    [name],
  );
  return rows[0]?.mark ? JSON.parse(rows[0].mark) : undefined;
}

/** Changes with the migrations and with the rows. */
function fingerprint(): string {
  const migrations = join(projectRoot, 'migrations/committed');
  const sources = [
    join(import.meta.dirname, 'fillDatabase.ts'),
    ...readdirSync(migrations)
      .sort()
      .map((file) => join(migrations, file)),
  ];
  const hash = createHash('sha256');
  for (const source of sources) hash.update(readFileSync(source));
  return hash.digest('hex');
}
