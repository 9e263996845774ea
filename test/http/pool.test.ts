import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { environment } from '../support/environment.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let api: TestApi;
let token: string;
/** Holds a lock, on which statements of the API wait. */
let holder: Client;

beforeAll(async () => {
  database = await openTestDatabase();
  await database.superuser.query(`
    create function app_public.wait() returns boolean language sql stable
    as 'select true from pg_advisory_xact_lock_shared(1)';
    create function app_public.leave() returns boolean language plpgsql volatile security definer
    as 'begin return pg_terminate_backend(pg_backend_pid()); end';
    grant execute on function app_public.wait(), app_public.leave() to app_user`);
  holder = new Client({ connectionString: withDatabaseOf(database.apiUrl) });
  await holder.connect();
  api = await startApi(database, { DATABASE_POOL_SIZE: '2' });
  token = await signIn({ user: 'user_alice', org: 'org_acme' });
  await api.request(token, '{ me { id } }');
});
afterAll(async () => {
  await api.close();
  await holder.end();
  await database.close();
});

/** As the superuser, in the database of another connection string. */
function withDatabaseOf(url: string): string {
  const superuser = new URL(environment().superuserUrl);
  superuser.pathname = new URL(url).pathname;
  return superuser.href;
}

/** The series of the pool: name without its prefix, and state or `le` where there is one. */
async function poolMetrics(): Promise<Record<string, number>> {
  const text = await (await fetch(`${api.url}/metrics`)).text();
  const pattern = /^db_client_connection_(\w+)\{([^}]*)\} (\S+)$/gm;
  return Object.fromEntries(
    [...text.matchAll(pattern)].map(([, name, labels = '', value]) => {
      expect(labels).toContain('db_client_connection_pool_name="rowhouse-api"');
      const state = labels.match(/(?:state|le)="([^"]*)"/)?.[1];
      return [state ? `${name} ${state}` : `${name}`, Number(value)];
    }),
  );
}

test('/metrics shows who holds connections, who waits for one, and who waited in vain', async () => {
  const before = await poolMetrics();
  expect(before).toMatchObject({ max: 2, pending_requests: 0, 'count used': 0, timeouts_total: 0 });
  expect(before['count idle']).toBeGreaterThan(0);

  await holder.query('select pg_advisory_lock(1)');
  const held = [1, 2].map(() => api.request(token, '{ wait }'));
  await until('both connections to be in use', async () => {
    return (await poolMetrics())['count used'] === 2;
  });
  const late = api.request(token, '{ me { id } }');
  const inPart = api.request(token, '{ __typename me { id } }');
  await until('somebody to wait', async () => (await poolMetrics()).pending_requests === 2);
  const { errors, status, headers } = await late;
  expect(errors?.[0]?.extensions.code).toBe('UNAVAILABLE');
  expect([status, headers.get('retry-after')]).toEqual([503, '2']);
  expect(await inPart).toMatchObject({ status: 200, data: { __typename: 'Query', me: null } });

  await holder.query('select pg_advisory_unlock(1)');
  for (const answer of held) expect((await answer).data).toEqual({ wait: true });
  const after = await poolMetrics();
  expect(after).toMatchObject({
    'count idle': 2,
    'count used': 0,
    pending_requests: 0,
    timeouts_total: 2,
    create_time_count: 2,
  });
  // Two callers got a connection, and gave it back after more than the wait of the others.
  const grown = (name: string) => Number(after[name]) - Number(before[name]);
  expect(grown('wait_time_count')).toBe(2);
  expect(grown('use_time_count')).toBe(2);
  expect(grown('use_time_sum')).toBeGreaterThan(3);
  expect(grown('wait_time_sum')).toBeLessThan(2);
});

test('a mutation whose connection broke may have been done, and nobody is told to ask for it again', async () => {
  const { status, headers, errors } = await api.request(
    token,
    'mutation { leave(input: {}) { result } }',
  );
  expect(errors?.[0]?.extensions).toMatchObject({ code: 'UNAVAILABLE', mayBeDone: true });
  expect([status, headers.get('retry-after')]).toEqual([503, null]);
});
