import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, jobOf, takeJob } from '../attempts.ts';
import { admin, alice, ask, carol, commitAs, globexAdmin, provisionAll } from '../callers.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());
beforeEach(() => database.superuser.query('delete from graphile_worker._private_jobs'));

const rowId = '00000000-0000-7000-8000-000000000001';

/** Lets an attempt at a job fail. */
async function fail(jobId: string, { code = 'INTERNAL', isFinal = true } = {}): Promise<void> {
  const attempt = await takeJob(database, jobId);
  await asWorker(database, (client) =>
    client.query('select app_private.fail_attempt($1, $2, $3, $4)', [
      attempt,
      code,
      'the inside of org_acme',
      isFinal,
    ]),
  );
}

const lettersOf = async (caller: typeof admin) =>
  (
    await ask(
      database,
      caller,
      'select task, subject, error_code, attempts, request_id from app_public.dead_letters',
    )
  ).rows;

describe('a job that failed for good', () => {
  test('is seen by the administrators of its organization, and by holders of the permission', async () => {
    const id = await addJob(database, 'documents__index');
    await fail(id, { code: 'TIMEOUT' });
    const letter = {
      task: 'documents__index',
      subject: rowId,
      error_code: 'TIMEOUT',
      attempts: 1,
      request_id: null,
    };
    expect(await lettersOf(admin)).toEqual([letter]);
    expect(await lettersOf({ ...alice, permissions: ['org:jobs:manage'] })).toEqual([letter]);
  });

  test('is seen by no other: members, other organizations, nobody', async () => {
    await fail(await addJob(database, 'documents__index'));
    for (const caller of [alice, carol, globexAdmin, { userId: '', orgId: '', orgRole: 'admin' }]) {
      expect(await lettersOf(caller)).toEqual([]);
    }
  });

  test('shows neither its number nor what it holds, and cannot be changed', async () => {
    await fail(await addJob(database, 'documents__index'));
    for (const statement of [
      'select job_id from app_public.dead_letters',
      'select * from app_public.dead_letters',
      'delete from app_public.dead_letters',
      "update app_public.dead_letters set task = 'x'",
      "insert into app_public.dead_letters (task) values ('x')",
    ]) {
      await expect(ask(database, admin, statement)).rejects.toMatchObject({ code: '42501' });
    }
    const { rows } = await database.superuser.query(
      'select d::text as row from app_public.dead_letters d',
    );
    expect(rows[0].row).not.toContain('inside');
  });

  test('is listed after its last attempt, and not before', async () => {
    const id = await addJob(database, 'documents__index');
    await database.superuser.query('update graphile_worker._private_jobs set max_attempts = 2');
    await fail(id, { isFinal: false });
    expect(await lettersOf(admin)).toEqual([]);
    await fail(id, { isFinal: false });
    expect(await lettersOf(admin)).toHaveLength(1);
  });

  test('is listed when its worker died at the last attempt', async () => {
    const id = await addJob(database, 'documents__index');
    await database.superuser.query('update graphile_worker._private_jobs set max_attempts = 1');
    await takeJob(database, id, 'worker-gone');
    await asWorker(database, (client) =>
      client.query("select app_private.end_worker('worker-gone')"),
    );
    expect(await lettersOf(admin)).toMatchObject([{ error_code: 'INTERRUPTED' }]);
  });

  test('is listed whatever its payload holds; where no organization is known, for operators alone', async () => {
    const odd = [
      { orgId: 'org_acme', rowId: 'x'.repeat(5_000), requestId: { a: 1 } },
      { orgId: 'org_nowhere', rowId },
      { orgId: 7 },
      [],
    ];
    for (const payload of odd) {
      const { rows } = await database.superuser.query(
        "select (graphile_worker.add_job('documents__index', $1::json)).id",
        [JSON.stringify(payload)],
      );
      await fail(rows[0].id);
    }
    expect(await lettersOf(admin)).toHaveLength(1);
  });

  test('leaves the list when it runs again, under its id and key, and when it is dropped', async () => {
    const id = await addJob(database, 'documents__index');
    await fail(id);
    const { key } = await jobOf(database, id);
    const call = (name: string) =>
      asWorker(database, (client) => client.query(`select app_private.${name}($1)`, [[id]]));
    await call('retry_jobs');
    expect(await lettersOf(admin)).toEqual([]);
    expect(await jobOf(database, id)).toMatchObject({ id, key, attempts: 0, is_available: true });
    await fail(id);
    expect(await lettersOf(admin)).toHaveLength(1);
    await call('drop_jobs');
    expect(await lettersOf(admin)).toEqual([]);
    expect(await jobOf(database, id)).toBeUndefined();
  });

  test('is replaced by a new one about the same row', async () => {
    await fail(await addJob(database, 'documents__index'));
    await addJob(database, 'documents__index');
    expect(await lettersOf(admin)).toEqual([]);
    const { rowCount } = await database.superuser.query(
      'select from graphile_worker._private_jobs',
    );
    expect(rowCount).toBe(1);
  });
});

test('a job that another replaced while it ran ends without a trace when it fails', async () => {
  const first = await addJob(database, 'documents__index');
  const attempt = await takeJob(database, first);
  const second = await addJob(database, 'documents__index');
  expect(second).not.toBe(first);
  await asWorker(database, (client) =>
    client.query("select app_private.fail_attempt($1, 'INTERNAL', '', false)", [attempt]),
  );
  expect(await jobOf(database, first)).toBeUndefined();
  expect(await jobOf(database, second)).toMatchObject({ is_available: true });
  expect(await lettersOf(admin)).toEqual([]);
});

describe('what a document says of its job', () => {
  const state = async (caller: typeof admin, id: string) => {
    const { rows } = await ask(
      database,
      caller,
      `select (app_public.documents_search_indexing(d)).* from app_public.documents d where id = $1`,
      [id],
    );
    return rows[0];
  };
  const write = () =>
    commitAs(database, alice, async (client) => {
      const { rows } = await client.query(
        "insert into app_public.documents (title, body) values ('Long', repeat('x ', 20000)) returning id",
      );
      return rows[0].id as string;
    });

  test('follows the queue: queued, running, retrying, failed, gone', async () => {
    const id = await write();
    const { rows } = await database.superuser.query('select id from graphile_worker._private_jobs');
    const [{ id: jobId }] = rows;
    expect(await state(alice, id)).toMatchObject({
      status: 'QUEUED',
      attempts: 0,
      error_code: null,
    });
    const attempt = await takeJob(database, jobId);
    expect(await state(alice, id)).toMatchObject({
      status: 'RUNNING',
      attempts: 1,
      next_attempt_at: null,
    });
    await asWorker(database, (client) =>
      client.query("select app_private.fail_attempt($1, 'UNAVAILABLE', 'secret', false)", [
        attempt,
      ]),
    );
    expect(await state(alice, id)).toEqual({
      status: 'RETRYING',
      attempts: 1,
      next_attempt_at: (await jobOf(database, jobId)).run_at,
      error_code: 'UNAVAILABLE',
    });
    await fail(jobId, { code: 'TIMEOUT' });
    expect(await state(alice, id)).toMatchObject({
      status: 'FAILED',
      error_code: 'TIMEOUT',
      next_attempt_at: null,
    });
    await database.superuser.query('delete from graphile_worker._private_jobs');
    expect(await state(alice, id)).toMatchObject({ status: null });
  });

  test('says nothing of the job of another document', async () => {
    await write();
    const { rows } = await ask(
      database,
      alice,
      "select (app_hidden.job_state('documents__index', $1)).status",
      [rowId],
    );
    expect(rows).toEqual([{ status: null }]);
  });

  test('says nothing of the jobs of another organization', async () => {
    const id = await write();
    const asked = await ask(
      database,
      carol,
      "select (app_hidden.job_state('documents__index', $1)).status",
      [id],
    );
    expect(asked.rows).toEqual([{ status: null }]);
    // Not even where a key looks like one's own.
    await addJob(database, 'documents__index', {
      rowId,
      orgId: 'org_acme',
      key: `documents__index:org_globex:${rowId}`,
    });
    const forged = await ask(
      database,
      carol,
      "select (app_hidden.job_state('documents__index', $1)).status",
      [rowId],
    );
    expect(forged.rows).toEqual([{ status: null }]);
  });
});
