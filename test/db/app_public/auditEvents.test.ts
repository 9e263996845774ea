import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Client } from 'pg';
import {
  openTestDatabase,
  setClaims,
  type TestCaller,
  type TestDatabase,
} from '../../support/database.ts';
import { addJob, asWorker, takeJob, workerId } from '../attempts.ts';
import {
  admin,
  alice,
  aliceAlone,
  ask,
  bob,
  carol,
  commitAs,
  connected,
  denied,
  editor,
  globexAdmin,
  nobody,
  provisionAll,
} from '../callers.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

/** Where the trail stands: events after it are those of this test. */
let mark: string;
beforeEach(async () => {
  const { rows } = await database.superuser.query('select uuidv7() as mark');
  mark = rows[0].mark;
});

/** Events since the test began, oldest first. */
async function events(): Promise<Record<string, unknown>[]> {
  const { rows } = await database.superuser.query(
    'select * from app_public.audit_events where id > $1 order by id',
    [mark],
  );
  return rows;
}

const insertDocument =
  "insert into app_public.documents (title, body) values ('Secret', 'Plan') returning id";

describe('a change', () => {
  test('is told with actor, organization, table, row and values, and without what is personal', async () => {
    const id = await writeDocument(alice);
    await commitAs(database, alice, (client) =>
      client.query("update app_public.documents set title = 'Better' where id = $1", [id]),
    );
    await commitAs(database, alice, (client) =>
      client.query('delete from app_public.documents where id = $1', [id]),
    );
    const common = {
      org_id: 'org_acme',
      source: 'REQUEST',
      actor_id: 'user_alice',
      impersonator_id: null,
      table_name: 'documents',
      row_id: id,
      request_id: 'test',
      trace_id: null,
      login: 'rowhouse_api',
    };
    const row = { id, org_id: 'org_acme', owner_id: 'user_alice' };
    expect(await events()).toMatchObject([
      { ...common, action: 'INSERT', changed: [], old_values: null, new_values: row },
      { ...common, action: 'UPDATE', changed: ['title', 'updated_at'] },
      { ...common, action: 'DELETE', changed: [], old_values: row, new_values: null },
    ]);
    const [, update] = await events();
    expect(Object.keys(update?.old_values ?? {})).toEqual(['updated_at']);
    expect(JSON.stringify(await events())).not.toMatch(/Secret|Plan|Better|search/);
  });

  test('is told with whoever acts in the user’s place, and the trace', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    await inClaims({ ...alice, actorId: 'user_support' }, async (client) => {
      await client.query("select set_config('app.trace_id', $1, true)", [traceId]);
      await client.query(insertDocument);
    });
    expect(await events()).toMatchObject([
      { actor_id: 'user_alice', impersonator_id: 'user_support', trace_id: traceId },
    ]);
  });

  test('has no event when it was rolled back', async () => {
    await ask(database, alice, insertDocument);
    expect(await events()).toEqual([]);
  });

  test('has one for each row of a statement', async () => {
    await commitAs(database, alice, (client) =>
      client.query(
        "insert into app_public.documents (title) select 'Many' from generate_series(1, 50)",
      ),
    );
    expect(await events()).toHaveLength(50);
  });

  test('of derived columns alone is none', async () => {
    const id = await writeDocument(alice);
    await database.superuser.query("update app_public.documents set search = '' where id = $1", [
      id,
    ]);
    expect(await events()).toHaveLength(1);
  });

  test('of a membership tells the roles; of a user only which columns', async () => {
    await database.provision({ ...bob, orgRole: 'admin' });
    await database.api.query(
      "select app_private.provision('user_bob', 'bob@example.com', 'Bob', 'org_acme', null, 'member')",
    );
    expect(await events()).toMatchObject([
      {
        table_name: 'memberships',
        source: 'SYSTEM',
        actor_id: null,
        row_id: 'user_bob',
        org_id: 'org_acme',
        old_values: { role: 'member' },
        new_values: { role: 'admin' },
      },
      {
        table_name: 'users',
        org_id: 'user_bob',
        row_id: 'user_bob',
        changed: ['email', 'name'],
        old_values: null,
        new_values: null,
      },
      { table_name: 'memberships', new_values: { role: 'member' } },
    ]);
  });

  test('by a job is told with the user who asked for it, and its trace', async () => {
    const id = await writeDocument(alice);
    const jobId = await addJob(database, 'documents__index');
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    await database.superuser.query(
      `update graphile_worker._private_jobs set payload = (payload::jsonb || $2)::json where id = $1`,
      [
        jobId,
        {
          userId: 'user_bob',
          requestId: 'asked',
          traceparent: `00-${traceId}-b7ad6b7169203331-01`,
        },
      ],
    );
    const attempt = await takeJob(database, jobId);
    await inRolledBack(async (client) => {
      await client.query("select set_config('app.worker_id', $1, true)", [workerId]);
      await client.query('select app_private.enter_attempt($1)', [attempt]);
      await client.query("update app_public.documents set title = 'By a job' where id = $1", [id]);
      const { rows } = await client.query('select * from app_public.audit_events where id > $1', [
        mark,
      ]);
      expect(rows.at(-1)).toMatchObject({
        source: 'JOB',
        actor_id: 'user_bob',
        request_id: 'asked',
        trace_id: traceId,
        action: 'UPDATE',
      });
    });
  });

  test('by a job that someone asked for in a user’s place is told with both', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const id = await commitAs(database, { ...alice, actorId: 'user_support' }, async (client) => {
      await client.query("select set_config('app.trace_id', $1, true)", [traceId]);
      const { rows } = await client.query(
        "insert into app_public.documents (title, body) values ('Long', repeat('x ', 20000)) returning id",
      );
      return rows[0].id;
    });
    const { rows: jobs } = await database.superuser.query(
      "select id from graphile_worker._private_jobs where payload ->> 'rowId' = $1",
      [id],
    );
    const attempt = await takeJob(database, jobs[0].id);
    for (const enter of ['enter_attempt', 'enter_organization']) {
      await inRolledBack(async (client) => {
        await client.query("select set_config('app.worker_id', $1, true)", [workerId]);
        await client.query(`select app_private.${enter}($1)`, [attempt]);
        await client.query("update app_public.documents set title = 'By a job' where id = $1", [
          id,
        ]);
        const { rows } = await client.query('select * from app_public.audit_events where id > $1', [
          mark,
        ]);
        expect(rows.at(-1)).toMatchObject({
          source: 'JOB',
          actor_id: 'user_alice',
          impersonator_id: 'user_support',
          trace_id: traceId,
        });
      });
    }
  });
});

describe('a command of an operator', () => {
  test('on dead jobs is told under their organization, and under none where they have none', async () => {
    const retried = await deadJob();
    await asWorker(database, (client) =>
      client.query('select app_private.retry_jobs($1)', [[retried]]),
    );
    const dropped = await deadJob();
    await asWorker(database, (client) =>
      client.query('select app_private.drop_jobs($1)', [[dropped]]),
    );
    const common = {
      org_id: 'org_acme',
      action: 'COMMAND',
      source: 'SYSTEM',
      login: 'rowhouse_worker',
      table_name: 'documents',
      new_values: { task: 'documents__index' },
    };
    expect(await events()).toMatchObject([
      { ...common, operation: 'jobs retry' },
      { ...common, operation: 'jobs drop' },
    ]);
  });

  test('that does nothing is none', async () => {
    await asWorker(database, (client) =>
      client.query('select app_private.drop_jobs($1)', [['999999']]),
    );
    expect(await events()).toEqual([]);
  });
});

describe('the trail', () => {
  const seen = async (caller: TestCaller) =>
    (await ask(database, caller, 'select id, org_id from app_public.audit_events')).rows;

  test('is read by administrators and holders of the permission, of their organization alone', async () => {
    await writeDocument(alice);
    await writeDocument(carol);
    for (const caller of [admin, { ...alice, permissions: ['org:audit:read'] }]) {
      const rows = await seen(caller);
      expect(rows.length).toBeGreaterThan(0);
      expect(new Set(rows.map(({ org_id }) => org_id))).toEqual(new Set(['org_acme']));
    }
    expect(new Set((await seen(globexAdmin)).map(({ org_id }) => org_id))).toEqual(
      new Set(['org_globex']),
    );
  });

  test('is read by no other', async () => {
    for (const caller of [alice, editor, aliceAlone, nobody, { ...nobody, orgRole: 'admin' }]) {
      expect(await seen(caller)).toEqual([]);
    }
  });

  test('is read by operators where it belongs to no organization, and nowhere else', async () => {
    await writeDocument(bob);
    await inRolledBack(async (client) => {
      await client.query(
        "insert into app_public.audit_events (org_id, action, source) values ('', 'COMMAND', 'SYSTEM')",
      );
      await client.query('set local role rowhouse_owner');
      const { rows } = await client.query('select distinct org_id from app_public.audit_events');
      expect(rows).toEqual([{ org_id: '' }]);
    });
  });

  test('does not show the login', async () => {
    await expect(
      ask(database, admin, 'select login from app_public.audit_events'),
    ).rejects.toMatchObject(denied);
  });

  const changes = [
    "insert into app_public.audit_events (org_id, action, source) values ('org_acme', 'INSERT', 'SYSTEM')",
    "update app_public.audit_events set row_id = 'x'",
    'delete from app_public.audit_events',
    'truncate app_public.audit_events',
    `delete from app_private.audit_events_${monthName()}`,
    `update app_private.audit_events_${monthName()} set row_id = 'x'`,
    `truncate app_private.audit_events_${monthName()}`,
    `select * from app_private.audit_events_${monthName()}`,
    'select * from app_private.audit_events_later',
  ];

  test.each(changes)('takes from no caller, no login: %s', async (sql) => {
    await expect(ask(database, admin, sql)).rejects.toMatchObject(denied);
    for (const url of [database.apiUrl, database.workerUrl]) {
      await expect(connected(url, (client) => client.query(sql))).rejects.toMatchObject(denied);
    }
  });

  test.each(changes.filter((sql) => /^(update|delete|truncate)/.test(sql)))(
    'refuses the owner, and whoever bypasses policies: %s',
    async (sql) => {
      const refused = { code: 'RW403' };
      await expect(
        connected(database.ownerUrl, (client) => client.query(sql)),
      ).rejects.toMatchObject(refused);
      await expect(database.superuser.query(sql)).rejects.toMatchObject(refused);
    },
  );
});

describe('months', () => {
  test('have partitions three months ahead, which the worker keeps up', async () => {
    const months = async () =>
      (await database.superuser.query('select month from app_private.audit_months() order by 1'))
        .rows;
    const before = await months();
    expect(before).toHaveLength(5);
    const attempt = await takeJob(database, await addJob(database, 'audit_events__partition'));
    await asWorker(database, (client) =>
      client.query('select app_private.maintain_audit($1)', [attempt]),
    );
    expect(await months()).toEqual(before);
  });

  test('without a partition take events all the same, which move when there is one', async () => {
    await inRolledBack(async (client) => {
      const ahead = `app_private.audit_events_${monthName(3)}`;
      await client.query('set local role rowhouse_owner');
      // As if nobody had made partitions for three months.
      await client.query(`
        alter table app_public.audit_events detach partition app_private.audit_events_later;
        drop table app_private.audit_events_later;
        drop table app_private.audit_events_${monthName(0)}, app_private.audit_events_${monthName(1)},
          app_private.audit_events_${monthName(2)}, ${ahead};
        select app_private.add_last_audit_partition(date_trunc('month', now(), 'UTC'));`);
      await client.query(`insert into app_public.audit_events (org_id, id, action, source)
        values ('org_acme', uuidv7(), 'INSERT', 'SYSTEM'), ('org_acme', uuidv7(interval '70 days'), 'INSERT', 'SYSTEM'),
          ('org_acme', uuidv7(interval '400 days'), 'INSERT', 'SYSTEM')`);
      const places = async () =>
        (
          await client.query(
            "select tableoid::regclass::text as place from app_public.audit_events where org_id = 'org_acme' and action = 'INSERT' and row_id is null order by id",
          )
        ).rows.map(({ place }) => place);
      await client.query('reset role');
      expect(await places()).toEqual(Array(3).fill('app_private.audit_events_later'));
      await client.query('set local role rowhouse_owner');
      await client.query('select app_private.make_audit_partitions()');
      await client.query('reset role');
      const moved = await places();
      expect(moved[0]).toBe(`app_private.audit_events_${monthName(0)}`);
      expect(moved[1]).toMatch(/audit_events_\d{4}_\d{2}$/);
      expect(moved[2]).toBe('app_private.audit_events_later');
    });
  });

  test('are dropped when they ended longer ago than events are kept', async () => {
    await inRolledBack(async (client) => {
      await client.query('set local role rowhouse_owner');
      await client.query("select app_private.add_audit_partition('2020-01-01 00:00Z')");
      const is2020 = async () =>
        (
          await client.query(
            "select to_regclass('app_private.audit_events_2020_01') is not null as is",
          )
        ).rows[0].is;
      await client.query('update app_private.audit_retention set keep = null');
      await client.query('select app_private.purge_audit()');
      expect(await is2020()).toBe(true);
      await client.query("update app_private.audit_retention set keep = interval '24 months'");
      await client.query('select app_private.purge_audit()');
      expect(await is2020()).toBe(false);
      const { rows } = await client.query(
        'select count(*)::int as n from app_private.audit_months()',
      );
      expect(rows).toEqual([{ n: 5 }]);
    });
  });

  test('cannot be dropped by the worker but through the purge, and no shorter than is set', async () => {
    for (const sql of [
      "update app_private.audit_retention set keep = interval '1 month'",
      'select app_private.purge_audit()',
      `drop table app_private.audit_events_${monthName()}`,
    ]) {
      await expect(
        connected(database.workerUrl, (client) => client.query(sql)),
      ).rejects.toMatchObject(denied);
    }
    await expect(
      connected(database.ownerUrl, (client) =>
        client.query("update app_private.audit_retention set keep = '1 day'"),
      ),
    ).rejects.toMatchObject({ code: '23514' });
  });
});

describe('app_private.audit', () => {
  const table = `create table app_public.spoons (
    org_id text not null, id uuid not null default uuidv7(), drawer text not null default 'top', name text, shape text,
    constraint spoons_pkey primary key (org_id, drawer, id))`;

  test('turns the trail on by one call, and again with other columns', async () => {
    await inRolledBack(async (client) => {
      await client.query(table);
      await client.query(
        "select app_private.audit('app_public.spoons', personal => array['name'])",
      );
      await client.query(
        "insert into app_public.spoons (org_id, name, shape) values ('org_acme', 'Silver', 'round')",
      );
      await client.query(
        "select app_private.audit('app_public.spoons', personal => array['shape'])",
      );
      await client.query(
        "select app_private.audit('app_public.spoons', personal => array['shape'])",
      );
      await client.query("update app_public.spoons set name = 'Gold', shape = 'flat'");
      const { rows } = await client.query(
        "select s.id, e.* from app_public.spoons s, app_public.audit_events e where e.table_name = 'spoons' order by e.id",
      );
      expect(rows).toMatchObject([
        { action: 'INSERT', new_values: { shape: 'round' } },
        {
          action: 'UPDATE',
          changed: ['name', 'shape'],
          old_values: { name: 'Silver' },
          new_values: { name: 'Gold' },
        },
      ]);
      expect(rows[0].new_values).not.toHaveProperty('name');
      expect(rows[0].row_id).toMatch(/^top,[0-9a-f-]{36}$/);
    });
  });

  test.each([
    ['a table that is not there', "select app_private.audit('app_public.forks')", '42P01'],
    ['the trail itself', "select app_private.audit('app_public.audit_events')", '42809'],
    ['an index', "select app_private.audit('app_public.documents_pkey')", '42809'],
    [
      'a column that is not there',
      "select app_private.audit('app_public.spoons', personal => array['nme'])",
      '42703',
    ],
    [
      'a tenant that is not there',
      "select app_private.audit('app_public.spoons', tenant => 'organization')",
      '42703',
    ],
    [
      'a key that is personal',
      "select app_private.audit('app_public.spoons', personal => array['id'])",
      '42P16',
    ],
    [
      'a tenant that is ignored',
      "select app_private.audit('app_public.spoons', ignored => array['org_id'])",
      '42P16',
    ],
    [
      'a table without a key',
      "alter table app_public.spoons drop constraint spoons_pkey; select app_private.audit('app_public.spoons')",
      '42P16',
    ],
  ])('refuses %s', async (_claim, sql, code) => {
    await inRolledBack(async (client) => {
      await client.query(table);
      await expect(client.query(sql)).rejects.toMatchObject({ code });
    });
  });

  test('tells of a table that was emptied', async () => {
    await inRolledBack(async (client) => {
      await client.query(table);
      await client.query("select app_private.audit('app_public.spoons')");
      await client.query('truncate app_public.spoons');
      const { rows } = await client.query(
        "select action from app_public.audit_events where table_name = 'spoons'",
      );
      expect(rows).toEqual([{ action: 'TRUNCATE' }]);
    });
  });
});

async function writeDocument(caller: TestCaller): Promise<string> {
  const { rows } = await commitAs(database, caller, (client) => client.query(insertDocument));
  return rows[0].id;
}

async function deadJob(): Promise<string> {
  const jobId = await addJob(database, 'documents__index');
  const attempt = await takeJob(database, jobId);
  await asWorker(database, (client) =>
    client.query('select app_private.fail_attempt($1, $2, $3, true)', [attempt, 'INTERNAL', 'x']),
  );
  return jobId;
}

function inClaims(caller: TestCaller, work: (client: Client) => Promise<void>): Promise<void> {
  return connected(database.apiUrl, async (client) => {
    await client.query('begin');
    await setClaims(client, caller);
    await work(client);
    await client.query('commit');
  });
}

function inRolledBack<Result>(work: (client: Client) => Promise<Result>): Promise<Result> {
  return connected(String(database.superuser.options.connectionString), async (client) => {
    await client.query('begin');
    const result = await work(client);
    await client.query('rollback');
    return result;
  });
}

/** `2026_11`, that many months from now. */
function monthName(ahead = 0): string {
  const now = new Date();
  const month = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1));
  return month.toISOString().slice(0, 7).replace('-', '_');
}
