import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { environment } from './environment.ts';

/** A database nobody has migrated. */
export type EmptyDatabase = {
  ownerUrl: string;
  apiUrl: string;
  workerUrl: string;
  superuserUrl: string;
  close(): Promise<void>;
};

/** Makes an empty database on the tests' cluster. Close it: what is left open fails the run. */
export async function openEmptyDatabase(): Promise<EmptyDatabase> {
  const { ownerUrl, apiUrl, workerUrl, superuserUrl } = environment();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await runSql(superuserUrl, `create database ${name} owner rowhouse_owner`);
  const urlTo = (url: string) => {
    const parsed = new URL(url);
    parsed.pathname = `/${name}`;
    return parsed.href;
  };
  return {
    ownerUrl: urlTo(ownerUrl),
    apiUrl: urlTo(apiUrl),
    workerUrl: urlTo(workerUrl),
    superuserUrl: urlTo(superuserUrl),
    close: async () => {
      await runSql(superuserUrl, `drop database ${name}`);
    },
  };
}

/** Runs SQL on a connection of its own. */
export async function runSql<Row extends object>(
  connectionString: string,
  sql: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<Row>(sql, values);
    return rows;
  } finally {
    await client.end();
  }
}
