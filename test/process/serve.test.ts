import { once } from 'node:events';
import { Agent } from 'node:http';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { signIn } from '../support/api.ts';
import { openBreakableDatabase } from '../support/breakableDatabase.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openEmptyDatabase } from '../support/emptyDatabase.ts';
import { environment } from '../support/environment.ts';
import { type Program, runProgram, type Settings, startServer, urlOf } from '../support/program.ts';
import { type Received, send, sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let token: string;
/** What a test opened, closed in reverse order. */
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  database = await openTestDatabase();
  token = await signIn({ user: 'user_ann', org: 'org_acme' });
});
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});
afterAll(() => database.close());

describe('readiness', () => {
  test('waits for the migrations, of an empty and of an older database, and needs no restart', async () => {
    const empty = closedAfter(await openEmptyDatabase());
    const server = start(empty.apiUrl);
    const url = await urlOf(server);
    expect(await ready(url)).toMatchObject({
      code: 503,
      status: 'not ready',
      checks: { database: { ok: false }, schema: { ok: false }, keys: { ok: true } },
    });
    const early = await sendGraphql(url, token, { query: '{ me { id } }' });
    expect(early.status).toBe(503);
    expect(early.headers['retry-after']).toBe('2');
    expect(errorOf(early)).toEqual({
      code: 'UNAVAILABLE',
      requestId: early.headers['x-request-id'],
    });

    const migrated = await runProgram('db/migrateCommand.ts', {
      DATABASE_OWNER_URL: empty.ownerUrl,
      DATABASE_URL: empty.apiUrl,
      DATABASE_WORKER_URL: empty.workerUrl,
    });
    expect(migrated.code).toBe(0);
    await untilReady(url);
    expect((await sendGraphql(url, token, { query: '{ me { id } }' })).status).toBe(200);

    // As if this version brought a migration that is not applied yet.
    await database.superuser.query(
      'create table public.newest as select * from graphile_migrate.migrations order by filename desc limit 1',
    );
    await database.superuser.query(
      'delete from graphile_migrate.migrations where filename in (select filename from public.newest)',
    );
    const older = start(database.apiUrl);
    const olderUrl = await urlOf(older);
    const { code, checks } = await ready(olderUrl);
    expect(code).toBe(503);
    expect(checks.database.detail).toMatch(/^migration \d+ of \d+$/);
    const line = await older.line(({ msg }) => msg === 'not ready');
    expect(JSON.stringify(line)).toMatch(
      /at migration \d+, and this version needs \d+: run npm run migrate/,
    );
    await database.superuser.query(
      'insert into graphile_migrate.migrations select * from public.newest; drop table public.newest',
    );
    await untilReady(olderUrl);
  });

  test('turns red when the database is gone and green when it is back, without a restart', async () => {
    const way = closedAfter(await openBreakableDatabase(database.apiUrl, { isCut: true }));
    const server = start(way.url);
    const url = await urlOf(server);
    expect((await ready(url)).checks).toMatchObject({
      database: { ok: false, detail: 'failed' },
      schema: { ok: false },
    });
    await way.mend();
    await untilReady(url);

    for (const how of ['reset', 'end'] as const) {
      expect((await ask(url)).status).toBe(200);
      const lock = await database.superuser.connect();
      await lock.query('begin; lock table app_public.documents in access exclusive mode');
      const inFlight = ask(url);
      await untilWaiting();
      await way.cut(how);
      await lock.query('rollback');
      lock.release();
      expect(errorOf(await inFlight)).toMatchObject({ code: 'UNAVAILABLE' });
      // What readiness knows of the database counts for a second.
      await until('readiness to turn red', async () => (await ready(url)).code === 503);
      expect(await ready(url)).toMatchObject({
        code: 503,
        checks: { database: { ok: false }, schema: { ok: true } },
      });
      // Who comes meanwhile, known or new, is told to come back; nobody is told why.
      const stranger = await signIn({ user: `user_${how}`, org: 'org_acme' });
      for (const who of [token, stranger]) {
        const answer = await ask(url, who);
        expect(errorOf(answer)).toMatchObject({ code: 'UNAVAILABLE' });
        expect(answer.text).not.toMatch(/ECONN|127\.0\.0\.1|connect/);
      }
      expect((await send(`${url}/healthz`)).status).toBe(200);
      await way.mend();
      await untilReady(url);
    }
    expect((await ask(url)).status).toBe(200);
    expect(server.lines.filter(({ level }) => level === 'fatal')).toEqual([]);
  });

  test('is red while the issuer’s keys were never there', async () => {
    const { port } = await closedPort();
    const server = start(database.apiUrl, { CLERK_JWKS_URL: `http://127.0.0.1:${port}/keys` });
    await server.line(({ msg }) => msg === 'ready');
    const url = await urlOf(server);
    const { code, checks } = await ready(url);
    expect({ code, checks }).toMatchObject({
      code: 503,
      checks: {
        database: { ok: true },
        schema: { ok: true },
        keys: { ok: false, detail: 'failed' },
      },
    });
    expect((await ask(url)).status).toBe(503);
  });
});

describe('liveness', () => {
  test('answers at once with neither database nor keys, and touches neither', async () => {
    let connections = 0;
    const trap = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    trap.listen(0, '127.0.0.1');
    await once(trap, 'listening');
    const { port } = trap.address() as { port: number };
    const url = new URL(database.apiUrl);
    url.port = String(port);
    const server = start(url.href, { CLERK_JWKS_URL: `http://127.0.0.1:${port}/keys` });
    await server.line(({ msg }) => msg === 'not ready');
    const before = connections;
    const probes = await Promise.all(
      Array.from({ length: 50 }, async () => send(`${await urlOf(server)}/healthz`)),
    );
    for (const { status, text } of probes) expect([status, text]).toEqual([200, '{"status":"ok"}']);
    // The start itself tries again meanwhile; 50 probes add nothing.
    expect(connections - before).toBeLessThan(5);
    trap.close();
  });
});

describe('a server that is asked to stop', () => {
  test('under load fails no request, keeps what it acknowledged, and ends with status 0', async () => {
    // Long enough for a slow machine to have done by then what follows.
    const server = start(database.apiUrl, { SHUTDOWN_DRAIN_MS: '3000' });
    await server.line(({ msg }) => msg === 'ready');
    const url = await urlOf(server);
    const load = await startLoad(url, 20);
    await until('some load', () => load.answers.length > 100);

    server.kill('SIGTERM');
    // As a load balancer: as soon as readiness is red, nothing more is sent here.
    await until('red readiness', async () => (await ready(url)).status === 'draining');
    expect((await send(`${url}/healthz`)).status).toBe(200);
    const atRed = load.answers.length;
    await until('answers while draining', () => load.answers.length > atRed + 20);
    await load.stop();

    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(load.failures).toEqual([]);
    for (const { status, text } of load.answers)
      expect([status, text.includes('errors')]).toEqual([200, false]);
    const { rows } = await database.superuser.query(
      "select count(*)::int as n from app_public.documents where title like 'Under load %'",
    );
    expect(rows[0].n).toBe(load.acknowledged());
    expect(server.lines.map(({ msg }) => msg)).toContain('draining');
    expect(server.lines.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  });

  test('finishes what runs when it closes', async () => {
    const server = start(database.apiUrl, { SHUTDOWN_DRAIN_MS: '0' });
    await server.line(({ msg }) => msg === 'ready');
    const url = await urlOf(server);
    expect((await ask(url)).status).toBe(200);
    const lock = await database.superuser.connect();
    await lock.query('begin; lock table app_public.documents in access exclusive mode');
    const slow = sendGraphql(url, token, { query: '{ documents { edges { cursor } } }' });
    await untilWaiting();
    server.kill('SIGTERM');
    await server.line(({ phase }) => phase === 'drain');
    await until('a closed listener', () =>
      send(`${url}/healthz`).then(
        () => false,
        () => true,
      ),
    );
    await lock.query('commit');
    lock.release();
    expect((await slow).status).toBe(200);
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  test('does not wait for ever for what hangs', async () => {
    const server = start(database.apiUrl, {
      SHUTDOWN_DRAIN_MS: '0',
      SHUTDOWN_GRACE_MS: '200',
      DATABASE_STATEMENT_TIMEOUT_MS: '1000',
    });
    await server.line(({ msg }) => msg === 'ready');
    const url = await urlOf(server);
    expect((await ask(url)).status).toBe(200);
    const lock = await database.superuser.connect();
    await lock.query('begin; lock table app_public.documents in access exclusive mode');
    const hanging = sendGraphql(url, token, { query: '{ documents { edges { cursor } } }' });
    const cutOff = expect(hanging).rejects.toThrow(/hang up|ECONNRESET/);
    await untilWaiting();
    server.kill('SIGTERM');
    await server.ended;
    await cutOff;
    await lock.query('rollback');
    lock.release();
  });

  test('ends at once at a second signal', async () => {
    const server = start(database.apiUrl, { SHUTDOWN_DRAIN_MS: '14000' });
    await server.line(({ msg }) => msg === 'ready');
    server.kill('SIGTERM');
    await server.line(({ msg }) => msg === 'draining');
    server.kill('SIGINT');
    expect(await server.ended).toEqual({ code: 1, signal: null });
  }, 10_000);

  test('ends while it still waits for its database', async () => {
    const { port } = await closedPort();
    const url = new URL(database.apiUrl);
    url.port = String(port);
    const server = start(url.href);
    await server.line(({ msg }) => msg === 'not ready');
    server.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });
});

describe('a server is refused', () => {
  test.each(['superuser', 'owner'] as const)(
    'a login that row-level security does not bind: the %s',
    async (which) => {
      const apiUrl = which === 'owner' ? database.ownerUrl : superuserUrlOf(database.apiUrl);
      const server = start(apiUrl);
      const line = await server.line(({ msg }) => msg === 'not ready');
      expect(line.err).toMatchObject({
        message: expect.stringMatching(
          /^The login "(postgres|rowhouse_owner)" bypasses row-level security\. Use one without SUPERUSER/,
        ),
      });
      const url = await urlOf(server);
      expect((await ready(url)).code).toBe(503);
      expect((await ask(url)).status).toBe(503);
    },
  );

  test('settings that are wrong, with all that is wrong with them', async () => {
    const { code, text } = await runProgram('server/main.ts', {
      PORT: 'eighty',
      DATABASE_URL: 'mysql://root:hunter2@db/x',
      CORS_ORIGINS: '*',
      LOG_LEVEL: 'loud',
      ROWHOUSE_DATADIR: 'x',
    });
    expect(code).toBe(1);
    for (const variable of [
      'PORT',
      'DATABASE_URL',
      'CORS_ORIGINS',
      'LOG_LEVEL',
      'ROWHOUSE_DATADIR',
      'CLERK_ISSUER',
    ]) {
      expect(text).toContain(variable);
    }
    expect(text).not.toContain('hunter2');
    expect(text).not.toMatch(/^\s+at /m);
  });

  test('a port that is taken, in plain words', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as { port: number };
    const server = start(database.apiUrl, { PORT: String(port) });
    expect((await server.ended).code).toBe(1);
    const fatal = server.lines.find(({ level }) => level === 'fatal');
    expect(fatal?.err).toMatchObject({
      message: `Cannot listen on 127.0.0.1:${port}. Is another program using it? Set PORT or HOST to another.`,
    });
    expect(server.text()).toBe('');
    squatter.close();
  });
});

function start(apiUrl: string, settings: Settings = {}): Program {
  return closedAfter(startServer(apiUrl, settings));
}

function closedAfter<Opened extends { close(): Promise<void> }>(what: Opened): Opened {
  opened.push(what);
  return what;
}

type Readiness = {
  code: number;
  status: string;
  checks: Record<'database' | 'schema' | 'keys', { ok: boolean; detail?: string }>;
};

async function ready(url: string): Promise<Readiness> {
  const { status: code, headers, text } = await send(`${url}/readyz`);
  expect(headers['cache-control']).toBe('no-store');
  expect(text).not.toMatch(/postgres|127\.0\.0\.1|rowhouse_/);
  return { code, ...JSON.parse(text) };
}

function untilReady(url: string): Promise<true> {
  return until('readiness', async () => (await ready(url)).code === 200);
}

function ask(url: string, as = token): Promise<Received> {
  return sendGraphql(url, as, { query: '{ documents(first: 1) { edges { cursor } } }' });
}

/** What the first error of an answer says besides its message. */
function errorOf({ text }: Received): unknown {
  return JSON.parse(text).errors?.[0]?.extensions;
}

/** Waits until a request of the API hangs on a lock of this file's database. */
async function untilWaiting(): Promise<void> {
  await until('a request that waits for the lock', async () => {
    const { rows } = await database.superuser.query(
      `select from pg_stat_activity
       where datname = current_database() and application_name = 'rowhouse-api' and wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });
}

/** Clients that ask one thing after the other, three reads to a write. */
async function startLoad(url: string, clients: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const answers: Received[] = [];
  const failures: unknown[] = [];
  let written = 0;
  let isStopped = false;
  const loops = Array.from({ length: clients }, async (_, client) => {
    for (let i = 0; !isStopped; i++) {
      const isWrite = i % 4 === 3;
      const query = isWrite
        ? `mutation { createDocument(input: {document: {title: "Under load ${client}.${i}"}}) { document { id } } }`
        : '{ documents(first: 5) { edges { node { id title } } } }';
      try {
        const answer = await sendGraphql(url, token, { query }, { agent });
        answers.push(answer);
        if (isWrite && answer.status === 200) written += 1;
      } catch (error) {
        failures.push(error);
      }
    }
  });
  return {
    answers,
    failures,
    acknowledged: () => written,
    async stop() {
      isStopped = true;
      await Promise.all(loops);
      agent.destroy();
    },
  };
}

/** A port nobody listens on, for a while at least. */
async function closedPort(): Promise<{ port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return { port };
}

function superuserUrlOf(apiUrl: string): string {
  const url = new URL(environment().superuserUrl);
  url.pathname = new URL(apiUrl).pathname;
  return url.href;
}
