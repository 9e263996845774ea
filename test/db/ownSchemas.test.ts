import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { findOwnSchemas } from '../../db/ownSchemas.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { connected } from './callers.ts';

/** Which schemas lint, catalogue, matrix and proof look at. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const house = ['app_hidden', 'app_private', 'app_public'];

/** The schemas that are ours after some SQL of the superuser's. */
function schemasAfter(sql: string): Promise<string[]> {
  return connected(String(database.superuser.options.connectionString), async (client) => {
    await client.query(`begin; ${sql}`);
    const schemas = await findOwnSchemas(client);
    await client.query('rollback');
    return schemas;
  });
}

test.each([
  ['requests may use', 'create schema crm; grant usage on schema crm to app_user', 'crm'],
  ['everybody may use', 'create schema crm; grant usage on schema crm to public', 'crm'],
  [
    'the login of the API may use',
    'create schema crm; grant usage on schema crm to rowhouse_api',
    'crm',
  ],
  [
    "the group of the worker's logins may use",
    'create schema crm; grant usage on schema crm to app_worker',
    'crm',
  ],
  [
    'requests may use by way of another role',
    'create schema crm; create role spoon_group; grant spoon_group to app_user; grant usage on schema crm to spoon_group',
    'crm',
  ],
  ['requests own', 'create schema crm authorization app_user', 'crm'],
  [
    'the owner of our schemas owns, and nobody else may use',
    'create schema crm authorization rowhouse_owner',
    'crm',
  ],
  [
    'is called public, where everybody may use it',
    'grant usage on schema public to public',
    'public',
  ],
  [
    'is home to an extension and to a table of ours',
    'create schema crm; grant usage on schema crm to app_user; create extension pg_trgm schema crm; create table crm.leads (id int)',
    'crm',
  ],
])('a schema is ours that %s', async (_, sql, schema) => {
  expect(await schemasAfter(sql)).toEqual([...house, schema].sort());
});

test.each([
  ['somebody else made, and nobody of ours may use', 'create schema theirs'],
  [
    'others may use',
    'create schema theirs; create role spoon; grant usage on schema theirs to spoon',
  ],
  [
    'is home to an extension alone',
    'create schema ext; grant usage on schema ext to public; create extension pg_trgm schema ext',
  ],
  ['the queue is in', 'grant usage on schema graphile_worker to app_user'],
])('a schema is not ours that %s', async (_, sql) => {
  expect(await schemasAfter(sql)).toEqual(house);
});
