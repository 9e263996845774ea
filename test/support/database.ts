import { randomBytes } from 'node:crypto';
import { Client, type ClientBase, Pool } from 'pg';
import { type Caller, pgSettings } from '../../db/claims.ts';
import { environment } from './environment.ts';

/** A database of one test file, migrated and empty. */
export type TestDatabase = {
  /** Connection strings of the three logins. */
  ownerUrl: string;
  apiUrl: string;
  workerUrl: string;
  /** The superuser, for looking behind the scenes and for preparing rows. */
  superuser: Pool;
  /** The API's login. */
  api: Pool;
  /** Provisions the user, organization and membership of a caller, as the API would. */
  provision(caller: TestCaller): Promise<void>;
  /** Runs work as app_user with a caller's claims, and rolls everything back, or commits. */
  as<Result>(
    caller: TestCaller,
    work: (client: ClientBase) => Promise<Result>,
    end?: 'rollback' | 'commit',
  ): Promise<Result>;
  close(): Promise<void>;
};

/** Who asks: an organization's member, by default. */
export type TestCaller = Pick<Caller, 'userId' | 'orgId'> & Partial<Caller>;

/** Makes a database from the migrated template. Close it: what is left open fails the run. */
export async function openTestDatabase(): Promise<TestDatabase> {
  const shared = environment();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onCluster(`create database ${name} template rowhouse owner rowhouse_owner`);
  const urlTo = (url: string) => withDatabase(url, name);
  const superuser = new Pool({ connectionString: urlTo(shared.superuserUrl), max: 3 });
  const api = new Pool({ connectionString: urlTo(shared.apiUrl), max: 3 });
  const callers = new Pool({ connectionString: urlTo(shared.apiUrl), max: 30 });

  return {
    ownerUrl: urlTo(shared.ownerUrl),
    apiUrl: urlTo(shared.apiUrl),
    workerUrl: urlTo(shared.workerUrl),
    superuser,
    api,
    async provision({ userId, orgId, orgRole }) {
      const isPersonal = orgId === userId;
      await api.query('select app_private.provision($1, null, null, $2, null, $3)', [
        userId,
        orgId,
        isPersonal ? null : (orgRole ?? 'member'),
      ]);
    },
    async as(caller, work, end = 'rollback') {
      const client = await callers.connect();
      try {
        await client.query('begin');
        await setClaims(client, caller);
        const result = await work(client);
        await client.query(end);
        return result;
      } finally {
        client.release(!(await isFreshAgain(client)));
      }
    },
    async close() {
      await Promise.all([superuser, api, callers].map((pool) => pool.end()));
      await onCluster(`drop database ${name}`);
    },
  };
}

/** Puts a caller's claims into the open transaction of a connection. */
export async function setClaims(client: ClientBase, caller: TestCaller): Promise<void> {
  const settings = pgSettings({ orgRole: 'member', permissions: [], ...caller }, 'test');
  await client.query(
    'select set_config(name, value, true) from jsonb_each_text($1) as setting (name, value)',
    [JSON.stringify(settings)],
  );
}

/** Leaves nothing of a transaction and its session; false where the connection is of no use. */
async function isFreshAgain(client: ClientBase): Promise<boolean> {
  try {
    await client.query('rollback');
    await client.query('discard all');
    return true;
  } catch {
    return false;
  }
}

function withDatabase(url: string, name: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${name}`;
  return parsed.href;
}

async function onCluster(sql: string): Promise<void> {
  const client = new Client({ connectionString: environment().superuserUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
