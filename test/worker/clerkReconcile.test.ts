import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { makeClerkHistory, makeDice } from '../clerkHistory.ts';
import { assertMirrors } from '../clerkModel.ts';
import {
  type ClerkServer,
  type ClerkTruth,
  clerkSecretKey,
  emptyTruth,
  openClerkServer,
} from '../clerkServer.ts';
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
       app_private.gone_members, app_private.clerk_reconciliations, app_private.pending_erasures cascade`,
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
const epoch = { created_at: 0, updated_at: 0 };
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

  test('is noted in the audit trail, also when it is cut off', async () => {
    const commands = async () =>
      (
        await database.superuser.query(
          `select org_id, source, operation, new_values, login from app_public.audit_events
           where action = 'COMMAND' order by id`,
        )
      ).rows;
    const before = (await commands()).length;
    clerk.misbehaveNext(respond(401));
    expect((await reconcile('--remove-many')).code).toBe(1);
    expect((await commands()).slice(before)).toEqual([
      {
        org_id: '',
        source: 'SYSTEM',
        operation: 'clerk:reconcile',
        new_values: { remove_many: true },
        login: 'rowhouse_worker',
      },
    ]);
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

  test('leaves alone what it cannot read, says so, and corrects the rest', async () => {
    clerk.truth = live(60);
    const [key = ''] = clerk.truth.memberships.keys();
    await reconcile();
    const before = await all();
    const odd = clerk.truth.memberships.get(key);
    if (odd) clerk.truth.memberships.set(key, { ...odd, public_user_data: null });
    const [user] = clerk.truth.users.values();
    if (user)
      Object.assign(user, { first_name: 'Renata', last_name: null, updated_at: Date.now() });
    const { code, text } = await reconcile();
    expect({ code, text }).toMatchObject({ code: 0 });
    expect(text).toContain('1 corrected. 1 could not be read, and were left alone.');
    expect((await all()).memberships).toEqual(before.memberships);
    expect((await all()).users).toContainEqual(expect.objectContaining({ name: 'Renata' }));
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

/** An instance of other people than any of `live`. */
function anotherInstance(users: number): ClerkTruth {
  const truth = emptyTruth();
  for (let n = 0; n < users; n += 1) {
    const id = `user_other${n}`;
    truth.users.set(id, { ...aUser, id, created_at: n, updated_at: n });
  }
  return truth;
}

/** People known by their tokens alone, each with a note in the personal space. */
async function firstSights(people: number) {
  const { superuser } = database;
  for (let n = 0; n < people; n += 1) {
    const id = `user_${n}`;
    const provision = 'select app_private.provision($1, $2, $3, $4, $5, $6)';
    await superuser.query(provision, [id, `${n}@example.com`, `U ${n}`, 'org_small', 'small', 'a']);
    await superuser.query(provision, [id, null, null, id, null, null]);
    await note(id);
  }
}
const note = (userId: string) =>
  database.superuser.query(
    'insert into app_public.documents (org_id, owner_id, title) values ($1, $1, $2)',
    [userId, 'Private'],
  );

/** Whatever a wrong reconciliation could spoil. */
const all = async () => {
  const rowsOf = async (sql: string) => (await database.superuser.query(sql)).rows;
  return {
    users: await rowsOf('select id, name, email from app_public.users order by id'),
    memberships: await rowsOf(
      'select org_id, user_id, role from app_public.memberships order by 1, 2',
    ),
    documents: await rowsOf('select org_id, title from app_public.documents order by 1'),
    gone: await rowsOf('select * from app_private.gone_members'),
  };
};

describe('an instance that is not ours', () => {
  test.each([
    ['larger', 1000],
    ['empty', 0],
  ])(
    'changes nothing, though it is %s, and does not keep the right one from being asked',
    async (_, users) => {
      clerk.truth = live(300);
      const ours = clerk.truth;
      await reconcile();
      const before = await all();
      clerk.truth = anotherInstance(users);
      const { code, text } = await reconcile();
      expect({ code, text }).toMatchObject({
        code: 1,
        text: expect.stringContaining('has none of'),
      });
      expect(await all()).toEqual(before);
      clerk.truth = ours;
      expect(JSON.parse((await reconcile('--json')).text)).toMatchObject({ changed: 0 });
    },
  );

  test('changes nothing in a small mirror either', async () => {
    await firstSights(4);
    const before = await all();
    clerk.truth = anotherInstance(3);
    expect((await reconcile()).code).toBe(1);
    expect(await all()).toEqual(before);
  });

  test('is one that knows no such list', async () => {
    clerk.misbehaveNext(respond(404));
    const { code, text } = await reconcile();
    expect({ code, text }).toMatchObject({
      code: 1,
      text: expect.stringContaining('404 to /v1/users'),
    });
    await firstSights(4);
    const before = await all();
    clerk.truth = anotherInstance(0);
    for (const user of before.users)
      clerk.truth.users.set(user.id, { ...aUser, ...user, ...epoch });
    clerk.misbehaveNext(respond(404));
    expect((await reconcile()).code).toBe(1);
    expect(await all()).toEqual(before);
  });
});

describe('where too much is missing', () => {
  test('nothing is removed, and the next run begins anew', async () => {
    clerk.truth = live(300);
    const ours = clerk.truth;
    await reconcile();
    const before = await all();
    // Ours, but emptied of people; others have come, who make up for nothing.
    clerk.truth = { ...anotherInstance(1000), organizations: ours.organizations };
    const { code, text } = await reconcile();
    expect(code).toBe(1);
    expect(text).toMatch(/Clerk does not list \d+ of the \d+ things in the mirror/);
    const after = await all();
    expect(after.memberships).toEqual(before.memberships);
    expect(after.users).toEqual(expect.arrayContaining(before.users));
    expect((await walks()).at(-1)).toMatchObject({ phase: 'refused', is_over: true });
    clerk.truth = { ...ours, users: new Map([...ours.users, ...anotherInstance(1000).users]) };
    expect(JSON.parse((await reconcile('--json')).text)).toMatchObject({ changed: 0 });
  });

  test('a small mirror loses no more than half of it unasked', async () => {
    await firstSights(3);
    clerk.truth.users.set('user_0', { ...aUser, ...epoch, id: 'user_0' });
    expect(await reconcile()).toMatchObject({
      code: 1,
      text: expect.stringContaining('Clerk does not list 6 of the 7 things in the mirror'),
    });
    expect((await all()).gone).toEqual([]);
  });

  test('all is removed when it is told to, but what was written alone, and the right key brings all back', async () => {
    clerk.truth = live(300);
    const ours = clerk.truth;
    await reconcile();
    const [someone = ''] = [...ours.memberships.keys()].map((key) => key.split(' ')[1]);
    await database.superuser.query('select app_private.provision($1, null, null, $1, null, null)', [
      someone,
    ]);
    await note(someone);
    const before = await all();
    clerk.truth = emptyTruth();
    expect((await reconcile('--remove-many')).code).toBe(0);
    await assertMirrors(database, clerk.truth);
    expect((await all()).documents).toEqual(before.documents);
    clerk.truth = ours;
    expect((await reconcile()).code).toBe(0);
    expect(await all()).toEqual(before);
    const { rowCount } = await database.superuser.query('select from app_private.pending_erasures');
    expect(rowCount).toBe(0);
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
