import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Client, type Pool } from 'pg';
import type { PgClient, WithPgClient } from 'postgraphile/@dataplan/pg';
import { limitsOf } from '../../db/pool.ts';
import { asLogin } from '../../db/scope/asLogin.ts';
import { makeWithPgClient } from '../../db/scope/makeWithPgClient.ts';
import { readSamples } from '../contract/samples.ts';
import { addPlayground, openTestPool, query, reading, writing } from '../db/scope/playground.ts';
import { type Answer, signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { environment } from '../support/environment.ts';
import { findPgBouncer, openPgBouncer, type PgBouncer } from '../support/pgBouncer.ts';
import { startProgram } from '../support/program.ts';
import { openTcpProxy } from '../support/tcpProxy.ts';
import { until } from '../support/until.ts';

/** Where it is not installed these tests are left out, and the report counts them. */
const isInstalled = findPgBouncer() !== undefined;
const describeWithPgBouncer = isInstalled ? describe : describe.skip;
if (!isInstalled) process.stderr.write('There is no pgbouncer here: its tests are left out.\n');

/** Connections that PgBouncer opens to Postgres. */
const serverConnections = 2;
/** Connections that the API opens to PgBouncer. */
const poolSize = 10;

describeWithPgBouncer('behind PgBouncer in transaction mode (needs pgbouncer)', () => {
  let database: TestDatabase;
  let bouncer: PgBouncer;
  let url: string;

  beforeAll(async () => {
    database = await openTestDatabase();
    await addPlayground(database);
    await database.superuser.query(`
      create function app_public.nap(seconds float) returns float language sql stable
      as 'select seconds from pg_sleep(seconds)';
      create function app_public.work(seconds float) returns float language plpgsql as $$
      begin
        insert into play.things (id) values (1);
        perform pg_sleep(seconds);
        return seconds;
      end $$;
      create function app_public.bounds() returns text language sql stable as $$
        select concat_ws(' ', current_setting('statement_timeout'),
          current_setting('idle_in_transaction_session_timeout'), current_setting('jit'))
      $$;
      grant execute on function
        app_public.nap(float), app_public.work(float), app_public.bounds() to app_user`);
    bouncer = await openPgBouncer(database.apiUrl, {
      ...settingsOf(readSamples('docs/pgbouncer.md')[0]?.text ?? ''),
      default_pool_size: serverConnections,
    });
    url = bouncer.urlTo(database.apiUrl);
  });
  afterAll(async () => {
    await bouncer.close();
    await until('its connections to end', async () => (await backends()).length === 0);
    await database.close();
  });
  afterEach(expectClean);

  async function backends(state = "state in ('active', 'idle', 'idle in transaction')") {
    const { rows } = await database.superuser.query(
      `select pid, state from pg_stat_activity
       where datname = current_database() and usename = 'rowhouse_api' and ${state}`,
    );
    return rows;
  }
  const running = () => until('the statement', async () => (await backends(active)).length > 0);
  const active = "state <> 'idle'";

  /** That each connection to Postgres is its login's, with nothing of any caller. */
  async function expectClean(): Promise<void> {
    const clients = Array.from({ length: serverConnections }, () => new Client(url));
    const pids = new Set<number>();
    for (const client of clients) {
      await client.connect();
      // An open transaction keeps its connection from the next.
      await client.query('begin');
      const { rows } = await client.query(
        `select pg_backend_pid() as pid, current_user = session_user as is_login,
           ${names.map((name) => `coalesce(current_setting('${name}', true), '')`).join(' || ')} as claims,
           current_setting('transaction_read_only') as read_only,
           current_setting('statement_timeout') as statement_timeout, current_setting('jit') as jit,
           (select count(*)::int from pg_prepared_statements) as prepared`,
      );
      const { pid, ...found } = rows[0];
      pids.add(pid);
      expect(found).toEqual({
        is_login: true,
        claims: '',
        read_only: 'off',
        statement_timeout: '0',
        jit: 'on',
        prepared: 0,
      });
    }
    expect(pids.size).toBe(serverConnections);
    for (const client of clients) {
      await client.query('rollback');
      await client.end();
    }
  }

  describe('the API', () => {
    let api: TestApi;
    beforeAll(async () => {
      api = await startApi(
        { apiUrl: url },
        { DATABASE_PREPARED_STATEMENTS: 'false', DATABASE_POOL_SIZE: String(poolSize) },
      );
    });
    afterAll(() => api.close());

    test('answers many callers over few connections, each with their own', async () => {
      const callers = await Promise.all(
        Array.from({ length: 9 }, async (_, n) => {
          const [user, org] = [`user<${n}>`, `org<${n % 3}>`];
          const permissions = ['org:docs:manage'];
          const token = await signIn({ user, org, name: user, permissions });
          return { user, org, token, title: `of ${user} in ${org}` };
        }),
      );
      const create =
        'mutation ($title: String!) { createDocument(input: {document: {title: $title}}) { document { title owner { name } } } }';
      const page =
        '{ me { name documents(first: 5) { edges { node { title } } } } documents(first: 100) { edges { node { title owner { name } } } } }';
      const refused =
        'mutation { createDocument(input: {document: {title: ""}}) { document { title } } }';
      const leaks: string[] = [];
      let most = 0;

      for (let wave = 0; wave < 6; wave++) {
        const answers = callers.flatMap((caller) => [
          ask(caller, create, { title: caller.title }),
          ask(caller, page),
          ask(caller, refused),
          ask(caller, page),
        ]);
        most = Math.max(most, (await backends()).length);
        await Promise.all(answers);
      }
      async function ask(caller: (typeof callers)[number], source: string, variables?: object) {
        const { data, errors } = await api.request(caller.token, source, variables);
        const text = JSON.stringify({ data, errors });
        const foreign = [...text.matchAll(/(user|org)<(\d)>/g)].filter(
          ([name, , n]) => `org<${Number(n) % 3}>` !== caller.org || name === undefined,
        );
        if (foreign.length > 0) leaks.push(`${caller.user}: ${text}`);
        if (source === refused) expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
        else expect(errors).toBeUndefined();
        if (source === create) {
          const document = { title: caller.title, owner: { name: caller.user } };
          expect(data).toEqual({ createDocument: { document } });
        } else if (source === page) expect(data.me.name).toBe(caller.user);
      }

      expect(leaks).toEqual([]);
      expect(most).toBeLessThanOrEqual(serverConnections);
      for (const { token, title, org } of callers) {
        const { data } = await api.request(token, page);
        const titles = (connection: { edges: { node: { title: string } }[] }) =>
          connection.edges.map(({ node }) => node.title);
        expect(new Set(titles(data.me.documents))).toEqual(new Set([title]));
        expect(titles(data.documents)).toHaveLength(18);
        expect(new Set(titles(data.documents).map((each) => each.slice(-org.length)))).toEqual(
          new Set([org]),
        );
      }
    });

    test('bounds what a statement may take, though no session keeps it', async () => {
      const { data } = await api.request(await alice(), '{ bounds }');
      expect(data).toEqual({ bounds: '10s 20s off' });
    });

    test.each([
      ['query', '{ nap(seconds: 9) }'],
      ['mutation', 'mutation { work(input: {seconds: 9}) { clientMutationId } }'],
    ])('has the %s of a client that left canceled', async (_, source) => {
      const leave = await send(await alice(), source);
      await running();
      leave();
      // Well before it would end by itself.
      await until('the cancel', async () => (await backends(active)).length === 0, 4_000);
      expect((await database.superuser.query('select 1 from play.things')).rows).toEqual([]);
    });

    test('serves on while statements are canceled all around', async () => {
      const token = await alice();
      const comeAndGo = async () => {
        const leave = await send(token, '{ nap(seconds: 0.02) }');
        await running();
        leave();
      };
      const stay = (): Promise<Answer> => api.request(token, '{ viewer { user { name } } }');
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, n) => (n % 2 ? stay() : comeAndGo())),
      );
      for (const answer of answers) expect(answer?.errors).toBeUndefined();
    });

    test('is ready', async () => {
      const answer = await fetch(`${api.url}/readyz`);
      expect(await answer.json()).toMatchObject({ status: 'ready' });
    });

    /** Sends a request; what it returns closes the socket. */
    async function send(token: string, source: string): Promise<() => void> {
      const client = request(`${api.url}/graphql`, {
        method: 'POST',
        agent: false,
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      });
      client.on('error', () => {});
      const isSent = once(client, 'finish');
      client.end(JSON.stringify({ query: source }));
      await isSent;
      return () => client.destroy();
    }
    const alice = () => signIn({ user: 'user_alice', org: 'org_acme' });
  });

  describe('the scope', () => {
    const statementTimeoutMs = 300;
    let pool: Pool;
    let withPgClient: WithPgClient;
    beforeEach(() => {
      pool = openTestPool({ apiUrl: url }, { size: 3, statementTimeoutMs, hasSessions: false });
      const limits = limitsOf(statementTimeoutMs);
      withPgClient = makeWithPgClient(pool, false, limits) as unknown as WithPgClient;
    });
    afterEach(() => pool.end());

    const inTransaction = <Result>(work: (client: PgClient) => Promise<Result>) =>
      withPgClient(writing, (client) => client.withTransaction(work));
    const sleep = 'select pg_sleep(20)';

    test.each([
      ['a statement', () => query(withPgClient, reading, sleep)],
      ['a transaction', () => inTransaction((client) => client.query({ text: sleep }))],
      ['the login', () => asLogin(pool, limitsOf(statementTimeoutMs)).query(sleep)],
    ])('ends what takes too long, of %s', async (_, send) => {
      await expect(send()).rejects.toMatchObject({ code: '57014' });
      expect(pool.totalCount).toBe(1);
    });

    test('ends a transaction that is forgotten', async () => {
      await expect(
        inTransaction(async (client) => {
          const { rawClient } = client as unknown as { rawClient: Client };
          await client.query({ text: 'insert into play.things (id) values (7)' });
          await once(rawClient, 'end');
          return client.query({ text: 'select 1' });
        }),
      ).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect((await database.superuser.query('select 1 from play.things')).rows).toEqual([]);
    });

    test.each([
      ['does not parse', 'selekt', '42601'],
      ['is not allowed', 'select * from app_private.no_such_table', '42501'],
      ['fails', 'select 1 / 0', '22012'],
      ['fails a check', "insert into play.things values (2, 'forbidden')", '23514'],
      ['fails at the commit', 'insert into play.parts values (1, 99)', '23503'],
      ['writes where it may only read', 'insert into play.things values (2)', '25006'],
    ])('leaves connections clean after what %s', async (_, text, code) => {
      const settings = code === '25006' ? reading : writing;
      for (let i = 0; i < 2 * serverConnections; i++) {
        await expect(query(withPgClient, settings, text)).rejects.toMatchObject({ code });
        await expect(
          withPgClient(settings, (client) =>
            client.withTransaction((inner) => inner.query({ text })),
          ),
        ).rejects.toMatchObject({ code });
      }
      expect(await query(withPgClient, writing, 'select current_user')).toEqual([
        { current_user: 'app_user' },
      ]);
    });

    test('keeps a transaction on one connection while others go on', async () => {
      const pids = await inTransaction(async (client) => {
        const found: unknown[] = [];
        for (let i = 0; i < 5; i++) {
          const { rows } = await client.query<{ pid: number }>({
            text: 'select pg_backend_pid() as pid',
          });
          found.push(rows[0]?.pid);
          await Promise.all([1, 2].map(() => query(withPgClient, reading, 'select current_user')));
        }
        return found;
      });
      expect(new Set(pids).size).toBe(1);
    });
  });

  test.each([
    ['a read', reading],
    ['a write', writing],
  ])('makes %s unavailable that waits too long for PgBouncer, once', async (_, settings) => {
    const busy = await openPgBouncer(database.apiUrl, {
      default_pool_size: 1,
      query_wait_timeout: 1,
    });
    const busyUrl = busy.urlTo(database.apiUrl);
    const holder = new Client(busyUrl);
    await holder.connect();
    await holder.query('begin');
    const pool = openTestPool(
      { apiUrl: busyUrl },
      { statementTimeoutMs: 20_000, hasSessions: false },
    );
    const connections: unknown[] = [];
    pool.on('connect', (client) => connections.push(client));
    const withPgClient = makeWithPgClient(pool, false) as unknown as WithPgClient;
    await expect(query(withPgClient, settings, 'select 1')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(connections).toHaveLength(1);
    await holder.end();
    await pool.end();
    await busy.close();
  });

  test('a read is sent again when the connection behind it broke', async () => {
    const proxy = await openTcpProxy(database.apiUrl);
    const before = await openPgBouncer(proxy.url, { default_pool_size: 1 });
    const apiUrl = before.urlTo(database.apiUrl);
    const pool = openTestPool({ apiUrl }, { hasSessions: false });
    const withPgClient = makeWithPgClient(pool, false) as unknown as WithPgClient;
    try {
      expect(await query(withPgClient, reading, 'select 1 as n')).toEqual([{ n: 1 }]);
      proxy.next('back', 'cut');
      expect(await query(withPgClient, reading, 'select 2 as n')).toEqual([{ n: 2 }]);
      expect(proxy.happened.cut).toBe(1);
    } finally {
      await pool.end();
      await before.close();
      await proxy.close();
    }
  });

  describe('an API that was not told', () => {
    test.each([
      ['that refuses what it sends', {}],
      [
        'that ignores what it sends',
        {
          ignore_startup_parameters:
            'options,statement_timeout,idle_in_transaction_session_timeout',
        },
      ],
    ])('says so, for a PgBouncer %s, and does not get ready', async (_, settings) => {
      const other = await openPgBouncer(database.apiUrl, {
        default_pool_size: serverConnections,
        ...settings,
      });
      const { issuerUrl, jwksUrl } = environment();
      const api = startProgram('server/main.ts', {
        PORT: '0',
        DATABASE_URL: other.urlTo(database.apiUrl),
        CLERK_ISSUER: issuerUrl,
        CLERK_JWKS_URL: jwksUrl,
      });
      try {
        const line = await api.line(({ msg }) => msg === 'not ready');
        expect(line.err).toMatchObject({
          type: 'PoolerError',
          message: expect.stringContaining('DATABASE_PREPARED_STATEMENTS=false'),
        });
      } finally {
        await api.close();
        await other.close();
      }
    });
  });
});

/** The settings that the page recommends. */
function settingsOf(sample: string): Record<string, string> {
  const found = [...sample.matchAll(/^(\w+) = (.+)$/gm)].map(([, name, value]) => [name, value]);
  return Object.fromEntries(found);
}

const names = Object.keys(writing).filter((name) => name.includes('.'));
