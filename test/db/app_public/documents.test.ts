import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  admin,
  alice,
  aliceAlone,
  aliceAtGlobex,
  ask,
  bob,
  carol,
  commitAs,
  denied,
  editor,
  globexAdmin,
  nobody,
  provisionAll,
} from '../callers.ts';

let database: TestDatabase;
/** Alice's document in Acme, and Carol's in Globex. */
let plan: string;
let secret: string;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

beforeEach(async () => {
  await database.superuser.query('truncate app_public.documents cascade');
  const insert = "insert into app_public.documents (title, body) values ($1, 'Body') returning id";
  const write = (title: string) => async (client: { query: TestDatabase['api']['query'] }) =>
    (await client.query(insert, [title])).rows[0].id as string;
  plan = await commitAs(database, alice, write('Plan'));
  secret = await commitAs(database, carol, write('Secret'));
});

const titles = 'select title from app_public.documents order by title';
const rename = "update app_public.documents set title = 'Renamed' where id = $1";
const remove = 'delete from app_public.documents where id = $1';

describe('a member', () => {
  test('reads their own, and of a colleague’s not even that they are there', async () => {
    expect((await ask(database, alice, titles)).rows).toEqual([{ title: 'Plan' }]);
    expect((await ask(database, bob, titles)).rows).toEqual([]);
    const known = 'select from app_public.documents where id = $1';
    expect((await ask(database, bob, known, [plan])).rowCount).toBe(0);
  });

  test('writes documents of their own, in the organization of the claims', async () => {
    const { rows } = await ask(
      database,
      bob,
      "insert into app_public.documents (title) values ('Mine') returning org_id, owner_id, body, created_at = now() and updated_at = now() as stamped",
    );
    expect(rows).toEqual([{ org_id: 'org_acme', owner_id: 'user_bob', body: '', stamped: true }]);
  });

  test.each(['org_id', 'id', 'owner_id', 'search', 'created_at', 'updated_at'])(
    'cannot set %s, neither in a new document nor in their own',
    async (column) => {
      const insert = `insert into app_public.documents (title, ${column}) values ('Mine', default)`;
      await expect(ask(database, alice, insert)).rejects.toMatchObject(denied);
      const update = `update app_public.documents set ${column} = default where id = $1`;
      await expect(ask(database, alice, update, [plan])).rejects.toMatchObject(denied);
    },
  );

  test('changes and deletes their own', async () => {
    expect((await ask(database, alice, rename, [plan])).rowCount).toBe(1);
    expect((await ask(database, alice, remove, [plan])).rowCount).toBe(1);
  });

  test("can neither change, delete nor lock a colleague's", async () => {
    expect((await ask(database, bob, rename, [plan])).rowCount).toBe(0);
    expect((await ask(database, bob, remove, [plan])).rowCount).toBe(0);
    const lock = 'select from app_public.documents where id = $1 for update';
    expect((await ask(database, bob, lock, [plan])).rowCount).toBe(0);
  });
});

describe('an administrator or a holder of org:docs:manage', () => {
  test.each([admin, editor])(
    "reads, changes and deletes a colleague's: $userId",
    async (caller) => {
      expect((await ask(database, caller, titles)).rows).toEqual([{ title: 'Plan' }]);
      expect((await ask(database, caller, rename, [plan])).rowCount).toBe(1);
      expect((await ask(database, caller, remove, [plan])).rowCount).toBe(1);
    },
  );

  test.each([admin, editor])(
    "has no power over another organization's: $userId",
    async (caller) => {
      expect((await ask(database, caller, rename, [secret])).rowCount).toBe(0);
      expect((await ask(database, caller, remove, [secret])).rowCount).toBe(0);
    },
  );

  test.each([
    { orgRole: 'Admin' },
    { orgRole: 'administrator' },
    { orgRole: 'org:admin' },
    { permissions: ['org:docs:manage2'] },
    { permissions: ['org:docs'] },
    { permissions: ['ORG:DOCS:MANAGE'] },
    { permissions: ['org:docs:manage '] },
  ])('is not whoever looks like one: %j', async (claims) => {
    const caller = { ...bob, ...claims };
    expect((await ask(database, caller, titles)).rows).toEqual([]);
    expect((await ask(database, caller, rename, [plan])).rowCount).toBe(0);
    expect((await ask(database, caller, remove, [plan])).rowCount).toBe(0);
  });
});

describe.each([
  { who: 'a member of another organization', caller: carol },
  { who: 'an administrator of another organization', caller: globexAdmin },
  { who: 'the owner, acting for another organization', caller: aliceAtGlobex },
  { who: 'the owner, in the personal space', caller: aliceAlone },
  { who: 'the organization named as user', caller: { userId: 'org_acme', orgId: 'org_globex' } },
  { who: 'nobody', caller: nobody },
])('$who', ({ caller }) => {
  test('cannot read a document, by list, count or id', async () => {
    const { rows } = await ask(
      database,
      caller,
      `select
         (select count(*)::int from app_public.documents where org_id = 'org_acme') as listed,
         exists (select from app_public.documents where id = $1) as known,
         exists (select from app_public.documents where owner_id = 'user_alice') as written`,
      [plan],
    );
    expect(rows).toEqual([{ listed: 0, known: false, written: false }]);
  });

  test('cannot change or delete it', async () => {
    expect((await ask(database, caller, rename, [plan])).rowCount).toBe(0);
    expect((await ask(database, caller, remove, [plan])).rowCount).toBe(0);
  });
});

test('without claims nothing can be written', async () => {
  const insert = "insert into app_public.documents (title) values ('Stray')";
  await expect(ask(database, nobody, insert)).rejects.toMatchObject(denied);
});

test('a user without an organization in the claims cannot write either', async () => {
  const insert = "insert into app_public.documents (title) values ('Stray')";
  await expect(ask(database, { ...alice, orgId: '' }, insert)).rejects.toMatchObject(denied);
  await expect(ask(database, { ...alice, userId: '' }, insert)).rejects.toMatchObject(denied);
});

test('the personal space holds what was written there', async () => {
  await commitAs(database, aliceAlone, (client) =>
    client.query("insert into app_public.documents (title) values ('Diary')"),
  );
  expect((await ask(database, aliceAlone, titles)).rows).toEqual([{ title: 'Diary' }]);
  expect((await ask(database, alice, titles)).rows).toEqual([{ title: 'Plan' }]);
});

test('two organizations may have the same id, and neither learns of it', async () => {
  await database.superuser.query(
    "insert into app_public.documents (org_id, id, owner_id, title) values ('org_globex', $1, 'user_carol', 'Twin')",
    [plan],
  );
  const byId = 'select title from app_public.documents where id = $1';
  expect((await ask(database, alice, byId, [plan])).rows).toEqual([{ title: 'Plan' }]);
  expect((await ask(database, carol, byId, [plan])).rows).toEqual([{ title: 'Twin' }]);
  expect((await ask(database, alice, remove, [plan])).rowCount).toBe(1);
});

describe('an id', () => {
  test('sorts by time of creation, also within one transaction', async () => {
    const { rows } = await database.as(alice, async (client) => {
      for (let i = 0; i < 50; i++) {
        await client.query('insert into app_public.documents (title) values ($1)', [`Note ${i}`]);
      }
      return client.query(
        "select title from app_public.documents where title like 'Note %' order by id",
      );
    });
    expect(rows.map(({ title }) => title)).toEqual(
      Array.from({ length: 50 }, (_, i) => `Note ${i}`),
    );
  });

  test('is a UUID of version 7', async () => {
    const { rows } = await ask(
      database,
      alice,
      'select uuid_extract_version(id)::int as version, abs(extract(epoch from uuid_extract_timestamp(id) - created_at)) < 5 as is_now from app_public.documents',
    );
    expect(rows).toEqual([{ version: 7, is_now: true }]);
  });
});

describe('a document', () => {
  const insert = 'insert into app_public.documents (title, body) values ($1, $2)';

  test.each([
    { what: 'an empty title', title: '', body: '', constraint: 'documents_title_check' },
    {
      what: 'a title of 501 characters',
      title: 'x'.repeat(501),
      body: '',
      constraint: 'documents_title_check',
    },
    {
      what: 'a body of 100 001 characters',
      title: 'x',
      body: 'x'.repeat(100_001),
      constraint: 'documents_body_check',
    },
  ])('is refused with $what', async ({ title, body, constraint }) => {
    await expect(ask(database, alice, insert, [title, body])).rejects.toMatchObject({
      code: '23514',
      constraint,
    });
  });

  test('is refused without a title', async () => {
    await expect(ask(database, alice, insert, [null, ''])).rejects.toMatchObject({
      code: '23502',
      column: 'title',
    });
  });

  test('is refused with a NUL character', async () => {
    await expect(ask(database, alice, insert, ['a\0b', ''])).rejects.toMatchObject({
      code: '22021',
    });
  });

  test.each([
    { what: 'words', body: 'lorem ipsum ' },
    { what: 'one word', body: 'x' },
    { what: 'emoji', body: '👩‍🚀' },
    { what: 'rare ideographs', body: '𠀀𠀁 𪛖-' },
    { what: 'hyphens', body: 'a1-b2-' },
    { what: 'links', body: 'https://example.com/a-b?c=d#e ' },
    { what: 'addresses', body: 'a.b+c@example.com ' },
    { what: 'markup', body: '<b a="c">&amp;</b>' },
    { what: 'quotes and backslashes', body: '\'"\\$1:*&|!' },
    { what: 'white space', body: '\n\t\u00a0\u2028' },
  ])('of 100 000 characters is indexed whole: $what', async ({ body }) => {
    const characters = Array.from(body);
    const long = Array.from({ length: 100_000 }, (_, i) => characters[i % characters.length]).join(
      '',
    );
    const { rows } = await ask(
      database,
      alice,
      `with written as (
         insert into app_public.documents (title, body) values ($1, $2) returning title, body
       )
       select length(body) as length,
         app_hidden.document_search(title, body) is not null as indexed
       from written`,
      ['😀'.repeat(500), long],
    );
    expect(rows).toEqual([{ length: 100_000, indexed: true }]);
  });
});
