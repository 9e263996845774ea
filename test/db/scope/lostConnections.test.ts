import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import type { PgClient, WithPgClient } from 'postgraphile/@dataplan/pg';
import { makeWithPgClient } from '../../../db/scope/makeWithPgClient.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { openTcpProxy, type TcpProxy } from '../../support/tcpProxy.ts';
import { until } from '../../support/until.ts';
import { addPlayground, bobs, openTestPool, query, reading, writing } from './playground.ts';

let database: TestDatabase;
let proxy: TcpProxy;
let pool: Pool;
let withPgClient: WithPgClient;

beforeAll(async () => {
  database = await openTestDatabase();
  await addPlayground(database);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.superuser.query('truncate play.things, play.parts');
  proxy = await openTcpProxy(database.apiUrl);
  pool = openTestPool(
    { apiUrl: proxy.url },
    { size: 2, statementTimeoutMs: 5_000, answerTimeoutMs: 300 },
  );
  withPgClient = makeWithPgClient(pool) as unknown as WithPgClient;
  await ask('select 1');
});
afterEach(async () => {
  await pool.end();
  await proxy.close();
  await until('the backends to end', async () => {
    const { rows } = await database.superuser.query(
      "select 1 from pg_stat_activity where datname = current_database() and application_name = 'test'",
    );
    return rows.length === 0;
  });
});

const ask = (text: string, values?: unknown[], settings = writing) =>
  query<Record<string, unknown>>(withPgClient, settings, text, values);
const add = (client: PgClient, id: number) =>
  client.query({ text: 'insert into play.things (id) values ($1)', values: [id] });
const ids = async () =>
  (await database.superuser.query('select id from play.things order by id')).rows.map(
    ({ id }) => id,
  );

/** That the pool is whole: as many connections as it may have, each its login's, and nobody's. */
async function expectWhole(): Promise<void> {
  const clients = await Promise.all([pool.connect(), pool.connect()]);
  for (const client of clients) {
    const { rows } = await client.query(
      "select current_user, nullif(current_setting('jwt.user_id', true), '') as id",
    );
    expect(rows).toEqual([{ current_user: 'rowhouse_api', id: null }]);
    expect(client.getTransactionStatus()).toBe('I');
    client.release();
  }
}

describe('a connection that is cut', () => {
  test.each(['there', 'back'] as const)('on the way %s does not fail a read', async (way) => {
    proxy.next(way, 'cut');
    expect(await ask('select 1 as n', [], reading)).toEqual([{ n: 1 }]);
    await expectWhole();
  });

  test('with the statement makes a write unavailable, and it is not there', async () => {
    proxy.next('there', 'cut');
    await expect(ask('insert into play.things (id) values (1)')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      mayBeDone: true,
    });
    expect(await ids()).toEqual([]);
    await expectWhole();
  });

  test('with the answer makes a write unavailable, and it is there once', async () => {
    proxy.next('back', 'cut');
    await expect(ask('insert into play.things (id) values (1)')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      mayBeDone: true,
    });
    expect(await ids()).toEqual([1]);
    await expectWhole();
  });

  test('fails its transaction, and nothing of it is there', async () => {
    const work = withPgClient(writing, (client) =>
      client.withTransaction(async (inner) => {
        await add(inner, 1);
        proxy.next('back', 'cut');
        await add(inner, 2).catch(() => {});
        return 'done';
      }),
    );
    await expect(work).rejects.toMatchObject({ code: 'UNAVAILABLE', mayBeDone: false });
    expect(await ids()).toEqual([]);
    await expectWhole();
  });

  test('fails every statement that waits on it', async () => {
    const work = withPgClient(writing, (client) =>
      client.withTransaction(async (inner) => {
        await add(inner, 0);
        proxy.next('back', 'cut');
        const outcomes = await Promise.allSettled([1, 2, 3].map((id) => add(inner, id)));
        expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
        throw new Error('as expected');
      }),
    );
    await expect(work).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await ids()).toEqual([]);
  });
});

describe('a server that never answers', () => {
  test.each([
    ['a read, which took too long', reading, { code: 'TIMEOUT' }],
    // A timeout would say that nothing has changed.
    [
      'a write, of which nobody knows',
      writing,
      { code: 'UNAVAILABLE', cause: { code: 'TIMEOUT' } },
    ],
  ])('is given up on, for %s, and not asked again', async (_, settings, failure) => {
    proxy.next('back', 'halfOpen');
    await expect(ask('select 1', [], settings)).rejects.toMatchObject(failure);
    expect(proxy.happened.halfOpen).toBe(1);
    // By then, and not when it has not answered something else either.
    expect(pool.totalCount).toBe(0);
    expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
    await expectWhole();
  });

  test('is given up on in mid-transaction, and all that waits fails', async () => {
    const work = withPgClient(writing, (client) =>
      client.withTransaction(async (inner) => {
        await add(inner, 1);
        proxy.next('there', 'halfOpen');
        const outcomes = await Promise.allSettled([2, 3].map((id) => add(inner, id)));
        expect(outcomes).toMatchObject([
          { status: 'rejected', reason: { code: 'TIMEOUT' } },
          { status: 'rejected' },
        ]);
        await add(inner, 4);
      }),
    );
    await expect(work).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(pool.totalCount).toBe(0);
    await expectWhole();
  });

  test('is given up on at the commit, which may have been one', async () => {
    const work = withPgClient(writing, (client) =>
      client.withTransaction(async (inner) => {
        await add(inner, 1);
        proxy.next('back', 'halfOpen');
      }),
    );
    await expect(work).rejects.toMatchObject({ code: 'UNAVAILABLE', mayBeDone: true });
    expect(await ids()).toEqual([1]);
    await expectWhole();
  });

  test('is given up on after an error too', async () => {
    proxy.next('back', 'halfOpen');
    await expect(ask('selekt', [], reading)).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expectWhole();
  });

  test('does not keep its place in the pool from those who wait', async () => {
    const onlyOne = openTestPool(
      { apiUrl: proxy.url },
      { statementTimeoutMs: 5_000, answerTimeoutMs: 300 },
    );
    const asking = makeWithPgClient(onlyOne) as unknown as WithPgClient;
    let sent = 0;
    onlyOne.once('acquire', (client) => {
      const { query: send } = client;
      client.query = ((...args: unknown[]) => {
        sent += 1;
        return Reflect.apply(send, client, args);
      }) as typeof send;
    });
    await query(asking, writing, 'select 1');
    proxy.next('back', 'halfOpen');
    const lost = expect(query(asking, writing, 'select 1')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    const next = query(asking, writing, 'select 1 as n');
    await lost;
    expect(await next).toEqual([{ n: 1 }]);
    // Nothing was asked of the lost one meanwhile, which would have waited for an answer too.
    expect(sent).toBe(2);
    await onlyOne.end();
  });

  test('is given up on while it should prove that it is clean', async () => {
    await expect(ask('selekt')).rejects.toMatchObject({ code: '42601' });
    // The answer has come, and the proof is on its way.
    proxy.next('back', 'halfOpen');
    await until('the pool to let go', () => pool.totalCount === 0);
    expect(proxy.happened.halfOpen).toBe(1);
    await expectWhole();
  });

  test('is given up on where the pool is asked itself', async () => {
    proxy.next('back', 'halfOpen');
    await expect(pool.query('select 1')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expectWhole();
  });

  test('but is only slow, is waited for', async () => {
    proxy.stallMs = 150;
    proxy.next('back', 'stall');
    expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
    expect(proxy.happened.stall).toBe(1);
  });
});

describe('an answer that is garbled', () => {
  const look =
    'select $1::text as mark, app_hidden.current_user_id() as id from generate_series(1, 3)';
  const rowsOf = (mark: string, id: string) => Array.from({ length: 3 }, () => ({ mark, id }));

  test('ends its connection at worst, and never the process or the next caller’s answer', async () => {
    proxy.atRandom({ seed: 1, chance: 0.08, kinds: ['garble'] });
    const outcomes = new Map<string, number>();
    for (let i = 0; i < 150; i++) {
      const isAlice = i % 2 === 0;
      const settings = isAlice ? reading : bobs;
      const mark = `mark-${i}-`;
      const outcome = await ask(look, [mark], settings).then(
        (rows) => {
          const text = JSON.stringify(rows);
          // What was not garbled is what was asked for, and nothing is another's.
          expect(text).not.toContain(isAlice ? 'user_bob' : 'user_alice');
          for (const [other] of text.matchAll(/mark-\d+-/g)) expect(other).toBe(mark);
          return 'answered';
        },
        (error) => String(error.code),
      );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    proxy.atRandom(undefined);
    expect(proxy.happened.garble).toBeGreaterThan(20);
    expect(outcomes.get('answered')).toBeGreaterThan(50);
    expect([...outcomes.keys()].length).toBeGreaterThan(2);
    await until('the pool to be whole', () => expectWhole().then(() => true));
    expect(await ask(look, ['b'], bobs)).toEqual(rowsOf('b', 'user_bob'));
    expect(await ask(look, ['a'], reading)).toEqual(rowsOf('a', 'user_alice'));
  });
});

test('a connection that cannot be made leaves no socket behind, and no back-end', async () => {
  proxy.atRandom({ seed: 1, chance: 0.5, kinds: ['garble'] });
  let failed = 0;
  for (let i = 0; i < 40; i += 1) {
    const other = openTestPool({ apiUrl: proxy.url });
    const client = await other.connect().catch(() => undefined);
    client?.release(true);
    if (!client) failed += 1;
    await other.end();
  }
  proxy.atRandom(undefined);
  expect(failed).toBeGreaterThan(10);
  await until('the sockets to end', () => proxy.connections <= pool.totalCount);
});
