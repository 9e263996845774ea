import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { alice, aliceAlone, aliceAtGlobex, ask, nobody, provisionAll } from '../callers.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

const me = 'select (me).id from app_public.me() as me';

test.each([alice, aliceAtGlobex, aliceAlone])(
  'is the caller, in whatever organization: $orgId',
  async (caller) => {
    expect((await ask(database, caller, me)).rows).toEqual([{ id: 'user_alice' }]);
  },
);

test('is nobody without claims', async () => {
  expect((await ask(database, nobody, me)).rows).toEqual([]);
});

test('is nobody for a user the mirror does not know', async () => {
  const stranger = { userId: 'user_unknown', orgId: 'org_acme' };
  expect((await ask(database, stranger, me)).rows).toEqual([]);
});

test('cannot be asked by the login itself', async () => {
  await expect(database.api.query(me)).rejects.toMatchObject({ code: '42501' });
});
