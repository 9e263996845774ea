import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type ClerkChange, goneChange } from '../../../services/clerk/changes.ts';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../../support/database.ts';
import { asWorker, over, takeJob } from '../attempts.ts';
import {
  admin,
  alice,
  aliceAlone,
  aliceAtGlobex,
  ask,
  bob,
  carol,
  commitAs,
  connected,
  denied,
} from '../callers.ts';

/** How what Clerk says becomes the mirror. */

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.superuser.query(
    `truncate app_public.users, app_public.organizations, app_private.clerk_events, app_private.clerk_versions, app_private.gone_members,
       app_private.pending_erasures cascade`,
  );
  await database.superuser.query('delete from graphile_worker._private_jobs');
});

const time = (second: number) => new Date(1_800_000_000_000 + second * 1000).toISOString();
const always = time(0);
/** Second `at` of what Clerk tells of a user. */
const user = (at: number, name: string): ClerkChange => ({
  orgId: '',
  userId: 'user_alice',
  bornAt: always,
  isDeleted: false,
  versionAt: time(at),
  toldAt: time(at),
  email: `${name.toLowerCase()}@example.com`,
  name,
});
const organization = (at: number, name: string): ClerkChange => ({
  ...user(at, name),
  orgId: 'org_acme',
  userId: '',
  slug: name.toLowerCase(),
});
/** A membership that began in second `born`. */
const membership = (born: number, at: number, role: string): ClerkChange => ({
  orgId: 'org_acme',
  userId: 'user_alice',
  bornAt: time(born),
  isDeleted: false,
  versionAt: time(at),
  toldAt: time(at),
  role,
});
const ended = (change: ClerkChange, at: number): ClerkChange => ({
  ...change,
  isDeleted: true,
  toldAt: time(at),
});
const gone = (key: Partial<ClerkChange>, at: number): ClerkChange => ({
  ...goneChange({ orgId: '', userId: '', ...key }, Date.parse(time(at))),
  bornAt: always,
});

let deliveries = 0;
const receive = (...changes: ClerkChange[]) => {
  deliveries += 1;
  return database.api.query('select app_private.receive_clerk_event($1, $2, $3, $4) as is_new', [
    `msg_${deliveries}`,
    'user.updated',
    changes[0]?.versionAt,
    JSON.stringify(changes),
  ]);
};
/** Applies all that waits, as the worker does. */
async function apply(): Promise<object> {
  const { rows } = await database.superuser.query(
    "select id from graphile_worker.add_job('clerk_events__apply', '{}')",
  );
  const attempt = await takeJob(database, rows[0].id);
  const applied = await asWorker(database, (client) =>
    client.query('select * from app_private.apply_clerk_events($1, 500)', [attempt]),
  );
  return applied.rows[0];
}
async function told(...changes: ClerkChange[]): Promise<object> {
  for (const change of changes) await receive(change);
  return apply();
}
const mirror = async () => {
  const rowsOf = async (sql: string) => (await database.superuser.query(sql)).rows;
  return {
    users: await rowsOf('select id, email, name from app_public.users order by id'),
    organizations: await rowsOf('select id, name, slug from app_public.organizations order by id'),
    memberships: await rowsOf(
      'select org_id, user_id, role from app_public.memberships order by org_id, user_id',
    ),
  };
};

describe('what Clerk tells', () => {
  test('is in the mirror', async () => {
    const counts = await told(user(1, 'Alice'), organization(1, 'Acme'), membership(1, 1, 'admin'));
    expect(counts).toEqual({ applied: 3, stale: 0, failed: 0 });
    expect(await mirror()).toEqual({
      users: [{ id: 'user_alice', email: 'alice@example.com', name: 'Alice' }],
      organizations: [{ id: 'org_acme', name: 'Acme', slug: 'acme' }],
      memberships: [{ org_id: 'org_acme', user_id: 'user_alice', role: 'admin' }],
    });
  });

  test('ends the same in every order', async () => {
    const history = [
      user(1, 'Alice'),
      user(5, 'Alicia'),
      organization(1, 'Acme'),
      organization(4, 'Acme 2'),
      membership(1, 1, 'member'),
      ended(membership(1, 1, 'member'), 6),
      membership(7, 8, 'admin'),
    ];
    await told(...history);
    const expected = await mirror();
    expect(expected.memberships).toEqual([
      { org_id: 'org_acme', user_id: 'user_alice', role: 'admin' },
    ]);
    for (let round = 0; round < 12; round += 1) {
      await database.superuser.query(
        'truncate app_public.users, app_public.organizations, app_private.clerk_versions, app_private.gone_members cascade',
      );
      const shuffled = history
        .map((change) => ({ change, at: Math.random() }))
        .sort((a, b) => a.at - b.at)
        .flatMap(({ change }, i) => (i % 2 ? [change, change] : [change]));
      // In batches: within one the worker sorts for itself.
      for (const change of shuffled) await told(change);
      expect(await mirror()).toEqual(expected);
    }
  });

  test('changes nothing when it is older than what is known, or the same again', async () => {
    await told(user(5, 'Alicia'));
    expect(await told(user(1, 'Alice'))).toEqual({ applied: 0, stale: 1, failed: 0 });
    expect(await told(user(5, 'Alicia'))).toEqual({ applied: 0, stale: 1, failed: 0 });
    expect((await mirror()).users).toMatchObject([{ name: 'Alicia' }]);
  });

  test('of a membership makes user and organization until they are told of', async () => {
    await told(membership(1, 1, 'member'));
    expect(await mirror()).toMatchObject({
      users: [{ id: 'user_alice', name: null }],
      organizations: [{ id: 'org_acme', name: 'org_acme' }],
    });
    await told(organization(1, 'Acme'), user(1, 'Alice'));
    expect(await mirror()).toMatchObject({
      users: [{ name: 'Alice' }],
      organizations: [{ name: 'Acme' }],
    });
  });

  test('of a role that is known already changes no row', async () => {
    await told(membership(1, 1, 'member'));
    const again = async (role: string, at: number) => {
      const { rows } = await database.superuser.query(
        'select app_private.apply_clerk_change($1) as became',
        [JSON.stringify(membership(1, at, role))],
      );
      return rows[0].became;
    };
    expect([await again('member', 2), await again('admin', 3)]).toEqual(['same', 'applied']);
  });

  test('of a kind that fails keeps no other waiting, and is tried again', async () => {
    await receive({ ...user(1, 'Alice'), userId: 'u'.repeat(300) });
    expect(await told(user(2, 'Alice'))).toEqual({ applied: 1, stale: 0, failed: 1 });
    expect(await apply()).toEqual({ applied: 0, stale: 0, failed: 0 });
    const { rows } = await database.superuser.query(
      'update app_private.clerk_events set tried_at = null where outcome is null returning error_code, attempts::int',
    );
    expect(rows).toEqual([{ error_code: '23514', attempts: 1 }]);
    expect(await apply()).toEqual({ applied: 0, stale: 0, failed: 1 });
  });
});

describe('the inbox', () => {
  test('takes a delivery once, and forgets what it said once it is applied', async () => {
    const call = 'select app_private.receive_clerk_event($1, $2, $3, $4) as is_new';
    const values = ['msg_x', 'user.created', time(1), JSON.stringify([user(1, 'Alice')])];
    expect((await database.api.query(call, values)).rows).toEqual([{ is_new: true }]);
    expect((await database.api.query(call, values)).rows).toEqual([{ is_new: false }]);
    await apply();
    expect((await database.api.query(call, values)).rows).toEqual([{ is_new: false }]);
    const { rows } = await database.superuser.query(
      'select id, outcome, changes from app_private.clerk_events',
    );
    expect(rows).toEqual([{ id: 'msg_x', outcome: 'applied', changes: null }]);
  });

  test('has one job for all that waits', async () => {
    await receive(user(1, 'Alice'));
    await receive(user(2, 'Alice'));
    const { rows } = await database.superuser.query('select key from graphile_worker.jobs');
    expect(rows).toEqual([{ key: 'clerk_events__apply' }]);
  });

  test('forgets what is done after a week, and what never could be after a month', async () => {
    await told(user(1, 'Alice'));
    await receive({ ...user(2, 'Alice'), userId: 'u'.repeat(300) });
    await receive({ ...user(3, 'Alice'), userId: 'u'.repeat(300) });
    await receive(user(4, 'Alice'));
    await database.superuser.query(`
      update app_private.clerk_events set received_at = now() - case
        when version_at = to_timestamp(1800000002) then interval '31 days' else interval '8 days' end
      where version_at < to_timestamp(1800000004)`);
    const { rows } = await database.superuser.query(
      "select id from graphile_worker.add_job('clerk_events__purge', '{}')",
    );
    const attempt = await takeJob(database, rows[0].id);
    await asWorker(database, (client) =>
      client.query('select app_private.purge_clerk_events($1)', [attempt]),
    );
    const left = await database.superuser.query(
      'select extract(epoch from version_at)::int - 1800000000 as at from app_private.clerk_events order by 1',
    );
    expect(left.rows).toEqual([{ at: 3 }, { at: 4 }]);
  });

  test('is nobody else’s business', async () => {
    await expect(
      ask(database, alice, 'select from app_private.clerk_events'),
    ).rejects.toMatchObject(denied);
    await connected(database.workerUrl, async (client) => {
      for (const sql of [
        'select from app_private.clerk_events',
        `select app_private.receive_clerk_event('x', 'y', now(), '[]')`,
        `select app_private.apply_clerk_change('{}')`,
      ]) {
        await expect(client.query(sql)).rejects.toMatchObject(denied);
      }
    });
    await asWorker(database, (client) =>
      expect(
        client.query("select app_private.apply_clerk_events('(1,0,1)', 1)"),
      ).rejects.toMatchObject(over),
    );
  });
});

describe('who is gone from Clerk', () => {
  const refused = { code: 'RW403' };
  const admit = (userId: string, orgId: string) =>
    database.api.query('select app_private.admit($1, $2)', [userId, orgId]);

  test('a member is refused in that organization, and nowhere else', async () => {
    await told(membership(1, 1, 'member'));
    await admit('user_alice', 'org_acme');
    await told(ended(membership(1, 1, 'member'), 2));
    await expect(admit('user_alice', 'org_acme')).rejects.toMatchObject(refused);
    await expect(database.provision(alice)).rejects.toMatchObject(refused);
    await admit('user_alice', 'org_globex');
    await admit('user_bob', 'org_acme');
    await database.provision(aliceAlone);
    expect((await mirror()).memberships).toEqual([
      { org_id: 'user_alice', user_id: 'user_alice', role: 'owner' },
    ]);
  });

  test('a member of whom only a token had told is refused as well', async () => {
    await database.provision(alice);
    await told(ended(membership(1, 1, 'member'), 2));
    await expect(database.provision(alice)).rejects.toMatchObject(refused);
    expect((await mirror()).memberships).toEqual([]);
  });

  test('a member who came back is let in again', async () => {
    await told(membership(1, 1, 'member'), ended(membership(1, 1, 'member'), 2));
    await expect(admit('user_alice', 'org_acme')).rejects.toMatchObject(refused);
    await told(membership(3, 3, 'admin'));
    await admit('user_alice', 'org_acme');
    await database.provision(alice);
    expect((await mirror()).memberships).toMatchObject([{ role: 'admin' }]);
  });

  test('a member, beside others: nobody else is touched, and who comes back comes alone', async () => {
    const everybody = [alice, bob, aliceAtGlobex, carol];
    const member = ({ userId, orgId }: TestCaller, at: number) => ({
      ...membership(at, at, 'member'),
      userId,
      orgId,
    });
    const keys = async (sql: string) =>
      (await database.superuser.query({ text: sql, rowMode: 'array' })).rows;
    const members = () =>
      keys('select org_id, user_id from app_public.memberships order by 1 desc, 2');
    const goneMembers = () =>
      keys('select clerk_org_id, clerk_user_id from app_private.gone_members order by 1 desc, 2');
    await told(...everybody.map((caller) => member(caller, 1)));
    for (const caller of everybody) await told({ ...user(1, 'X'), userId: caller.userId });
    await told(ended(member(alice, 1), 2));
    expect(await goneMembers()).toEqual([['org_acme', 'user_alice']]);
    expect(await members()).toEqual([
      ['org_globex', 'user_alice'],
      ['org_globex', 'user_carol'],
      ['org_acme', 'user_bob'],
    ]);
    // Who was never seen may come, whoever has gone.
    await database.provision(admin);
    await told(ended(member(bob, 1), 2), ended(member(aliceAtGlobex, 1), 2));
    await told(member(alice, 3));
    expect(await goneMembers()).toEqual([
      ['org_globex', 'user_alice'],
      ['org_acme', 'user_bob'],
    ]);
    await told(gone({ userId: 'user_alice' }, 4));
    const { users } = await mirror();
    expect(users.filter(({ email }) => email === null).map(({ id }) => id)).toEqual([
      'user_admin',
      'user_alice',
    ]);
  });

  test('an organization: all its members are refused, its documents stay', async () => {
    await database.provision(alice);
    await database.provision(bob);
    await commitAs(database, alice, (c) =>
      c.query("insert into app_public.documents (title) values ('Plan')"),
    );
    await told(gone({ orgId: 'org_acme' }, 2));
    for (const caller of [alice, bob]) {
      await expect(database.provision(caller)).rejects.toMatchObject(refused);
      await expect(admit(caller.userId, caller.orgId)).rejects.toMatchObject(refused);
    }
    await told(membership(3, 3, 'member'), organization(4, 'Acme'));
    expect((await mirror()).memberships).toEqual([]);
    const { rows } = await database.superuser.query('select title from app_public.documents');
    expect(rows).toEqual([{ title: 'Plan' }]);
  });

  /** Runs what erases, as if so much time had passed. */
  async function eraseAfter(interval: string): Promise<number> {
    await database.superuser.query(
      'update app_private.pending_erasures set due_at = due_at - $1::interval',
      [interval],
    );
    const { rows } = await database.superuser.query(
      "select id from graphile_worker.add_job('users__erase', '{}')",
    );
    const attempt = await takeJob(database, rows[0].id);
    const erased = await asWorker(database, (client) =>
      client.query('select app_private.erase_gone_users($1, 10) as users', [attempt]),
    );
    return erased.rows[0].users;
  }
  const titles = async () =>
    (await database.superuser.query('select title from app_public.documents order by 1')).rows.map(
      ({ title }) => title,
    );
  const write = (caller: TestCaller, title: string) =>
    commitAs(database, caller, (c) =>
      c.query('insert into app_public.documents (title) values ($1)', [title]),
    );

  test('a user, also what a request commits that was let in before', async () => {
    await told(user(1, 'Alice'), membership(1, 1, 'member'));
    await database.provision(aliceAlone);
    await write(alice, 'Ours');
    await commitAs(database, aliceAlone, async (c) => {
      await c.query("insert into app_public.documents (title) values ('In flight')");
      await told(gone({ userId: 'user_alice' }, 2));
    });
    expect(await titles()).toEqual(['In flight', 'Ours']);
    expect(await eraseAfter('14 minutes')).toBe(0);
    expect(await eraseAfter('1 minute')).toBe(1);
    expect(await titles()).toEqual(['Ours']);
    expect(await eraseAfter('1 day')).toBe(0);
  });

  describe('as far as reconciliation can tell', () => {
    const asked = (change: ClerkChange) =>
      database.superuser.query('select app_private.apply_clerk_change($1) as became', [
        JSON.stringify({ ...change, isAsked: true }),
      ]);
    const presumed = (at: number) => asked(gone({ userId: 'user_alice' }, at));
    beforeEach(async () => {
      await told(user(1, 'Alice'), membership(1, 1, 'member'));
      await database.provision(aliceAlone);
      await write(aliceAlone, 'Mine');
    });

    test('a user is shut out, and what they wrote is kept for a week', async () => {
      await presumed(3);
      for (const caller of [alice, aliceAlone]) {
        await expect(database.provision(caller)).rejects.toMatchObject(refused);
        await expect(admit(caller.userId, caller.orgId)).rejects.toMatchObject(refused);
      }
      expect((await mirror()).users).toMatchObject([{ name: null }]);
      expect(await eraseAfter('6 days')).toBe(0);
      expect(await titles()).toEqual(['Mine']);
      expect(await eraseAfter('1 day')).toBe(1);
      expect(await titles()).toEqual([]);
    });

    test('whom it finds when it asks again comes back, with their memberships and what they wrote', async () => {
      await presumed(3);
      // Asked before, answered late; and an event, which may be older than it says.
      await asked({ ...user(1, 'Alice'), toldAt: time(2) });
      await told(user(9, 'Alice'));
      await expect(admit('user_alice', 'user_alice')).rejects.toMatchObject(refused);
      await asked({ ...user(1, 'Alice'), toldAt: time(4) });
      await asked({ ...membership(1, 1, 'member'), toldAt: time(4) });
      for (const caller of [alice, aliceAlone]) {
        await admit(caller.userId, caller.orgId);
        await database.provision(caller);
      }
      expect(await mirror()).toMatchObject({
        users: [{ name: 'Alice' }],
        memberships: [{ role: 'member' }, { role: 'owner' }],
      });
      expect(await eraseAfter('30 days')).toBe(0);
      expect(await titles()).toEqual(['Mine']);
    });

    test('who comes back comes alone: the others are still to be erased', async () => {
      const bob = { ...user(1, 'Bob'), userId: 'user_bob' };
      const bobAlone = { userId: 'user_bob', orgId: 'user_bob' };
      await told(bob);
      await database.provision(bobAlone);
      await write(bobAlone, 'Of Bob');
      await presumed(3);
      await asked(gone({ userId: 'user_bob' }, 3));
      await asked({ ...user(1, 'Alice'), toldAt: time(4) });
      await expect(admit('user_bob', 'user_bob')).rejects.toMatchObject(refused);
      expect(await eraseAfter('7 days')).toBe(1);
      expect(await titles()).toEqual(['Mine']);
    });

    test('whom an event has ended does not come back, whichever comes first', async () => {
      await presumed(3);
      await told(gone({ userId: 'user_alice' }, 2));
      expect(await titles()).toEqual([]);
      await asked({ ...user(1, 'Alice'), toldAt: time(4) });
      await expect(admit('user_alice', 'user_alice')).rejects.toMatchObject(refused);
      await presumed(5);
      await asked({ ...user(1, 'Alice'), toldAt: time(6) });
      await expect(admit('user_alice', 'user_alice')).rejects.toMatchObject(refused);
      expect((await mirror()).users).toMatchObject([{ name: null }]);
    });

    test('a membership comes back by asking, too, or by a later one', async () => {
      const one = membership(1, 1, 'member');
      await asked(ended(one, 3));
      await expect(admit('user_alice', 'org_acme')).rejects.toMatchObject(refused);
      await told(membership(1, 8, 'admin'));
      await expect(admit('user_alice', 'org_acme')).rejects.toMatchObject(refused);
      await asked({ ...one, toldAt: time(4) });
      await admit('user_alice', 'org_acme');
      await asked(ended(one, 5));
      await told(membership(6, 6, 'admin'));
      await admit('user_alice', 'org_acme');
    });

    test('nothing is over that was seen after it was asked for', async () => {
      await asked({ ...user(1, 'Alice'), toldAt: time(9) });
      await presumed(8);
      await admit('user_alice', 'user_alice');
    });
  });

  test('a user: nothing personal is left, their documents and files in organizations stay', async () => {
    await told(user(1, 'Alice'), membership(1, 1, 'member'));
    await database.provision(aliceAlone);
    for (const [caller, title] of [
      [alice, 'Ours'],
      [aliceAlone, 'Mine'],
    ] as const) {
      await commitAs(database, caller, (c) =>
        c.query('insert into app_public.documents (title) values ($1)', [title]),
      );
      await commitAs(database, caller, (c) =>
        c.query(
          `select app_hidden.create_file($1, 'text/plain', 1, repeat('A', 43) || '=', null,
            '{"allowedTypes": ["*/*"], "maxBytes": 1, "singleMaxBytes": 1, "ttlSeconds": 1, "quotaFiles": 1, "quotaBytes": 1}')`,
          [title],
        ),
      );
    }
    await told(gone({ userId: 'user_alice' }, 2));
    const { rows: files } = await database.superuser.query(
      'select org_id, file_name from app_public.files',
    );
    expect(files).toEqual([{ org_id: 'org_acme', file_name: 'Ours' }]);
    // The objects follow.
    const { rows: jobs } = await database.superuser.query(
      "select payload ->> 'orgId' as org from graphile_worker._private_jobs where key like 'files__purge:%'",
    );
    expect(jobs).toEqual([{ org: 'user_alice' }]);
    expect(await mirror()).toMatchObject({
      users: [{ id: 'user_alice', email: null, name: null }],
      memberships: [],
    });
    const { rows } = await database.superuser.query(
      'select title, owner_id from app_public.documents',
    );
    expect(rows).toEqual([{ title: 'Ours', owner_id: 'user_alice' }]);
    for (const caller of [alice, aliceAlone]) {
      await expect(database.provision(caller)).rejects.toMatchObject(refused);
      await expect(admit(caller.userId, caller.orgId)).rejects.toMatchObject(refused);
    }
    // Nor does a late word bring them back.
    await told(user(9, 'Alice'), membership(9, 9, 'member'));
    expect(await mirror()).toMatchObject({ users: [{ name: null }], memberships: [] });
    await expect(admit('user_alice', 'org_acme')).rejects.toMatchObject(refused);
  });

  test('is refused also while twenty first sights of the same token are on their way', async () => {
    for (let round = 0; round < 5; round += 1) {
      await database.superuser.query(
        'truncate app_public.users, app_public.organizations, app_private.clerk_versions, app_private.gone_members cascade',
      );
      await receive(ended(membership(1, 1, 'member'), 2));
      const [, ...outcomes] = await Promise.all([
        apply(),
        ...Array.from({ length: 20 }, () => database.provision(alice).catch((error) => error.code)),
      ]);
      expect(new Set([...outcomes, 'RW403', undefined])).toEqual(new Set(['RW403', undefined]));
      expect((await mirror()).memberships).toEqual([]);
    }
  });
});

test('whom Clerk has to know are those it has not told to be gone', async () => {
  const bob = { ...user(1, 'Bob'), userId: 'user_bob' };
  const globex = { ...organization(1, 'Globex'), orgId: 'org_globex' };
  await told(user(1, 'Alice'), organization(1, 'Acme'), bob, globex);
  await told(gone({ userId: 'user_bob' }, 2), gone({ orgId: 'org_globex' }, 2));
  const { rows } = await asWorker(database, (client) =>
    client.query('select * from app_private.sample_of_mirror(20) order by 1'),
  );
  expect(rows).toEqual([
    { org_id: '', user_id: 'user_alice' },
    { org_id: 'org_acme', user_id: '' },
  ]);
});

describe('a token', () => {
  test('changes nothing that Clerk itself has told', async () => {
    await told(user(1, 'Alice'), organization(1, 'Acme'), membership(1, 1, 'admin'));
    const before = await mirror();
    await database.api.query('select app_private.provision($1, $2, $3, $4, $5, $6)', [
      'user_alice',
      'old@example.com',
      'Old name',
      'org_acme',
      'old-slug',
      'member',
    ]);
    expect(await mirror()).toEqual(before);
  });

  describe('changes the rest where Clerk has told of', () => {
    const seen = { email: 'alice@example.com', name: 'Alice', slug: 'acme', role: 'member' };
    const see = (more: Partial<typeof seen> = {}) => {
      const { email, name, slug, role } = { ...seen, ...more };
      return database.api.query(
        "select app_private.provision('user_alice', $1, $2, 'org_acme', $3, $4)",
        [email, name, slug, role],
      );
    };
    const changed = { email: 'new@example.com', name: 'New', slug: 'new', role: 'admin' };
    const now = async () => {
      const { users, organizations, memberships } = await mirror();
      const of = <Row extends object>(rows: Row[], id: string): Partial<Record<string, unknown>> =>
        rows.find((row) => Object.values(row).includes(id)) ?? {};
      const { email, name } = of(users, 'user_alice');
      const { slug } = of(organizations, 'org_acme');
      const { role } = of(
        memberships.filter(({ user_id }) => user_id === 'user_alice'),
        'org_acme',
      );
      return { email, name, slug, role };
    };
    const bobs = { userId: 'user_bob' };
    const globex = { orgId: 'org_globex' };

    test.each<[string, ClerkChange, Partial<typeof seen>]>([
      ['the user', user(1, 'Alice'), { slug: 'new', role: 'admin' }],
      [
        'the organization',
        organization(1, 'Acme'),
        { email: 'new@example.com', name: 'New', role: 'admin' },
      ],
      [
        'the membership',
        membership(1, 1, 'member'),
        { email: 'new@example.com', name: 'New', slug: 'new' },
      ],
      ['another user', { ...user(1, 'Bob'), ...bobs }, changed],
      ['another organization', { ...organization(1, 'Globex'), ...globex }, changed],
      ['another member', { ...membership(1, 1, 'member'), ...bobs }, changed],
      ['the user in another organization', { ...membership(1, 1, 'member'), ...globex }, changed],
    ])('%s', async (_, change, expected) => {
      await see();
      await told(change);
      // One by one, and all at once: what stays as it is must not keep the rest.
      let later = {};
      for (const [column, value] of Object.entries(changed)) {
        later = { ...later, [column]: value };
        await see(later);
        expect(await now()).toHaveProperty(column, { ...seen, ...expected }[column as 'name']);
      }
      expect(await now()).toEqual({ ...seen, ...expected });
      await see();
      await see(changed);
      expect(await now()).toEqual({ ...seen, ...expected });
    });
  });
});
