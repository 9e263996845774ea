import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openTestDatabase, setClaims, type TestDatabase } from '../support/database.ts';
import { alice, connected, provisionAll } from './callers.ts';

/** What a team's own migrations do to the tables that are there. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

test.each([
  ['users', 'select to_jsonb(me) as row from app_public.me() as me', 1],
  ['documents', "select id from app_public.search_documents('anvil')", 0],
  ['documents', 'select id from app_public.similar_documents(uuidv7())', 0],
])('%s may get a column, and lose it: %s answers', async (table, sql, count) => {
  await connected(String(database.superuser.options.connectionString), async (client) => {
    await client.query(`begin; alter table app_public.${table} add column extra text default 'x'`);
    await setClaims(client, alice);
    const { rows } = await client.query(sql);
    expect(rows).toHaveLength(count);
    for (const { row } of rows) expect(row).toMatchObject({ extra: 'x' });
    await client.query(`reset role; alter table app_public.${table} drop column extra`);
    await setClaims(client, alice);
    await client.query(`${sql}; rollback`);
  });
});
