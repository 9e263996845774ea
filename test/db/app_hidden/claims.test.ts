import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Client } from 'pg';
import {
  openTestDatabase,
  setClaims,
  type TestCaller,
  type TestDatabase,
} from '../../support/database.ts';
import { alice, ask, carol, commitAs, connected, provisionAll } from '../callers.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
  const insert = "insert into app_public.documents (title) values ('x')";
  for (const caller of [alice, carol]) await commitAs(database, caller, (c) => c.query(insert));
});
afterAll(() => database.close());

const all = `
  select app_hidden.current_user_id() as user_id, app_hidden.current_org_id() as org_id,
    app_hidden.current_org_role() as org_role, app_hidden.current_request_id() as request_id,
    app_hidden.has_permission('org:docs:manage') as may_manage,
    app_hidden.can_manage_documents() as can_manage`;
const absent = {
  user_id: null,
  org_id: null,
  org_role: null,
  request_id: null,
  may_manage: false,
  can_manage: false,
};

/** Reads all claims as app_user, in a transaction of its own. */
async function read(client: Client, settings: Record<string, string> = {}) {
  await client.query('begin');
  await client.query('set local role app_user');
  for (const [name, value] of Object.entries(settings)) {
    await client.query('select set_config($1, $2, true)', [name, value]);
  }
  const { rows } = await client.query(all);
  await client.query('commit');
  return rows[0];
}

describe('the claims', () => {
  test('are what the settings of the transaction say', async () => {
    const caller = { ...alice, orgRole: 'editor', permissions: ['org:a:b', 'org:docs:manage'] };
    expect((await ask(database, caller, all)).rows).toEqual([
      {
        user_id: 'user_alice',
        org_id: 'org_acme',
        org_role: 'editor',
        request_id: 'test',
        may_manage: true,
        can_manage: true,
      },
    ]);
  });

  test('are absent on a connection that never had any', async () => {
    await connected(database.apiUrl, async (client) => {
      expect(await read(client)).toEqual(absent);
    });
  });

  test("are absent after another caller's transaction, when the settings read ''", async () => {
    await connected(database.apiUrl, async (client) => {
      await client.query('begin');
      await setClaims(client, { ...alice, orgRole: 'admin', permissions: ['org:docs:manage'] });
      await client.query('commit');
      const { rows } = await client.query(
        "select current_setting('jwt.user_id', true) as setting, current_user::text as role",
      );
      expect(rows).toEqual([{ setting: '', role: 'rowhouse_api' }]);
      expect(await read(client)).toEqual(absent);
    });
  });

  test('are absent after a transaction that failed', async () => {
    await connected(database.apiUrl, async (client) => {
      await client.query('begin');
      await setClaims(client, alice);
      await expect(client.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' });
      await client.query('rollback');
      expect(await read(client)).toEqual(absent);
    });
  });
});

const names = [
  'jwt.user_id',
  'jwt.org_id',
  'jwt.org_role',
  'jwt.permissions',
  'jwt.actor_id',
  'app.request_id',
  'app.trace_id',
];
const poisons = {
  nothing: '',
  'a space': ' ',
  'a comma': ',',
  'many commas': ','.repeat(10_000),
  'an apostrophe': "'; drop schema app_public cascade; --",
  'an array literal': '{a,"b',
  'a pattern': '%',
  JSON: '{"user_id":"user_alice"}',
  'the word null': 'null',
  'white space and controls': '\t\n\u0001\u007f\u00a0',
  'a right-to-left override': '\u202eorg_acme',
  'a megabyte': 'x'.repeat(1_000_000),
};

describe.each(names)('a poisoned %s', (name) => {
  test.each(Object.entries(poisons))('never raises and opens nothing: %s', async (_, poison) => {
    await connected(database.apiUrl, async (client) => {
      expect(await read(client, { [name]: poison })).toMatchObject({
        may_manage: false,
        can_manage: false,
      });
      await client.query('begin');
      await setClaims(client, alice);
      await client.query('select set_config($1, $2, true)', [name, poison]);
      const { rows } = await client.query(`
        select
          (select count(*)::int from app_public.documents where org_id <> 'org_acme') as documents,
          (select count(*)::int from app_public.users where id in ('user_carol', 'user_dave')) as users,
          (select count(*)::int from app_public.search_documents('x') where org_id <> 'org_acme') as found,
          coalesce((select id from app_public.me()), 'user_alice') = 'user_alice' as is_me`);
      expect(rows).toEqual([{ documents: 0, users: 0, found: 0, is_me: true }]);
    });
  });
});

describe('has_permission', () => {
  const has = async (permissions: string[], permission: string | null) => {
    const sql = 'select app_hidden.has_permission($1) as has';
    return (await ask(database, { ...alice, permissions }, sql, [permission])).rows[0].has;
  };

  test('is true for exactly what the token carries', async () => {
    expect(await has(['org:a:b', 'org:c:d'], 'org:a:b')).toBe(true);
    expect(await has(['org:a:b', 'org:c:d'], 'org:c:d')).toBe(true);
    expect(await has(['org:a:b'], 'org:a')).toBe(false);
    expect(await has(['org:a:b'], 'org:a:bc')).toBe(false);
    expect(await has(['org:a:b'], 'ORG:A:B')).toBe(false);
  });

  test('is false for nothing, for null, and for two at once', async () => {
    expect(await has([], 'org:a:b')).toBe(false);
    expect(await has([], '')).toBe(false);
    expect(await has(['org:a:b'], null)).toBe(false);
    expect(await has(['org:a:b', 'org:c:d'], 'org:a:b,org:c:d')).toBe(false);
  });
});

describe('how fresh the sign-in is', () => {
  const nowMs = Date.now();
  const minutesAgo = (minutes: number) => nowMs - minutes * 60_000;
  const fresh = async (
    factors: Partial<Pick<TestCaller, 'firstFactorAtMs' | 'secondFactorAtMs'>>,
  ) =>
    (
      await ask(
        database,
        { ...alice, ...factors },
        `select app_hidden.is_fresh(10) as first, app_hidden.is_second_factor_fresh(10) as second`,
      )
    ).rows[0];

  test('counts from when the factor was given', async () => {
    const at = minutesAgo(9);
    expect(await fresh({ firstFactorAtMs: at })).toEqual({ first: true, second: true });
    expect(await fresh({ firstFactorAtMs: minutesAgo(11) })).toEqual({
      first: false,
      second: false,
    });
  });

  test('asks who has a second factor for that', async () => {
    const stale = { firstFactorAtMs: minutesAgo(1), secondFactorAtMs: minutesAgo(11) };
    expect(await fresh(stale)).toEqual({ first: true, second: false });
    const renewed = { firstFactorAtMs: minutesAgo(60), secondFactorAtMs: minutesAgo(1) };
    expect(await fresh(renewed)).toEqual({ first: false, second: true });
  });

  test('is never where no factor was given, or the setting is no time', async () => {
    expect(await fresh({})).toEqual({ first: false, second: false });
    for (const text of ['never', '-1', '1e9', '9'.repeat(40), ' 1']) {
      const { rows } = await database.superuser.query(
        `select app_hidden.is_fresh(2147483647) from set_config('jwt.first_factor_at', $1, true)`,
        [text],
      );
      expect(rows).toEqual([{ is_fresh: false }]);
    }
  });
});
