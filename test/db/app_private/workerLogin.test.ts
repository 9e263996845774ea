import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, jobOf, over, takeJob, workerId } from '../attempts.ts';
import { alice, commitAs, connected, denied, provisionAll } from '../callers.ts';

/** What whoever has the worker's login cannot do with it. */

let database: TestDatabase;
let job: string;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
  await commitAs(database, alice, (client) =>
    client.query("insert into app_public.documents (title) values ('Plan')"),
  );
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.superuser.query('delete from graphile_worker._private_jobs');
  job = await addJob(database, 'documents__index');
});

/** Whatever claims it gives itself. */
const claims = `select set_config('jwt.org_id', 'org_acme', false), set_config('jwt.user_id', 'user_alice', false),
  set_config('jwt.org_role', 'admin', false)`;

describe('the login of the worker, with any claims it likes', () => {
  test.each([
    'set role app_user',
    'set role app_api',
    'set session authorization rowhouse_api',
    'select from app_public.documents',
    'select from app_public.dead_letters',
    'select from app_private.workers',
    "insert into app_public.dead_letters (task) values ('x')",
    "select app_private.enqueue('documents__index', uuidv7())",
    "select app_private.enter_attempt('(1,0,1)')",
    "select app_private.return_jobs(array['x'], '{}', '0')",
    "select app_hidden.job_state('documents__index', uuidv7())",
    "select app_private.provision('user_eve', null, null, 'org_acme', null, 'admin')",
    "select graphile_worker.force_unlock_workers(array['x'])",
    'select graphile_worker.complete_jobs(array[1])',
    "select graphile_worker.remove_job('x')",
  ])('cannot %s', async (statement) => {
    await asWorker(database, async (client) => {
      await client.query(claims);
      await expect(client.query(statement)).rejects.toMatchObject(denied);
    });
  });

  test('cannot add a job for an organization, nor give one to it', async () => {
    await asWorker(database, async (client) => {
      const payload = JSON.stringify({ orgId: 'org_acme', rowId: null });
      for (const statement of [
        "select graphile_worker.add_job('documents__index', $1::json)",
        'insert into graphile_worker._private_jobs (task_id, payload) values (1, $1::json)',
      ]) {
        await expect(client.query(statement, [payload])).rejects.toMatchObject(denied);
      }
      await client.query(
        "select graphile_worker.add_job('documents__index', '{}', job_key => 'clock')",
      );
      for (const [statement, values] of [
        [
          "update graphile_worker._private_jobs set payload = $1::json where key = 'clock'",
          [payload],
        ],
        ['update graphile_worker._private_jobs set payload = $1::json where id = $2', ['{}', job]],
        [
          'update graphile_worker._private_jobs set payload = $1::json where id = $2',
          ['{"orgId":"org_globex"}', job],
        ],
        ['update graphile_worker._private_jobs set task_id = 0 where id = $1', [job]],
      ] as const) {
        await expect(client.query(statement, [...values])).rejects.toMatchObject({ code: 'RW403' });
      }
      // Nor by the key of a job of an organization.
      const { key } = await jobOf(database, job);
      await expect(
        client.query("select graphile_worker.add_job('documents__index', '{}', job_key => $1)", [
          key,
        ]),
      ).rejects.toMatchObject({ code: 'RW403' });
    });
    expect((await jobOf(database, job)).payload).toMatchObject({ orgId: 'org_acme' });
  });

  test('replaces jobs by the clock, which belong to no organization', async () => {
    await asWorker(database, async (client) => {
      for (const payload of ['{}', '{"later":true}']) {
        await client.query(
          "select graphile_worker.add_job('queue__purge', $1::json, job_key => 'clock')",
          [payload],
        );
      }
    });
    const { rows } = await database.superuser.query(
      "select payload from graphile_worker._private_jobs where key = 'clock'",
    );
    expect(rows).toEqual([{ payload: { later: true } }]);
  });

  test('enters the organization of a job it holds, and of no other, whatever it claims', async () => {
    const attempt = await takeJob(database, job);
    const globex = await addJob(database, 'documents__index', { orgId: 'org_globex' });
    await asWorker(database, async (client) => {
      await client.query("select set_config('jwt.org_id', 'org_globex', false)");
      await client.query('begin');
      await client.query('select app_private.index_document($1, uuidv7())', [attempt]);
      const { rows } = await client.query("select current_setting('jwt.org_id') as org_id");
      expect(rows).toEqual([{ org_id: 'org_acme' }]);
      await client.query('rollback');
      await expect(
        client.query('select app_private.index_document($1, uuidv7())', [`(${globex},0,0)`]),
      ).rejects.toMatchObject(over);
    });
  });
});

describe('an attempt', () => {
  const complete = 'select app_private.complete_attempt($1)';

  test('is ended once, by its holder', async () => {
    const attempt = await takeJob(database, job);
    await asWorker(database, (client) => client.query(complete, [attempt]));
    expect(await jobOf(database, job)).toBeUndefined();
    await expect(asWorker(database, (c) => c.query(complete, [attempt]))).rejects.toMatchObject(
      over,
    );
  });

  test.each([
    ['another worker holds', () => takeJob(database, job, 'another')],
    ['nobody holds', async () => `(${job},0,0)`],
    [
      'was returned',
      async () => {
        const attempt = await takeJob(database, job);
        await asWorker(database, (c) => c.query('select app_private.end_worker($1)', [workerId]));
        return attempt;
      },
    ],
    [
      'was before the one that is held',
      async () => {
        const attempt = await takeJob(database, job);
        await asWorker(database, (c) => c.query('select app_private.end_worker($1)', [workerId]));
        await takeJob(database, job);
        return attempt;
      },
    ],
    [
      'was before an operator let the job run again',
      async () => {
        const attempt = await takeJob(database, job);
        await asWorker(database, (c) =>
          c.query("select app_private.fail_attempt($1, 'INTERNAL', '', true)", [attempt]),
        );
        await asWorker(database, (c) => c.query('select app_private.retry_jobs($1)', [[job]]));
        await takeJob(database, job);
        return attempt;
      },
    ],
  ])('that %s cannot be ended', async (_, prepare) => {
    const attempt = await prepare();
    await asWorker(database, async (client) => {
      await expect(client.query(complete, [attempt])).rejects.toMatchObject(over);
      await expect(
        client.query("select app_private.fail_attempt($1, 'INTERNAL', '', false)", [attempt]),
      ).rejects.toMatchObject(over);
    });
    expect(await jobOf(database, job)).toBeDefined();
  });

  test('goes on when another job about the same row is added, and may still be ended', async () => {
    const attempt = await takeJob(database, job);
    const next = await addJob(database, 'documents__index');
    await asWorker(database, (client) => client.query(complete, [attempt]));
    expect(await jobOf(database, job)).toBeUndefined();
    expect(await jobOf(database, next)).toMatchObject({ attempts: 0, is_available: true });
  });

  test('of a later job about the same row compares greater', async () => {
    const { rows } = await database.superuser.query(
      `select row(7, 0, 2)::app_private.attempt < row(7, 1, 1)::app_private.attempt
         and row(7, 1, 3)::app_private.attempt < row(8, 0, 1)::app_private.attempt as ordered`,
    );
    expect(rows).toEqual([{ ordered: true }]);
  });
});

describe('a connection', () => {
  const remove = 'delete from graphile_worker._private_jobs where id = $1';
  const lock =
    'update graphile_worker._private_jobs set locked_by = $2, locked_at = now() where id = $1';

  test('deletes no job but those its worker holds, as graphile-worker would by their id', async () => {
    await takeJob(database, job, 'another');
    expect((await asWorker(database, (client) => client.query(remove, [job]))).rowCount).toBe(0);
    await takeJob(database, job);
    expect((await asWorker(database, (client) => client.query(remove, [job]))).rowCount).toBe(1);
  });

  test('without the name of a worker takes no job; with one, none for another', async () => {
    await connected(database.workerUrl, async (client) => {
      await expect(client.query(lock, [job, 'anybody'])).rejects.toMatchObject(denied);
      expect((await client.query(remove, [job])).rowCount).toBe(0);
    });
    await asWorker(database, async (client) => {
      await expect(client.query(lock, [job, 'another'])).rejects.toMatchObject(denied);
      expect((await client.query(lock, [job, workerId])).rowCount).toBe(1);
    });
  });

  test('notes no run by the clock that is still to come, however wrong its clock is', async () => {
    await asWorker(database, async (client) => {
      const note = `insert into graphile_worker._private_known_crontabs (identifier, known_since, last_execution)
        values ('x', now(), now() + $1::interval)`;
      await expect(client.query(note, ['1 hour'])).rejects.toMatchObject(denied);
      expect((await client.query(note, ['0'])).rowCount).toBe(1);
    });
  });
});
