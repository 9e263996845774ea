import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { PoolClient } from 'pg';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { until } from '../../support/until.ts';
import { addJob, asWorker, jobOf, takeJob, workerId } from '../attempts.ts';
import { alice, commitAs, provisionAll } from '../callers.ts';

/** Jobs that are added while a worker is at the row they are about. */

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());
beforeEach(() =>
  database.superuser.query(
    'delete from graphile_worker._private_jobs; delete from app_public.documents',
  ),
);

/** Work in a transaction of its own, which is still open when it returns. */
async function begin(work: (client: PoolClient) => Promise<unknown>): Promise<PoolClient> {
  const client = await database.superuser.connect();
  await client.query('begin');
  await work(client);
  return client;
}

async function commit(client: PoolClient): Promise<void> {
  await client.query('commit');
  client.release();
}

/** Waits until a transaction waits for another of this file's database. */
const untilBlocked = () =>
  until('a transaction that waits', async () => {
    const { rowCount } = await database.superuser.query(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return rowCount === 1;
  });

test('a job added while a worker takes the one about the same row follows it', async () => {
  const first = await addJob(database, 'documents__index');
  const taking = await begin((client) =>
    client.query(
      `update graphile_worker._private_jobs
       set attempts = attempts + 1, locked_by = $2, locked_at = now() where id = $1`,
      [first, workerId],
    ),
  );
  const adding = addJob(database, 'documents__index');
  await untilBlocked();
  await commit(taking);
  const second = await adding;
  expect(second).not.toBeNull();
  expect(second).not.toBe(first);
  expect(await jobOf(database, second)).toMatchObject({ attempts: 0, is_available: true });
});

test('a job that the queue does not take ten times over is refused, for the transaction to be tried again', async () => {
  await expect(
    database.superuser.query(`
      begin;
      create function pg_temp.nothing() returns trigger language plpgsql as 'begin return null; end';
      create trigger nothing before insert on graphile_worker._private_jobs for each row execute function pg_temp.nothing();
      select app_private.enqueue('test', uuidv7(), org_id => 'org_acme')`),
  ).rejects.toMatchObject({ code: '40001' });
});

test('the turns of an organization follow each other, whoever waits beside it: next_turn', async () => {
  for (const orgId of ['org_globex', 'org_acme']) {
    for (const key of ['a', 'b']) await addJob(database, 'test', { key: orgId + key, orgId });
  }
  const { rows } = await database.superuser.query(
    'select key, priority from graphile_worker._private_jobs order by 1',
  );
  expect(rows.map(({ priority }) => priority)).toEqual([0, 1, 0, 1]);
});

test('a write to a document and the end of its job do not wait for each other', async () => {
  const id = await commitAs(database, alice, async (client) => {
    const { rows } = await client.query(
      "insert into app_public.documents (title, body) values ('Long', repeat('x ', 20000)) returning id",
    );
    return rows[0].id as string;
  });
  const { rows } = await database.superuser.query('select id from graphile_worker._private_jobs');
  const attempt = await takeJob(database, rows[0].id);
  // The write holds the document; its trigger is still to come.
  const writing = await begin((client) =>
    client.query('select from app_public.documents where id = $1 for no key update', [id]),
  );
  const indexing = asWorker(database, (client) =>
    client.query('select app_private.index_document($1, $2)', [attempt, id]),
  );
  await untilBlocked();
  await writing.query(
    "update app_public.documents set body = repeat('x ', 20000) || 'omega' where id = $1",
    [id],
  );
  await commit(writing);
  await indexing;
  const { rows: found } = await database.superuser.query(
    "select search @@ 'omega'::tsquery as is_found from app_public.documents",
  );
  expect(found).toEqual([{ is_found: true }]);
});

test('each job that is added is counted by one worker, once', async () => {
  const count = async () =>
    (await asWorker(database, (client) => client.query('select app_private.count_added() as jobs')))
      .rows[0].jobs;
  await count();
  for (const key of ['a', 'b', 'c']) await addJob(database, 'test', { key });
  const counts = await Promise.all([count(), count()]);
  expect(counts.sort()).toEqual(['0', '3']);
});

describe('refuses', () => {
  test.each([
    ['a payload that is no object', 'payload => \'[{"orgId":"org_globex"}]\''],
    ['a payload that is null', 'payload => null'],
    ['less than one attempt', 'max_attempts => 0'],
    ['no organization', 'org_id => null'],
  ])('%s', async (_, argument) => {
    const named = { task: "'test'", row_id: 'uuidv7()', org_id: "'org_acme'" };
    const given = Object.entries(named)
      .filter(([name]) => !argument.startsWith(name))
      .map(([name, value]) => `${name} => ${value}`);
    await expect(
      database.superuser.query(`select app_private.enqueue(${[...given, argument].join(', ')})`),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^(RW|22023|23514)/) });
    const { rowCount } = await database.superuser.query(
      'select from graphile_worker._private_jobs',
    );
    expect(rowCount).toBe(0);
  });
});
