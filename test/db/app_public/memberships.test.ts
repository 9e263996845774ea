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

const seenBy = async (caller: typeof alice): Promise<string[]> => {
  const { rows } = await ask(
    database,
    caller,
    "select org_id || ' ' || user_id || ' ' || role as row from app_public.memberships order by 1",
  );
  return rows.map(({ row }) => row);
};
const acme = [
  'org_acme user_admin admin',
  'org_acme user_alice member',
  'org_acme user_bob member',
  'org_acme user_editor member',
];
const globex = [
  'org_globex user_alice member',
  'org_globex user_carol member',
  'org_globex user_dave admin',
];
const alone = 'user_alice user_alice owner';

test('a caller sees the memberships of the current organization', async () => {
  expect(await seenBy(bob)).toEqual(acme);
  expect(await seenBy(carol)).toEqual(globex);
});

test('a caller sees their own everywhere, and nobody else elsewhere', async () => {
  expect(await seenBy(alice)).toEqual([...acme, 'org_globex user_alice member', alone]);
  expect(await seenBy(aliceAtGlobex)).toEqual(['org_acme user_alice member', ...globex, alone]);
  expect(await seenBy(aliceAlone)).toEqual([
    'org_acme user_alice member',
    'org_globex user_alice member',
    alone,
  ]);
});

test('nobody sees none', async () => {
  expect(await seenBy(nobody)).toEqual([]);
});

describe('not even an administrator', () => {
  test.each([
    "insert into app_public.memberships (org_id, user_id, role) values ('org_acme', 'user_carol', 'member')",
    "update app_public.memberships set role = 'admin'",
    "delete from app_public.memberships where user_id = 'user_bob'",
    "select from app_public.memberships where user_id = 'user_bob' for update",
  ])('may write the mirror: %s', async (sql) => {
    await expect(ask(database, admin, sql)).rejects.toMatchObject(denied);
  });
});

test('memberships end with their user and with their organization', async () => {
  await database.provision({ userId: 'user_eve', orgId: 'org_eve' });
  await database.provision({ userId: 'user_eve', orgId: 'org_other' });
  const count = async () => {
    const sql = "select count(*)::int from app_public.memberships where user_id = 'user_eve'";
    return (await database.superuser.query(sql)).rows[0].count;
  };
  expect(await count()).toBe(2);
  await database.superuser.query("delete from app_public.organizations where id = 'org_other'");
  expect(await count()).toBe(1);
  await database.superuser.query("delete from app_public.users where id = 'user_eve'");
  expect(await count()).toBe(0);
});
