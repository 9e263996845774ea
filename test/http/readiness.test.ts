import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcpProxy.ts';
import { until } from '../support/until.ts';

const poolSize = 2;
const migrated = /^migration (\d+) of \1$/;

let database: TestDatabase;
let way: TcpProxy;
let api: TestApi;
let token: string;

beforeAll(async () => {
  database = await openTestDatabase();
  await database.superuser.query(`
    create function app_public.wait() returns boolean language sql stable
    as 'select true from pg_advisory_xact_lock_shared(1)';
    grant execute on function app_public.wait() to app_user`);
  way = await openTcpProxy(database.apiUrl);
  api = await startApi({ apiUrl: way.url }, { DATABASE_POOL_SIZE: String(poolSize) });
  token = await signIn({ user: 'user_alice', org: 'org_acme' });
  await api.request(token, '{ me { id } }');
});
afterAll(async () => {
  await api.close();
  await way.close();
  await database.close();
});

test('readiness is green while slow statements hold all connections and more wait for one', async () => {
  const answers = await whileTaken(async () => {
    const asked = Array.from({ length: 12 }, () => api.request(token, '{ me { id } }'));
    const first = await ready();
    await Promise.all(asked);
    return [first, await ready()];
  });
  for (const { status, database: state } of answers) {
    expect([status, state]).toEqual([200, { ok: true, detail: expect.stringMatching(migrated) }]);
  }
});

test('readiness takes one connection more, however many ask', async () => {
  const probes = await Promise.all(Array.from({ length: 20 }, ready));
  for (const { status } of probes) expect(status).toBe(200);
  expect(await backends('rowhouse-api-probe')).toHaveLength(1);
});

test('readiness is green where Postgres has connections for requests and none for it', async () => {
  await endBackends();
  await api.request(token, '{ me { id } }');
  const { rows } = await database.superuser.query(
    `select current_database() as name, count(*) as n from pg_stat_activity
     where datname = current_database() and backend_type = 'client backend'`,
  );
  await database.superuser.query(`alter database ${rows[0].name} connection limit ${rows[0].n}`);
  try {
    await freshly();
    const { status, database: state } = await ready();
    expect([status, state.detail]).toEqual([200, expect.stringMatching(migrated)]);
    expect(await backends('rowhouse-api-probe')).toEqual([]);
  } finally {
    await database.superuser.query(`alter database ${rows[0].name} connection limit -1`);
  }
});

test('readiness tells of a database that hangs, and forgets it as soon as it is well', async () => {
  await until('a good answer', async () => (await ready()).status === 200);
  await freshly();
  way.next('there', 'halfOpen');
  expect(await ready()).toEqual({ status: 503, database: { ok: false, detail: 'no answer' } });
  await until('a good answer', async () => (await ready()).status === 200);
});

test('readiness stays green and says so while the database is read-only, and changes are told to wait', async () => {
  await database.provision({ userId: 'user_bob', orgId: 'org_acme' });
  const { rows } = await database.superuser.query('select current_database() as name');
  const { name } = rows[0];
  await database.superuser.query(`alter database ${name} set default_transaction_read_only to on`);
  try {
    await endBackends();
    await freshly();
    const { status, database: state } = await ready();
    expect([status, state.detail]).toEqual([200, expect.stringMatching(/, read-only$/)]);

    // Also whom this process meets only now, where the mirror knows him.
    const known = await signIn({ user: 'user_bob', org: 'org_acme', role: 'member' });
    for (const who of [token, known]) {
      expect((await api.request(who, '{ me { id } }')).errors).toBeUndefined();
    }
    const create =
      'mutation { createDocument(input: {document: {title: "x"}}) { document { id } } }';
    const refused = await api.request(token, create);
    expect(refused.errors?.[0]?.extensions.code).toBe('UNAVAILABLE');
    expect(refused.status).toBe(503);
    const stranger = await signIn({ user: 'user_stranger', org: 'org_acme' });
    const turnedAway = await api.request(stranger, '{ me { id } }');
    expect(turnedAway.errors?.[0]?.extensions.code).toBe('UNAVAILABLE');
  } finally {
    await database.superuser.query(`alter database ${name} reset default_transaction_read_only`);
    await endBackends();
  }
  await freshly();
  expect((await ready()).database.detail).toMatch(migrated);
});

/** Does something while each connection of the API runs a statement that does not end. */
async function whileTaken<Result>(work: () => Promise<Result>): Promise<Result> {
  const holder = await database.superuser.connect();
  await holder.query('select pg_advisory_lock(1)');
  const held = Array.from({ length: poolSize }, () => api.request(token, '{ wait }'));
  try {
    await until('all connections to be taken', async () => {
      const waiting = await backends('rowhouse-api', "and wait_event = 'advisory'");
      return waiting.length === poolSize;
    });
    return await work();
  } finally {
    await holder.query('select pg_advisory_unlock(1)');
    holder.release();
    await Promise.all(held);
  }
}

type Ready = { status: number; database: { ok: boolean; detail?: string } };

async function ready(): Promise<Ready> {
  const response = await fetch(`${api.url}/readyz`);
  const { checks } = (await response.json()) as { checks: Pick<Ready, 'database'> };
  return { status: response.status, database: checks.database };
}

/** Until what readiness knew of the database no longer counts. */
async function freshly(): Promise<void> {
  const atMs = performance.now() + 1_050;
  await until('the last answer to be old', () => performance.now() > atMs);
}

async function backends(name: string, more = ''): Promise<unknown[]> {
  const { rows } = await database.superuser.query(
    `select pid from pg_stat_activity
     where datname = current_database() and application_name = $1 ${more}`,
    [name],
  );
  return rows;
}

/** As a failover would: what is open ends, and what comes is new. */
async function endBackends(): Promise<void> {
  await database.superuser.query(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity
     where datname = current_database() and application_name like 'rowhouse-api%'`,
  );
}
