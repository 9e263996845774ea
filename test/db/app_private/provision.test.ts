import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Pool } from 'pg';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { alice, ask, connected, denied } from '../callers.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(() =>
  database.superuser.query('truncate app_public.users, app_public.organizations cascade'),
);

/** What a token says; Alice in Acme unless told otherwise. */
type Facts = {
  userId?: string;
  email?: string | null;
  name?: string | null;
  orgId?: string;
  slug?: string | null;
  role?: string | null;
};

const call = 'select app_private.provision($1, $2, $3, $4, $5, $6)';
const parameters = (facts: Facts) => {
  const told = { userId: 'user_alice', orgId: 'org_acme', role: 'member', ...facts };
  return [told.userId, told.email, told.name, told.orgId, told.slug, told.role];
};
const provision = (facts: Facts = {}) => database.api.query(call, parameters(facts));
const rowsOf = async (sql: string) => (await database.superuser.query(sql)).rows;
const users = () => rowsOf('select id, email, name from app_public.users order by id');
const organizations = () =>
  rowsOf('select id, kind, name, slug from app_public.organizations order by id');
const memberships = () =>
  rowsOf('select org_id, user_id, role from app_public.memberships order by org_id, user_id');

describe('the first sight of a token', () => {
  test('makes user, organization and membership', async () => {
    await provision({ email: 'alice@example.com', name: 'Alice', slug: 'acme', role: 'admin' });
    expect(await users()).toEqual([
      { id: 'user_alice', email: 'alice@example.com', name: 'Alice' },
    ]);
    expect(await organizations()).toEqual([
      { id: 'org_acme', kind: 'ORGANIZATION', name: 'acme', slug: 'acme' },
    ]);
    expect(await memberships()).toEqual([
      { org_id: 'org_acme', user_id: 'user_alice', role: 'admin' },
    ]);
  });

  test('names an organization without a slug by its id', async () => {
    await provision();
    expect(await organizations()).toMatchObject([{ name: 'org_acme', slug: null }]);
  });

  test('without an organization makes the personal space, which the user owns', async () => {
    await provision({ orgId: 'user_alice', role: null });
    expect(await organizations()).toEqual([
      { id: 'user_alice', kind: 'PERSONAL', name: 'Personal', slug: null },
    ]);
    expect(await memberships()).toEqual([
      { org_id: 'user_alice', user_id: 'user_alice', role: 'owner' },
    ]);
  });
});

describe('a later sight', () => {
  test('changes nothing when it says the same', async () => {
    const facts = { email: 'alice@example.com', name: 'Alice', slug: 'acme' };
    const stamps = `
      select id, updated_at, ctid from app_public.users
      union all select id, updated_at, ctid from app_public.organizations
      union all select org_id || user_id, updated_at, ctid from app_public.memberships
      order by id`;
    await provision(facts);
    const before = await rowsOf(stamps);
    await provision(facts);
    expect(await rowsOf(stamps)).toEqual(before);
    expect(before).toHaveLength(3);
  });

  test('updates email, name, role and slug, and says when', async () => {
    await provision({ email: 'old@example.com', name: 'Old', slug: 'old', role: 'member' });
    await provision({ email: 'new@example.com', name: 'New', slug: 'new', role: 'admin' });
    expect(await users()).toEqual([{ id: 'user_alice', email: 'new@example.com', name: 'New' }]);
    expect(await organizations()).toMatchObject([{ slug: 'new' }]);
    expect(await memberships()).toMatchObject([{ role: 'admin' }]);
    const touched = (table: string) =>
      rowsOf(`select updated_at > created_at as touched from app_public.${table}`);
    for (const table of ['users', 'organizations', 'memberships']) {
      expect(await touched(table)).toEqual([{ touched: true }]);
    }
  });

  test('never erases a known email, name or slug', async () => {
    await provision({ email: 'alice@example.com', name: 'Alice', slug: 'acme' });
    await provision({ email: null, name: 'Alice Adams', slug: null });
    await provision({ email: null, name: null, slug: null });
    expect(await users()).toEqual([
      { id: 'user_alice', email: 'alice@example.com', name: 'Alice Adams' },
    ]);
    expect(await organizations()).toMatchObject([{ slug: 'acme' }]);
  });

  test('in another organization leaves the first one alone', async () => {
    await provision({ role: 'admin' });
    await provision({ orgId: 'org_globex', role: 'member' });
    await provision({ orgId: 'user_alice', role: null });
    expect(await memberships()).toEqual([
      { org_id: 'org_acme', user_id: 'user_alice', role: 'admin' },
      { org_id: 'org_globex', user_id: 'user_alice', role: 'member' },
      { org_id: 'user_alice', user_id: 'user_alice', role: 'owner' },
    ]);
  });

  test('of a colleague changes only the colleague', async () => {
    await provision({ email: 'alice@example.com', role: 'admin' });
    await provision({ userId: 'user_bob', email: 'bob@example.com', role: 'member' });
    expect(await users()).toMatchObject([
      { email: 'alice@example.com' },
      { email: 'bob@example.com' },
    ]);
    expect(await memberships()).toMatchObject([{ role: 'admin' }, { role: 'member' }]);
  });
});

test.each([
  { what: 'no user', facts: { userId: '' } },
  { what: 'an id of 256 characters', facts: { userId: 'u'.repeat(256) } },
  { what: 'no organization', facts: { orgId: '' } },
  { what: 'an email address of 321 characters', facts: { email: 'e'.repeat(321) } },
  { what: 'a name of 256 characters', facts: { name: 'n'.repeat(256) } },
])('refuses $what, and makes nothing', async ({ facts }) => {
  await expect(provision(facts)).rejects.toMatchObject({ code: '23514' });
  expect([await users(), await organizations(), await memberships()]).toEqual([[], [], []]);
});

describe('twenty at once', () => {
  let pool: Pool;
  beforeAll(() => {
    pool = new Pool({ connectionString: database.apiUrl, max: 20 });
  });
  afterAll(() => pool.end());

  /** Provisions each of the facts on a connection of its own, five times over. */
  async function together(facts: Facts[]): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await Promise.all(facts.map((each) => pool.query(call, parameters(each))));
    }
  }
  const twenty = (facts: (i: number) => Facts) => Array.from({ length: 20 }, (_, i) => facts(i));

  test('of the same user and organization make one row each', async () => {
    await together(twenty(() => ({ slug: 'acme' })));
    expect(await users()).toHaveLength(1);
    expect(await organizations()).toHaveLength(1);
    expect(await memberships()).toHaveLength(1);
  });

  test('of the same user, saying different things, settle on one of them', async () => {
    await together(
      twenty((i) => ({ email: `alice${i}@example.com`, slug: `acme${i}`, role: `role${i}` })),
    );
    expect(await users()).toEqual([
      { id: 'user_alice', email: expect.stringMatching(/^alice\d+@example.com$/), name: null },
    ]);
    expect(await organizations()).toHaveLength(1);
    expect(await memberships()).toHaveLength(1);
  });

  test('of different users make one organization', async () => {
    await together(twenty((i) => ({ userId: `user_${i}`, slug: `acme${i % 2}` })));
    expect(await users()).toHaveLength(20);
    expect(await organizations()).toHaveLength(1);
    expect(await memberships()).toHaveLength(20);
  });

  test('of users and organizations crosswise make each row once', async () => {
    await together(
      twenty((i) => ({
        userId: `user_${i % 4}`,
        name: `Name ${i}`,
        orgId: `org_${i % 5}`,
        slug: `slug${i}`,
      })),
    );
    expect(await users()).toHaveLength(4);
    expect(await organizations()).toHaveLength(5);
    expect(await memberships()).toHaveLength(20);
  });

  test('of personal spaces and organizations make each row once', async () => {
    await together(
      twenty((i) => {
        const userId = `user_${i % 5}`;
        return i % 2 ? { userId, orgId: userId, role: null } : { userId };
      }),
    );
    expect(await users()).toHaveLength(5);
    expect(await organizations()).toHaveLength(6);
    expect(await memberships()).toHaveLength(10);
  });
});

describe('may not be called', () => {
  test('by a request', async () => {
    await provision();
    await expect(ask(database, alice, call, parameters({}))).rejects.toMatchObject(denied);
  });

  test('by the worker', async () => {
    await connected(database.workerUrl, (client) =>
      expect(client.query(call, parameters({}))).rejects.toMatchObject(denied),
    );
  });
});
