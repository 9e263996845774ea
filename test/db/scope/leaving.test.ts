import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { WithPgClient } from 'postgraphile/@dataplan/pg';
import { makeWithPgClient } from '../../../db/scope/makeWithPgClient.ts';
import { scopeSignal } from '../../../db/scope/settings.ts';
import { signIn, startApi, type TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { until } from '../../support/until.ts';
import { addPlayground, openTestPool, query, reading, writing } from './playground.ts';

let database: TestDatabase;
let api: TestApi;
let token: string;

const poolSize = 5;

beforeAll(async () => {
  database = await openTestDatabase();
  await addPlayground(database);
  // A query and a mutation that take as long as they are told.
  await database.superuser.query(`
    create function app_public.nap(seconds float) returns float language sql stable
    as 'select seconds from pg_sleep(seconds)';
    create function app_public.work(seconds float) returns float language plpgsql as $$
    begin
      insert into play.things (id) values (1);
      perform pg_sleep(seconds);
      return seconds;
    end $$;
    grant execute on function app_public.nap(float), app_public.work(float) to app_user`);
  api = await startApi(database, { DATABASE_POOL_SIZE: String(poolSize) });
  token = await signIn({ user: 'user_alice', org: 'org_acme' });
  await api.request(token, '{ me { id } }');
});
afterAll(async () => {
  await api.close();
  await database.close();
});

/** How many back-ends run something of the API's now, or something with this text. */
async function active(text = ''): Promise<number> {
  const { rows } = await database.superuser.query(
    `select count(*)::int from pg_stat_activity
     where datname = current_database() and usename = 'rowhouse_api' and state <> 'idle'
       and position($1 in query) > 0`,
    [text],
  );
  return rows[0].count;
}

/** Whether a stopped process has a signal waiting. Where there is no /proc, a moment is enough. */
function hasPendingSignal(pid: number): boolean {
  const file = `/proc/${pid}/status`;
  return !existsSync(file) || /^ShdPnd:\s*0*[1-9a-f]/m.test(readFileSync(file, 'utf8'));
}

describe('a caller whose signal is aborted', () => {
  const work = (text: string, settings: typeof reading, signal: AbortSignal) => {
    const pool = openTestPool(database, { statementTimeoutMs: 20_000 });
    const withPgClient = makeWithPgClient(pool) as unknown as WithPgClient;
    const scope = { ...settings, [scopeSignal]: signal };
    return { pool, withPgClient, scope, send: () => query(withPgClient, scope, text) };
  };
  const running = (text?: string) => until('the statement', () => active(text));

  test.each([
    ['a read', reading],
    ['a write', writing],
  ])('has its statement canceled, %s, and its connection not used again', async (_, settings) => {
    const leaving = new AbortController();
    const { pool, send } = work('select pg_sleep(15)', settings, leaving.signal);
    const failed = expect(send()).rejects.toMatchObject({ code: '57014' });
    await running();
    leaving.abort();
    await failed;
    expect(await active()).toBe(0);
    await until('the pool to let go', () => pool.totalCount === 0);
    await pool.end();
  });

  test('has its statement canceled, though the first request for it came too early', async () => {
    const leaving = new AbortController();
    const { pool, withPgClient, send } = work('select pg_sleep(15)', reading, leaving.signal);
    const [backend] = (await query(withPgClient, reading, 'select pg_backend_pid() as pid')) as {
      pid: number;
    }[];
    const pid = backend?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    const failed = expect(send()).rejects.toMatchObject({ code: '57014' });
    try {
      await until('the statement', () => pool.idleCount === 0);
      leaving.abort();
      // The signal waits with the statement, and a back-end looks at signals first.
      await until('the cancel', () => hasPendingSignal(pid));
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await failed;
    await pool.end();
  });

  test('has its transaction undone, and sends nothing more', async () => {
    const leaving = new AbortController();
    const { pool, withPgClient, scope } = work('', writing, leaving.signal);
    const later: unknown[] = [];
    const failed = expect(
      withPgClient(scope, (client) =>
        client.withTransaction(async (inner) => {
          await inner.query({ text: 'insert into play.things (id) values (7)' });
          await inner
            .query({ text: 'select pg_sleep(15)' })
            .catch((error) => later.push(error.code));
          await inner.query({ text: 'select 1' }).catch((error) => later.push(error.code));
          return 'done';
        }),
      ),
    ).rejects.toMatchObject({ code: 'TIMEOUT' });
    await running('pg_sleep');
    leaving.abort();
    await failed;
    // Postgres's word for it, where its answer was faster than ours.
    expect([
      ['57014', 'TIMEOUT'],
      ['TIMEOUT', 'TIMEOUT'],
    ]).toContainEqual(later);
    await until('the backend to end', async () => (await active()) === 0);
    const { rows } = await database.superuser.query('select 1 from play.things where id = 7');
    expect(rows).toEqual([]);
    await pool.end();
  });

  test('between two statements of a transaction undoes it', async () => {
    const leaving = new AbortController();
    const { pool, withPgClient, scope } = work('', writing, leaving.signal);
    const failed = withPgClient(scope, (client) =>
      client.withTransaction(async (inner) => {
        await inner.query({ text: 'insert into play.things (id) values (8)' });
        leaving.abort();
      }),
    );
    await expect(failed).rejects.toMatchObject({ code: 'TIMEOUT' });
    const { rows } = await database.superuser.query('select 1 from play.things where id = 8');
    expect(rows).toEqual([]);
    await pool.end();
  });

  test('while it waits for a connection gives it back unused', async () => {
    const leaving = new AbortController();
    const { pool, send } = work('select 1', reading, leaving.signal);
    const held = await pool.connect();
    const failed = expect(send()).rejects.toMatchObject({ code: 'TIMEOUT' });
    leaving.abort();
    held.release();
    await failed;
    expect([pool.totalCount, pool.idleCount]).toEqual([1, 1]);
    await pool.end();
  });

  test('when all is done loses nothing', async () => {
    const leaving = new AbortController();
    const { pool, send } = work('select 1 as n', reading, leaving.signal);
    expect(await send()).toEqual([{ n: 1 }]);
    leaving.abort();
    expect([pool.totalCount, pool.idleCount]).toEqual([1, 1]);
    await pool.end();
  });

  test('when all is done harms nobody who has the connection by then', async () => {
    const leaving = new AbortController();
    const { pool, withPgClient, send } = work('select 1', reading, leaving.signal);
    await send();
    const next = query(withPgClient, writing, 'select 1 as n from pg_sleep(0.5)');
    await running();
    leaving.abort();
    expect(await next).toEqual([{ n: 1 }]);
    await pool.end();
  });
});

describe('a client that closes its socket', () => {
  /** Sends a request; `leave` closes the socket, once all of it is on its way. */
  function send(source: string) {
    const client = request(`${api.url}/graphql`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    });
    const isSent = once(client, 'finish');
    const isClosed = once(client, 'close').catch(() => {});
    client.on('error', () => {});
    client.end(JSON.stringify({ query: source }));
    return {
      async leave() {
        await isSent;
        client.destroy();
        await isClosed;
      },
    };
  }

  test.each([
    ['query', '{ nap(seconds: 9) }'],
    ['mutation', 'mutation { work(input: {seconds: 9}) { clientMutationId } }'],
  ])('has its %s canceled within two seconds', async (_, source) => {
    const client = send(source);
    await until('the statement', active);
    await client.leave();
    await until('the cancel', async () => (await active()) === 0, 2_000);
    const { rows } = await database.superuser.query('select 1 from play.things');
    expect(rows).toEqual([]);
  });

  test('is told apart from one that stays', async () => {
    const leaving = send('{ nap(seconds: 9) }');
    const staying = api.request(token, '{ nap(seconds: 0.5) }');
    await until('both statements', async () => (await active()) === 2);
    await leaving.leave();
    expect((await staying).data).toEqual({ nap: 0.5 });
  });

  test('two hundred times leaves the pool whole and nothing running', async () => {
    for (let wave = 0; wave < 5; wave++) {
      const clients = Array.from({ length: 40 }, () => send('{ nap(seconds: 9) }'));
      await until('statements', active);
      await Promise.all(clients.map((client) => client.leave()));
    }
    // Well before the statements would end by themselves.
    await until('the cancels', async () => (await active()) === 0, 8_000);
    // As many as the pool is large run at once again, and none waits for another.
    const answers = await Promise.all(
      Array.from({ length: poolSize }, () => api.request(token, '{ nap(seconds: 0.3) }')),
    );
    expect(answers.map(({ data }) => data)).toEqual(
      Array.from({ length: poolSize }, () => ({ nap: 0.3 })),
    );
    const left = api.logs.filter(({ msg, status }) => msg === 'request' && status === 499);
    expect(left.length).toBeGreaterThanOrEqual(200);
    // Nobody is to blame: no error of ours is in the log.
    expect(api.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
