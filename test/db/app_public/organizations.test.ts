import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  admin,
  alice,
  aliceAlone,
  aliceAtGlobex,
  ask,
  bob,
  carol,
  denied,
  nobody,
  provisionAll,
} from '../callers.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

const ids = 'select array_agg(id order by id) as ids from app_public.organizations';
const seenBy = async (caller: typeof alice) => (await ask(database, caller, ids)).rows[0].ids;

test.each([alice, aliceAtGlobex, aliceAlone])(
  'a caller sees every organization they belong to, whichever is active: $orgId',
  async (caller) => {
    expect(await seenBy(caller)).toEqual(['org_acme', 'org_globex', 'user_alice']);
  },
);

test('a caller does not see the others', async () => {
  expect(await seenBy(bob)).toEqual(['org_acme']);
  expect(await seenBy(carol)).toEqual(['org_globex']);
});

test('another organization is not found by id, name or slug', async () => {
  const byAnything =
    "select from app_public.organizations where 'org_globex' in (id, name) or slug = 'globex'";
  await database.superuser.query(
    "update app_public.organizations set slug = 'globex' where id = 'org_globex'",
  );
  expect((await ask(database, bob, byAnything)).rowCount).toBe(0);
  expect((await ask(database, carol, byAnything)).rowCount).toBe(1);
});

test('nobody sees none', async () => {
  expect(await seenBy(nobody)).toBeNull();
});

test('an organization one has left is no longer seen', async () => {
  const eve = { userId: 'user_eve', orgId: 'org_acme' };
  await database.provision(eve);
  expect(await seenBy(eve)).toEqual(['org_acme']);
  await database.superuser.query("delete from app_public.memberships where user_id = 'user_eve'");
  expect(await seenBy(eve)).toBeNull();
});

describe('not even an administrator', () => {
  test.each([
    "insert into app_public.organizations (id, kind, name) values ('org_x', 'ORGANIZATION', 'X')",
    "update app_public.organizations set name = 'Forged' where id = 'org_acme'",
    "delete from app_public.organizations where id = 'org_acme'",
    "select from app_public.organizations where id = 'org_acme' for update",
  ])('may write the mirror: %s', async (sql) => {
    await expect(ask(database, admin, sql)).rejects.toMatchObject(denied);
  });
});

test('an organization with documents cannot be deleted under them', async () => {
  await database.superuser.query(
    "insert into app_public.documents (org_id, owner_id, title) values ('org_acme', 'user_alice', 'Plan')",
  );
  await expect(
    database.superuser.query("delete from app_public.organizations where id = 'org_acme'"),
  ).rejects.toMatchObject({ constraint: 'documents_org_id_fkey' });
});
