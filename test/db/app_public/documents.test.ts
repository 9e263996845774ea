import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';

const alice = { userId: 'user_alice', orgId: 'org_a' };
const bob = { userId: 'user_bob', orgId: 'org_a' };
const admin = { userId: 'user_admin', orgId: 'org_a', orgRole: 'admin' };
const stranger = { userId: 'user_carol', orgId: 'org_b' };

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
  for (const caller of [alice, bob, admin, stranger]) await database.provision(caller);
  await database.superuser.query(
    "insert into app_public.documents (org_id, owner_id, title) values ('org_a', 'user_alice', 'Plan')",
  );
});
afterAll(() => database.close());

describe('a member', () => {
  test('reads every document of the organization', async () => {
    const { rows } = await database.as(bob, (c) =>
      c.query('select title from app_public.documents'),
    );
    expect(rows).toEqual([{ title: 'Plan' }]);
  });
});
