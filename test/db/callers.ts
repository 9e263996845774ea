import { Client, type ClientBase } from 'pg';
import type { TestCaller, TestDatabase } from '../support/database.ts';

/** Who asks in the tests of the model. Their names are claims. */

/** A member of Acme. */
export const alice: TestCaller = { userId: 'user_alice', orgId: 'org_acme' };
/** Another member of Acme. */
export const bob: TestCaller = { userId: 'user_bob', orgId: 'org_acme' };
/** An administrator of Acme. */
export const admin: TestCaller = { userId: 'user_admin', orgId: 'org_acme', orgRole: 'admin' };
/** A member of Acme with the permission to manage documents. */
export const editor: TestCaller = {
  userId: 'user_editor',
  orgId: 'org_acme',
  permissions: ['org:docs:read', 'org:docs:manage'],
};
/** A member of Globex. */
export const carol: TestCaller = { userId: 'user_carol', orgId: 'org_globex' };
/** Carol's administrator, who has no power in Acme. */
export const globexAdmin: TestCaller = {
  userId: 'user_dave',
  orgId: 'org_globex',
  orgRole: 'admin',
};
/** Alice at Globex, where she belongs too. */
export const aliceAtGlobex: TestCaller = { userId: 'user_alice', orgId: 'org_globex' };
/** Alice without an active organization. */
export const aliceAlone: TestCaller = { userId: 'user_alice', orgId: 'user_alice', orgRole: '' };
/** Someone whom no token named: every claim is empty. */
export const nobody: TestCaller = { userId: '', orgId: '', orgRole: '' };

const known = [alice, bob, admin, editor, carol, globexAdmin, aliceAtGlobex, aliceAlone];

/** Provisions everybody above but nobody. */
export async function provisionAll(database: TestDatabase): Promise<void> {
  for (const caller of known) await database.provision(caller);
}

/** Runs work as app_user with a caller's claims, and commits. */
export function commitAs<Result>(
  database: TestDatabase,
  caller: TestCaller,
  work: (client: ClientBase) => Promise<Result>,
): Promise<Result> {
  return database.as(caller, work, 'commit');
}

/** Runs one statement as app_user with a caller's claims, and rolls it back. */
export function ask(
  database: TestDatabase,
  caller: TestCaller,
  sql: string,
  values: unknown[] = [],
) {
  return database.as(caller, (client) => client.query(sql, values));
}

/** Runs work on a connection of its own, for other logins than the API's. */
export async function connected<Result>(
  connectionString: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** What Postgres throws, by SQLSTATE. */
export const denied = { code: '42501' };
