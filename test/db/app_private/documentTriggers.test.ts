import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { alice, ask, carol, commitAs, provisionAll } from '../callers.ts';

/** What the triggers of documents do with a write. */

let database: TestDatabase;
let plan: string;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

beforeEach(async () => {
  await database.superuser.query('truncate app_public.documents cascade');
  plan = await commitAs(database, alice, async (client) => {
    const { rows } = await client.query(
      "insert into app_public.documents (title, body) values ('Plan', 'Body') returning id",
    );
    return rows[0].id;
  });
});

describe('updated_at', () => {
  test.each(['title', 'body'])(
    'is stamped when %s changes, and created_at is not',
    async (column) => {
      const { rows } = await ask(
        database,
        alice,
        `update app_public.documents set ${column} = 'New' where id = $1
       returning updated_at = now() as stamped, created_at < now() as kept`,
        [plan],
      );
      expect(rows).toEqual([{ stamped: true, kept: true }]);
    },
  );

  test('is left alone when the search vector is completed', async () => {
    const { rows } = await database.superuser.query(
      "update app_public.documents set search = 'x' where id = $1 returning updated_at = created_at as kept",
      [plan],
    );
    expect(rows).toEqual([{ kept: true }]);
  });
});

describe('the search vector', () => {
  test('weighs the title more than the body', async () => {
    const { rows } = await ask(
      database,
      alice,
      "insert into app_public.documents (title, body) values ('Spring release', 'The plans') returning search::text",
    );
    expect(rows).toEqual([{ search: "'plan':4B 'releas':2A 'spring':1A" }]);
  });

  test.each(['title', 'body'])('follows the %s', async (column) => {
    const { rows } = await ask(
      database,
      alice,
      `update app_public.documents set ${column} = 'Zebra' where id = $1
       returning search @@ to_tsquery('english', 'zebra') as found`,
      [plan],
    );
    expect(rows).toEqual([{ found: true }]);
  });

  test('holds the first 20 000 characters of a long body at once', async () => {
    const { rows } = await ask(
      database,
      alice,
      `insert into app_public.documents (title, body)
       values ('Long', 'alpha ' || repeat('x ', 10000) || ' omega')
       returning search @@ 'alpha' as at_start, search @@ 'omega' as at_end`,
    );
    expect(rows).toEqual([{ at_start: true, at_end: false }]);
  });
});

describe('the job that indexes', () => {
  const write = 'insert into app_public.documents (title, body) values ($1, $2) returning id';
  const jobs = `
    select key, payload, is_available, locked_by
    from graphile_worker._private_jobs join graphile_worker._private_tasks t on t.id = task_id
    where t.identifier = 'documents__index' order by _private_jobs.id`;
  const long = 'word '.repeat(5_000);
  const writeAs = (caller: typeof alice, body: string) =>
    commitAs(database, caller, async (c) => (await c.query(write, ['Long', body])).rows[0].id);

  beforeEach(() => database.superuser.query('delete from graphile_worker._private_jobs'));

  test('is not needed for a body of 20 000 characters', async () => {
    await writeAs(alice, 'x'.repeat(20_000));
    expect((await database.superuser.query(jobs)).rows).toEqual([]);
  });

  test('is queued for a longer one, and names organization, user, row and request', async () => {
    const id = await writeAs(alice, 'x'.repeat(20_001));
    expect((await database.superuser.query(jobs)).rows).toEqual([
      {
        key: `documents__index:org_acme:${id}`,
        payload: {
          orgId: 'org_acme',
          userId: 'user_alice',
          actorId: null,
          requestId: 'test',
          traceId: null,
          traceparent: null,
          rowId: id,
        },
        is_available: true,
        locked_by: null,
      },
    ]);
  });

  test('is queued once per document, however often it is changed', async () => {
    const ids = [await writeAs(alice, long), await writeAs(carol, long)];
    for (const [i, caller] of [alice, carol].entries()) {
      const change = 'update app_public.documents set body = body || $2 where id = $1';
      for (const text of ['a', 'b']) {
        await commitAs(database, caller, (client) => client.query(change, [ids[i], text]));
      }
    }
    const { rows } = await database.superuser.query(jobs);
    expect(rows.map(({ payload }) => payload.rowId)).toEqual(ids);
  });

  test('is queued again while the first one already runs', async () => {
    const id = await writeAs(alice, long);
    await database.superuser.query(
      "update graphile_worker._private_jobs set locked_at = now(), locked_by = 'a worker'",
    );
    await commitAs(database, alice, (client) =>
      client.query("update app_public.documents set title = 'Longer' where id = $1", [id]),
    );
    const { rows } = await database.superuser.query(jobs);
    expect(rows.map(({ key, locked_by }) => ({ isKeyed: key !== null, locked_by }))).toEqual([
      { isKeyed: false, locked_by: 'a worker' },
      { isKeyed: true, locked_by: null },
    ]);
  });

  test('is not left behind by a write that was rolled back', async () => {
    await ask(database, alice, write, ['Long', long]);
    expect((await database.superuser.query(jobs)).rows).toEqual([]);
  });
});
