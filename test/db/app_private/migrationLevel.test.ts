import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Pool } from 'pg';
import { appliedMigration, expectedMigration } from '../../../db/migrationLevel.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { admin, ask, connected, denied } from '../callers.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const level = 'select app_private.migration_level() as level';

test('is the newest committed migration, for both processes', async () => {
  expect(await appliedMigration(database.api)).toBe(expectedMigration());
  const worker = new Pool({ connectionString: database.workerUrl, max: 1 });
  expect(await appliedMigration(worker)).toBe(expectedMigration());
  await worker.end();
});

test('is 0 in a database without any', async () => {
  await connected(database.ownerUrl, async (client) => {
    await client.query('begin');
    await client.query('delete from graphile_migrate.migrations');
    expect(await appliedMigration(client)).toBe(0);
    await client.query('rollback');
  });
});

test('is not told to requests', async () => {
  await expect(ask(database, admin, level)).rejects.toMatchObject(denied);
});

test("is all that the API's login may read of it", async () => {
  await expect(database.api.query('select from graphile_migrate.migrations')).rejects.toMatchObject(
    denied,
  );
});
