import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  admin,
  alice,
  aliceAlone,
  aliceAtGlobex,
  ask,
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

const ids = 'select array_agg(id order by id) as ids from app_public.users';
const seenBy = async (caller: typeof alice) => (await ask(database, caller, ids)).rows[0].ids;

test('a member sees the members of the current organization', async () => {
  expect(await seenBy(alice)).toEqual(['user_admin', 'user_alice', 'user_bob', 'user_editor']);
  expect(await seenBy(carol)).toEqual(['user_alice', 'user_carol', 'user_dave']);
});

test('who belongs to two organizations sees the members of the current one only', async () => {
  expect(await seenBy(aliceAtGlobex)).toEqual(['user_alice', 'user_carol', 'user_dave']);
});

test('in the personal space one sees oneself', async () => {
  expect(await seenBy(aliceAlone)).toEqual(['user_alice']);
});

test('who belongs nowhere sees themselves', async () => {
  await database.superuser.query("insert into app_public.users (id) values ('user_new')");
  expect(await seenBy({ userId: 'user_new', orgId: 'user_new' })).toEqual(['user_new']);
});

test('nobody sees no one', async () => {
  expect(await seenBy(nobody)).toBeNull();
});

test('a stranger is not found by id or email address', async () => {
  const byId =
    "select from app_public.users where id = 'user_carol' or email = 'carol@example.com'";
  await database.superuser.query(
    "update app_public.users set email = 'carol@example.com' where id = 'user_carol'",
  );
  expect((await ask(database, alice, byId)).rowCount).toBe(0);
  expect((await ask(database, carol, byId)).rowCount).toBe(1);
});

test('whose membership has ended is no longer seen', async () => {
  await database.provision({ userId: 'user_left', orgId: 'org_acme' });
  expect(await seenBy(alice)).toContain('user_left');
  await database.superuser.query(
    "delete from app_public.memberships where user_id = 'user_left' and org_id = 'org_acme'",
  );
  expect(await seenBy(alice)).not.toContain('user_left');
});

describe('not even an administrator', () => {
  test.each([
    "insert into app_public.users (id) values ('user_forged')",
    "update app_public.users set name = 'Forged' where id = 'user_admin'",
    "delete from app_public.users where id = 'user_admin'",
    "select from app_public.users where id = 'user_admin' for update",
  ])('may write the mirror: %s', async (sql) => {
    await expect(ask(database, admin, sql)).rejects.toMatchObject(denied);
  });
});
