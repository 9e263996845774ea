import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Pool, PoolClient } from 'pg';
import type { PgClient, WithPgClient } from 'postgraphile/@dataplan/pg';
import { makeWithPgClient } from '../../../db/scope/makeWithPgClient.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { until } from '../../support/until.ts';
import { addPlayground, openTestPool, query, reading, writing } from './playground.ts';

let database: TestDatabase;
let pool: Pool;
let withPgClient: WithPgClient;

beforeAll(async () => {
  database = await openTestDatabase();
  await addPlayground(database);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.superuser.query('truncate play.things, play.parts');
  await database.superuser.query('alter sequence play.tries restart');
  pool = openTestPool(database, { size: 3, statementTimeoutMs: 10_000 });
  withPgClient = makeWithPgClient(pool) as unknown as WithPgClient;
});
afterEach(() => pool.end());

const ask = (text: string, values?: unknown[], settings = writing) =>
  query<Record<string, unknown>>(withPgClient, settings, text, values);
const inTransaction = <Result>(work: (client: PgClient) => Promise<Result>) =>
  withPgClient(writing, (client) => client.withTransaction(work));
const things = async () =>
  (await database.superuser.query('select id, count from play.things order by id')).rows;

/** Terminates the backends that run this; true when there was one. */
async function terminate(text: string): Promise<boolean> {
  // Waits until it is gone: one that is still ending would be counted twice.
  const { rows } = await database.superuser.query(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity
     where datname = current_database() and application_name = 'test'
       and state <> 'idle' and query = $1`,
    [text],
  );
  return rows.length > 0;
}

describe('a statement that lost against another', () => {
  const tries = async () =>
    Number(
      (await database.superuser.query('select last_value from play.tries')).rows[0].last_value,
    );

  test.each(['40001', '40P01'])('with %s is sent again, twice at most', async (sqlState) => {
    expect(await ask('select play.fail_until(3, $1) as try', [sqlState])).toEqual([{ try: 3 }]);
    // What the first two had done before they failed is undone.
    expect(await things()).toEqual([{ id: 1003, count: 0 }]);
    await expect(ask('select play.fail_until(7, $1)', [sqlState])).rejects.toMatchObject({
      code: sqlState,
    });
    expect(await tries()).toBe(6);
    expect(await things()).toEqual([{ id: 1003, count: 0 }]);
  });

  test.each(['23505', '55P03', 'P0001'])('with %s is not sent again', async (sqlState) => {
    await expect(ask('select play.fail_until(2, $1)', [sqlState])).rejects.toMatchObject({
      code: sqlState,
    });
    expect(await tries()).toBe(1);
  });

  test.each(['40001', '40P01'])(
    'with %s begins its transaction again, twice at most',
    async (sqlState) => {
      const begin = (until: number) =>
        inTransaction(async (client) => {
          const first = {
            text: 'select play.fail_until($1, $2) as try',
            values: [until, sqlState],
          };
          const { rows } = await client.query<{ try: number }>(first);
          const next = { text: 'select app_hidden.current_user_id() as caller' };
          return [rows, (await client.query(next)).rows];
        });
      expect(await begin(3)).toEqual([[{ try: 3 }], [{ caller: writing['jwt.user_id'] }]]);
      expect(await things()).toEqual([{ id: 1003, count: 0 }]);
      await expect(begin(7)).rejects.toMatchObject({ code: sqlState });
      expect(await tries()).toBe(6);
      expect(await things()).toEqual([{ id: 1003, count: 0 }]);
    },
  );

  test('is not sent again in a transaction whose connection is in other hands', async () => {
    const work = inTransaction(async (client) => {
      const first = client.query({ text: 'select play.fail_until(2, $1)', values: ['40001'] });
      const { rawClient } = client as unknown as { rawClient: PoolClient };
      await Promise.allSettled([first, rawClient.query('select 1')]);
    });
    await expect(work).rejects.toBeDefined();
    expect(await tries()).toBe(1);
  });

  test('later in a transaction is not sent again: what that did before may be seen', async () => {
    const work = inTransaction(async (client) => {
      await client.query({ text: 'select 1' });
      await client.query({ text: 'select play.fail_until(2, $1)', values: ['40001'] });
    });
    await expect(work).rejects.toMatchObject({ code: '40001' });
    expect(await tries()).toBe(1);
  });

  test('for a row succeeds when the other has committed', async () => {
    await database.superuser.query('insert into play.things (id) values (1)');
    const serial = openTestPool({
      apiUrl: `${database.apiUrl}&options=-c%20default_transaction_isolation%3Drepeatable%5C%20read`,
    });
    withPgClient = makeWithPgClient(serial) as unknown as WithPgClient;
    const other = await database.superuser.connect();
    await other.query('begin');
    await other.query('update play.things set count = 10');
    const update = ask('update play.things set count = count + 1 returning count');
    await until('the lock', async () => {
      const { rows } = await database.superuser.query(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rows[0];
    });
    await other.query('commit');
    other.release();
    expect(await update).toEqual([{ count: 11 }]);
    await serial.end();
  });

  test('in a deadlock succeeds when the other is done', async () => {
    await database.superuser.query(`
      insert into play.things (id) values (1), (2);
      create sequence play.present; grant all on sequence play.present to app_user;
      create function play.update_both(first int, second int) returns void language plpgsql as $$
      begin
        update play.things set count = count + 1 where id = first;
        perform nextval('play.present');
        while (select last_value from play.present) < 2 loop perform pg_sleep(0.005); end loop;
        update play.things set count = count + 1 where id = second;
      end $$`);
    await Promise.all([ask('select play.update_both(1, 2)'), ask('select play.update_both(2, 1)')]);
    expect(await things()).toEqual([
      { id: 1, count: 2 },
      { id: 2, count: 2 },
    ]);
    // Three came to the meeting of two: one of them a second time.
    const { rows } = await database.superuser.query('select last_value::int from play.present');
    expect(rows).toEqual([{ last_value: 3 }]);
  });
});

describe('when its backend is terminated', () => {
  const nap = 'select pg_sleep(0.2) is null as slept';

  test('a read is sent again on another connection', async () => {
    const answer = ask(nap, [], reading);
    await until('the read', () => terminate(nap));
    expect(await answer).toEqual([{ slept: false }]);
  });

  test('a read is sent three times at most', async () => {
    const long = 'select pg_sleep(9)';
    const failed = expect(ask(long, [], reading)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    for (const _time of [1, 2, 3]) await until('the read', () => terminate(long));
    await failed;
    expect(await terminate(long)).toBe(false);
  });

  test('a write is not sent again', async () => {
    const text = 'insert into play.things (id) select 1 from pg_sleep(9)';
    const failed = expect(ask(text)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      cause: { code: '57P01' },
    });
    await until('the write', () => terminate(text));
    await failed;
    expect(await things()).toEqual([]);
  });

  test('a transaction is not begun again', async () => {
    let times = 0;
    const failed = expect(
      inTransaction(async (client) => {
        times += 1;
        await client.query({ text: 'insert into play.things (id) values (1)' });
        await client.query({ text: 'select pg_sleep(9)' });
      }),
    ).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await until('the transaction', () => terminate('select pg_sleep(9)'));
    await failed;
    expect(times).toBe(1);
    expect(await things()).toEqual([]);
  });

  test('between the statements of a transaction, the next one fails', async () => {
    const failed = inTransaction(async (client) => {
      await client.query({ text: 'select 1 as between' });
      await terminate('select 1 as between');
      await until('its end', () => isGone('select 1 as between'));
      await client.query({ text: 'select 2' });
    });
    await expect(failed).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('idle, nobody notices', async () => {
    await Promise.all([1, 2, 3].map(() => ask('select pg_sleep(0.02)')));
    expect(pool.totalCount).toBe(3);
    await database.superuser.query(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity
       where datname = current_database() and application_name = 'test'`,
    );
    await until('the pool to hear', () => pool.totalCount === 0);
    expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
  });

  test('ten times a second, reads go on as if nothing were', async () => {
    let isDone = false;
    const terminating = (async () => {
      while (!isDone) {
        await database.superuser.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and application_name = 'test' limit 1`,
        );
        await database.superuser.query('select pg_sleep(0.1)');
      }
    })();
    const read = async () => {
      for (let i = 0; i < 150; i++) {
        const text = 'select $1::int as n, app_hidden.current_user_id() as id';
        expect(await ask(text, [i], reading)).toEqual([{ n: i, id: 'user_alice' }]);
        await ask('select pg_sleep(0.005)', [], reading);
      }
    };
    await Promise.all([read(), read(), read()]).finally(() => {
      isDone = true;
    });
    await terminating;
  });
});

async function isGone(text: string): Promise<boolean> {
  const { rows } = await database.superuser.query(
    'select 1 from pg_stat_activity where query = $1',
    [text],
  );
  return rows.length === 0;
}

describe('a pool that is used up', () => {
  test('tells who waits for two seconds that it is unavailable, whichever way they ask', async () => {
    const held = await Promise.all([1, 2, 3].map(() => pool.connect()));
    const startMs = performance.now();
    const failures = await Promise.allSettled([
      ask('select 1'),
      ask('select 1', [], reading),
      inTransaction(async () => {}),
      pool.query('select 1'),
      pool.connect(),
    ]);
    for (const failure of failures) {
      expect(failure).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
    }
    expect(performance.now() - startMs).toBeGreaterThan(1_900);
    for (const client of held) client.release();
    expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
  });

  test('serves who waits as soon as a connection is free', async () => {
    const held = await Promise.all([1, 2, 3].map(() => pool.connect()));
    const waiting = ask('select 1 as n');
    held[0]?.release();
    expect(await waiting).toEqual([{ n: 1 }]);
    held[1]?.release();
    held[2]?.release();
  });

  test('is unavailable at once where nobody listens', async () => {
    const nowhere = openTestPool({ apiUrl: 'postgres://nobody@127.0.0.1:1/nothing' });
    const lost = makeWithPgClient(nowhere) as unknown as WithPgClient;
    await expect(query(lost, reading, 'select 1')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(nowhere.query('select 1')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await nowhere.end();
  });
});
