import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import type { WithPgClient } from 'postgraphile/@dataplan/pg';
import { makeWithPgClient } from '../../../db/scope/makeWithPgClient.ts';
import { scopeSignal } from '../../../db/scope/settings.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { until } from '../../support/until.ts';
import { addPlayground, bobs, openTestPool, query, reading, writing } from './playground.ts';

let database: TestDatabase;
/** Of one connection, so that a test can look at what another caller left on it. */
let pool: Pool;
let withPgClient: WithPgClient;

beforeAll(async () => {
  database = await openTestDatabase();
  await addPlayground(database);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.superuser.query('truncate play.things, play.parts');
  pool = openTestPool(database, { statementTimeoutMs: 300 });
  withPgClient = makeWithPgClient(pool) as unknown as WithPgClient;
});
afterEach(() => pool.end());

const ask = (settings: typeof writing | null, text: string, values?: unknown[]) =>
  query<Record<string, unknown>>(withPgClient, settings, text, values);
/** A statement by its SQL, outside a transaction and within one. */
const ways: [string, (text: string) => Promise<unknown>][] = [
  ['a statement', (text) => ask(writing, text)],
  [
    'a transaction',
    (text) =>
      withPgClient(writing, (client) => client.withTransaction((inner) => inner.query({ text }))),
  ],
];

const names = Object.keys(writing).filter((name) => name.includes('.'));
const lookAround = `select pg_backend_pid() as pid, current_user, session_user,
  ${names.map((name) => `current_setting('${name}', true) as "${name}"`).join(', ')},
  current_setting('transaction_read_only') as read_only`;
const clean = {
  current_user: 'rowhouse_api',
  session_user: 'rowhouse_api',
  read_only: 'off',
};

/** What the next user of the pool finds, who brings no settings. */
async function leftOver() {
  const { rows } = await pool.query(lookAround);
  const { pid, ...found } = rows[0];
  const settings = Object.fromEntries(
    Object.entries(found).filter(([, value]) => value !== null && value !== ''),
  );
  return { pid, settings };
}

describe('the settings of a statement', () => {
  test('are all there', async () => {
    const { role, transaction_read_only, ...claims } = writing;
    expect(await ask(writing, lookAround)).toEqual([
      {
        ...claims,
        pid: expect.any(Number),
        current_user: role,
        session_user: 'rowhouse_api',
        read_only: transaction_read_only,
      },
    ]);
  });

  test('are empty where the caller has none, whatever the one before had', async () => {
    await ask(writing, 'select 1');
    const [found] = await ask({ role: 'app_user' }, lookAround);
    for (const name of names) expect(found?.[name]).toBe('');
    const accessors = `select app_hidden.current_user_id() is null as no_user,
      app_hidden.current_org_id() is null as no_org, app_hidden.current_org_role() is null as no_role,
      app_hidden.has_permission('') or app_hidden.has_permission('a') as permitted`;
    expect(await ask({ role: 'app_user' }, accessors)).toEqual([
      { no_user: true, no_org: true, no_role: true, permitted: false },
    ]);
  });

  test('are each caller’s own, turn and turn about on one connection', async () => {
    const text = 'select app_hidden.current_user_id() as id, app_hidden.current_org_role() as role';
    for (const _round of [1, 2, 3]) {
      expect(await ask(writing, text)).toEqual([{ id: 'user_alice', role: 'admin' }]);
      expect(await ask(bobs, text)).toEqual([{ id: 'user_bob', role: null }]);
    }
  });

  test('may say what SQL would misread', async () => {
    const odd = `'; reset role; select '\\ "{}" ☃ \n`;
    const [found] = await ask({ ...writing, 'jwt.user_id': odd }, lookAround);
    expect(found?.['jwt.user_id']).toBe(odd);
  });

  test('end with it: the next user of the connection is its login, and nobody', async () => {
    await ask(writing, 'select 1');
    expect((await leftOver()).settings).toEqual(clean);
  });
});

describe.each(ways)('after %s', (_, send) => {
  test.each([
    ['that succeeded', 'select 1', null],
    ['that wrote', 'insert into play.things (id) values (1)', null],
    ['that failed in mid-execution', 'select 1 / (2 - n) from generate_series(1, 3) n', '22012'],
    ['that did not parse', 'selekt', '42601'],
    ['that broke a constraint', 'insert into play.things values (1), (1)', '23505'],
    ['that broke one at its end', 'insert into play.parts values (1, 99)', '23503'],
    ['that refused', 'select play.refuse()', 'RW400'],
    ['that took too long', 'select pg_sleep(20)', '57014'],
    ['that may not be in a transaction', 'vacuum', '25001'],
  ])('%s, the connection is its login again, and nobody', async (_what, text, code) => {
    await ask(writing, 'select 1');
    const before = await leftOver();
    if (code === null) await send(text);
    else await expect(send(text)).rejects.toMatchObject({ code });
    expect(await leftOver()).toEqual({ ...before, settings: clean });
  });

  test('that was canceled, the connection is its login again, and nobody', async () => {
    const before = await leftOver();
    const canceled = expect(send('select pg_sleep(20)')).rejects.toMatchObject({ code: '57014' });
    await until('the cancel', async () => {
      const { rows } = await database.superuser.query(
        `select pg_cancel_backend(pid) from pg_stat_activity
         where pid = $1 and state = 'active' and query = 'select pg_sleep(20)'`,
        [before.pid],
      );
      return rows[0];
    });
    await canceled;
    expect(await leftOver()).toEqual({ ...before, settings: clean });
  });

  test('that began a transaction of its own, the connection is not used again', async () => {
    const before = await leftOver();
    await send('begin').catch(() => {});
    await ask(writing, 'select 1');
    const after = await leftOver();
    expect(after.settings).toEqual(clean);
    if (_ === 'a statement') expect(after.pid).not.toBe(before.pid);
  });

  test('that made settings outlast it and failed elsewhere, nobody sees them', async () => {
    await send("select set_config('jwt.user_id', 'mallory', false)");
    await expect(send('select 1 / 0')).rejects.toMatchObject({ code: '22012' });
    const [found] = await ask(bobs, lookAround);
    expect(found?.['jwt.user_id']).toBe('user_bob');
    expect((await leftOver()).settings).toEqual(clean);
  });
});

describe('nothing is sent', () => {
  const sent = async (work: () => Promise<unknown>) => {
    await work().catch(() => {});
    return pool.totalCount;
  };

  test('with a setting that the scope does not know', async () => {
    const settings = { ...writing, 'jwt.email': 'a@b.c' };
    await expect(ask(settings, 'select 1')).rejects.toMatchObject({ name: 'ScopeError' });
    await expect(ask(settings, 'select 1')).rejects.toThrow('jwt.email');
    expect(await sent(() => ask(settings, 'select 1'))).toBe(0);
  });

  test.each([
    ['without a role', { ...writing, role: undefined }],
    ['with an empty role', { ...writing, role: '' }],
    ['with empty settings', {}],
    ['without settings', undefined],
  ])('%s', async (_, settings) => {
    const work = () => ask(settings as never, 'select 1');
    await expect(work()).rejects.toMatchObject({ name: 'ScopeError' });
    expect(await sent(work)).toBe(0);
  });

  test('for a caller who has left', async () => {
    const settings = { ...writing, [scopeSignal]: AbortSignal.abort() };
    const work = () => ask(settings, 'select 1');
    await expect(work()).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await sent(work)).toBe(0);
  });
});

describe('without claims', () => {
  test('the login reads nothing', async () => {
    await expect(ask(null, 'select * from app_public.documents')).rejects.toMatchObject({
      code: '42501',
    });
  });

  test('app_user sees nothing', async () => {
    expect(await ask({ role: 'app_user' }, 'select * from app_public.users')).toEqual([]);
  });

  test('a role that the login may not become is refused, and nothing runs', async () => {
    const text = 'insert into play.things (id) values (1)';
    for (const role of ['postgres', 'rowhouse_owner', 'nobody_at_all']) {
      await expect(ask({ role }, text)).rejects.toMatchObject({ severity: 'ERROR' });
      const inTransaction = withPgClient({ role }, (client) =>
        client.withTransaction(async (inner) => {
          await inner.query({ text }).catch(() => {});
          await inner.query({ text });
        }),
      );
      await expect(inTransaction).rejects.toMatchObject({ code: '25P02' });
    }
    const { rows } = await database.superuser.query('select * from play.things');
    expect(rows).toEqual([]);
  });
});

describe('what must not write', () => {
  test.each([
    ['insert into play.things (id) values (1)'],
    ["select play.fail_until(1, 'XX000')"],
    ["select nextval('play.tries')"],
    ['create temporary table t (x int)'],
    ['update play.things set name = name'],
  ])('cannot: %s', async (text) => {
    await expect(ask(reading, text)).rejects.toMatchObject({ code: '25006' });
    await expect(
      withPgClient(reading, (client) => client.withTransaction((inner) => inner.query({ text }))),
    ).rejects.toMatchObject({ code: '25006' });
  });

  test('cannot take the right to', async () => {
    const text = "select set_config('transaction_read_only', 'off', true)";
    await expect(ask(reading, text)).rejects.toMatchObject({ code: '25001' });
  });

  test('does not keep others from writing on the same connection', async () => {
    await ask(reading, 'select 1');
    expect(await ask(writing, 'insert into play.things (id) values (1) returning id')).toEqual([
      { id: 1 },
    ]);
  });
});
