import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { makeClerkHistory, makeDice } from '../clerkHistory.ts';
import { assertMirrors } from '../clerkModel.ts';
import { type ClerkServer, clerkSecretKey, emptyTruth, openClerkServer } from '../clerkServer.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { runProgram, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

/** `npm run clerk:reconcile` and its job, against a server that pages, limits and fails. */

let database: TestDatabase;
let clerk: ClerkServer;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  clerk = await openClerkServer();
  await database.superuser.query(
    `truncate app_public.users, app_public.organizations, app_private.clerk_versions,
       app_private.gone_members, app_private.clerk_reconciliations cascade`,
  );
});
afterEach(() => clerk.close());

const settings = (key: string | undefined = clerkSecretKey) => ({
  DATABASE_WORKER_URL: database.workerUrl,
  CLERK_SECRET_KEY: key,
  CLERK_API_URL: clerk.url,
});
const command = 'worker/reconcileCommand.ts';
const reconcile = (...args: string[]) => runProgram(command, settings(), args);
const walks = async () =>
  (
    await database.superuser.query(
      'select phase, seen::int, changed::int, finished_at is not null as is_over from app_private.clerk_reconciliations',
    )
  ).rows;
const aUser = { first_name: 'Xenia', last_name: null, email_addresses: [] };
const live = (changes: number, seed = 7) => makeClerkHistory(changes, makeDice(seed)).truth;
const respond =
  (status: number, headers: Record<string, string> = {}) =>
  (to: ServerResponse) =>
    void to.writeHead(status, headers).end();

describe('the command', () => {
  test('brings an empty mirror to what Clerk has, page by page, and says how far it is', async () => {
    clerk.truth = live(600);
    // More than fit on two pages.
    for (let n = 0; n < 600; n += 1) {
      const times = { created_at: n, updated_at: n };
      clerk.truth.users.set(`user_x${n}`, { ...aUser, ...times, id: `user_x${n}` });
    }
    const { users, organizations, memberships } = clerk.truth;
    const all = users.size + organizations.size + memberships.size;
    const { code, text } = await reconcile();
    expect({ code, text }).toMatchObject({ code: 0 });
    expect(clerk.asked.filter((path) => path.startsWith('/v1/users?')).length).toBeGreaterThan(2);
    expect(text).toContain(`Done: ${all} looked at, ${all} corrected.`);
    expect(text).toMatch(/^organizations +\d+ looked at, \d+ corrected so far$/m);
    await assertMirrors(database, clerk.truth);
  });

  test('waits as long as Clerk asks it to, and tries again what failed there', async () => {
    clerk.truth = live(40);
    clerk.misbehaveNext(
      respond(429, { 'retry-after': '1' }),
      respond(500),
      (response) => void response.destroy(),
    );
    const startedMs = performance.now();
    const { code, text } = await reconcile();
    expect({ code, text }).toMatchObject({ code: 0 });
    expect(performance.now() - startedMs).toBeGreaterThan(1_000);
    expect(new Set(clerk.asked.slice(0, 4)).size).toBe(1);
    await assertMirrors(database, clerk.truth);
  });

  test('goes on where it was cut off', async () => {
    clerk.truth = live(60);
    // The users are read, then the key is withdrawn.
    clerk.misbehaveNext((response) => {
      response.end(JSON.stringify([...clerk.truth.users.values()]));
    }, respond(401));
    expect((await reconcile()).code).toBe(1);
    expect(await walks()).toMatchObject([{ phase: 'organizations', is_over: false }]);
    clerk.asked.length = 0;
    expect((await reconcile()).code).toBe(0);
    expect(clerk.asked.filter((path) => path.startsWith('/v1/users?'))).toEqual([]);
    expect(await walks()).toMatchObject([{ phase: 'done', is_over: true }]);
    await assertMirrors(database, clerk.truth);
  });

  test('removes who is gone, and asks for each before it does', async () => {
    clerk.truth = live(200);
    await reconcile();
    const [someone = ''] = clerk.truth.users.keys();
    clerk.truth.users.delete(someone);
    for (const key of clerk.truth.memberships.keys()) {
      if (key.endsWith(` ${someone}`)) clerk.truth.memberships.delete(key);
    }
    clerk.asked.length = 0;
    const { code, text } = await reconcile('--json');
    expect({ code, changed: JSON.parse(text).changed }).toEqual({ code: 0, changed: 1 });
    expect(clerk.asked).toContain(`/v1/users/${someone}`);
    await assertMirrors(database, clerk.truth);
  });

  test('keeps whom a page passed over while it shifted', async () => {
    clerk.truth = live(100);
    await reconcile();
    const users = [...clerk.truth.users.values()];
    clerk.misbehaveNext((response) => {
      response.end(JSON.stringify(users.slice(1)));
    });
    expect(JSON.parse((await reconcile('--json')).text)).toMatchObject({ changed: 0 });
    await assertMirrors(database, clerk.truth);
  });

  test('removes nothing where too much is missing, unless it is told to', async () => {
    clerk.truth = live(300);
    const before = clerk.truth;
    await reconcile();
    clerk.truth = emptyTruth();
    const { code, text } = await reconcile();
    expect(code).toBe(1);
    expect(text).toMatch(/Clerk does not list \d+ of the \d+ things in the mirror/);
    await assertMirrors(database, before);
    expect((await reconcile('--remove-many')).code).toBe(0);
    await assertMirrors(database, clerk.truth);
  });

  test('says what is wrong with its settings, and never the key', async () => {
    const without = await runProgram(command, settings(''));
    expect(without).toMatchObject({ code: 1, text: expect.stringContaining('CLERK_SECRET_KEY') });
    const wrong = await runProgram(command, settings('sk_test_wrong_key'));
    expect(wrong.code).toBe(1);
    expect(wrong.text).not.toContain('sk_test_wrong_key');
    expect((await runProgram(command, settings(), ['--help'])).text).toContain('--remove-many');
  });
});

test('the worker does it by the clock, where it has the key', async () => {
  clerk.truth = live(50);
  const worker = startProgram('worker/main.ts', { ...settings(), WORKER_PORT: '0' });
  try {
    await worker.line(({ msg }) => msg === 'ready');
    await database.superuser.query(
      "select graphile_worker.add_job('clerk__reconcile', '{}', job_key => 'clerk__reconcile')",
    );
    const line = await worker.line(({ msg }) => msg === 'reconciled with Clerk');
    expect(line).toMatchObject({ seen: expect.any(Number), changed: expect.any(Number) });
    await assertMirrors(database, clerk.truth);
    await until('the job to be done', async () => {
      const { rows } = await database.superuser.query(
        "select from graphile_worker.jobs where task_identifier = 'clerk__reconcile'",
      );
      return rows.length === 0;
    });
  } finally {
    await worker.close();
  }
});
