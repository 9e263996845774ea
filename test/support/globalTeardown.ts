import { rm } from 'node:fs/promises';
import { Client } from 'pg';
import { closeShared, environment } from './environment.ts';

/** Closes what all tests share; complains of what they left open. */
export default async function globalTeardown(): Promise<void> {
  const { superuserUrl, issuerDir } = environment();
  const client = new Client({ connectionString: superuserUrl });
  await client.connect();
  const { rows } = await client.query(
    `select application_name, datname, query from pg_stat_activity
     where backend_type = 'client backend' and pid <> pg_backend_pid()`,
  );
  const { rows: databases } = await client.query(
    "select datname from pg_database where datname like 'test\\_%'",
  );
  await client.end();
  await closeShared();
  await rm(issuerDir, { recursive: true });
  const left = [...rows, ...databases];
  if (left.length > 0) throw new Error(`Tests left open: ${JSON.stringify(left, null, 1)}`);
}
