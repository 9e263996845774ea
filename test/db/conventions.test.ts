import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { connected } from './callers.ts';
import { conventions } from './conventions.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

describe.each(conventions)('$claim', ({ offenders, breach }) => {
  test('holds', async () => {
    expect((await database.superuser.query(offenders)).rows).toEqual([]);
  });

  test('is noticed when it does not', async () => {
    await connected(String(database.superuser.options.connectionString), async (client) => {
      await client.query('begin');
      await client.query(breach);
      expect((await client.query(offenders)).rowCount).toBeGreaterThan(0);
      await client.query('rollback');
    });
  });
});
