import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, takeJob } from '../attempts.ts';
import { admin, alice, ask, provisionAll } from '../callers.ts';

/**
 * What a function does to one file, and to no other: not to the file of the same id in another
 * organization, nor to that of a colleague, whom a manager may read.
 */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());
beforeEach(() =>
  insertFiles(
    'delete from app_public.files; delete from app_private.file_usage; delete from graphile_worker._private_jobs',
  ),
);

const id = '01a00000-0000-7000-8000-000000000001';

/** Past triggers and keys: rows as they may come to be by other ways. */
const insertFiles = (sql: string) =>
  database.superuser.query(
    `begin; set local session_replication_role = replica; ${sql}; update app_private.file_patrol
     set reached_org = '', reached_id = '00000000-0000-0000-0000-000000000000'; commit`,
  );

/** The same id in Acme and in Globex; Globex's has more time. */
const insertTwins = (status: string, columns = '', values = '') =>
  insertFiles(
    `insert into app_public.files (org_id, id, owner_id, file_name, content_type, byte_size, checksum_sha256, expires_at, status ${columns})
     select org, '${id}', owner, 'a.txt', 'text/plain', 1, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=', now() + more, '${status}' ${values}
     from (values ('org_acme', 'user_alice', interval '-1 hour'), ('org_globex', 'user_carol', '1 hour')) as t (org, owner, more)`,
  );

const statuses = async () =>
  (await database.superuser.query('select status from app_public.files order by org_id')).rows.map(
    ({ status }) => status,
  );

/** Calls a function of the worker for an attempt at a job of Acme about the file. */
async function asJob(call: string, values: unknown[] = []) {
  const jobId = await addJob(database, 'files__finalize', { rowId: id, key: 'this attempt' });
  const attempt = await takeJob(database, jobId);
  const { rows } = await asWorker(database, (client) =>
    client.query(`select * from app_private.${call}`, [attempt, ...values]),
  );
  await database.superuser.query('delete from graphile_worker._private_jobs where id = $1', [
    jobId,
  ]);
  return rows;
}

describe('of two files of the same id a job means the one of its organization', () => {
  test('file_to_finalize', async () => {
    await insertTwins('FINALIZING');
    expect(await asJob('file_to_finalize($1, $2)', [id])).toMatchObject([
      { incoming_key: `incoming/org_acme/${id}` },
    ]);
  });

  test('accept_file', async () => {
    await insertTwins('FINALIZING');
    await asJob("accept_file($1, $2, 'files/x', null, null, null, null)", [id]);
    expect(await statuses()).toEqual(['READY', 'FINALIZING']);
  });

  test('reject_file', async () => {
    await insertTwins('FINALIZING');
    await asJob("reject_file($1, $2, 'UPLOAD_MISSING')", [id]);
    expect(await statuses()).toEqual(['REJECTED', 'FINALIZING']);
  });

  test('expire_files, which gives back the room of that file alone', async () => {
    await insertTwins('PENDING');
    await database.superuser.query(
      `insert into app_private.file_usage (org_id, files, bytes) values ('org_acme', 1, 1), ('org_globex', 1, 1)
       on conflict (org_id) do update set files = 1, bytes = 1`,
    );
    await asJob('expire_files($1)');
    expect(await statuses()).toEqual(['EXPIRED', 'PENDING']);
    const { rows } = await database.superuser.query(
      'select files::int from app_private.file_usage order by org_id',
    );
    expect(rows).toEqual([{ files: 0 }, { files: 1 }]);
  });
});

test('a file on its way gets its job back, whatever else waits: resume_files', async () => {
  await insertTwins('FINALIZING');
  await insertFiles("update app_public.files set updated_at = now() - interval '2 hours'");
  const resumed = async () => (await asJob('resume_files($1)')).map((row) => row.resume_files);
  await database.superuser.query(
    "select app_private.enqueue('files__finalize', $1, org_id => 'org_globex')",
    [id],
  );
  expect([await resumed(), await resumed()]).toEqual([[1], [0]]);
});

test('files are looked for in turn, each once before the first again: next_ready_files', async () => {
  await insertTwins('READY', ', object_key, ready_at', `, 'files/x', now()`);
  const next = async () => (await asJob('next_ready_files($1, 1)')).map(({ org_id }) => org_id);
  expect([await next(), await next(), await next(), await next()]).toEqual([
    ['org_acme'],
    ['org_globex'],
    [],
    ['org_acme'],
  ]);
});

describe('an upload is its owner’s business alone, also among those who may read it', () => {
  test.each<[string, string, (caller: TestCaller) => Promise<unknown>]>([
    ['own_upload', 'signing parts', (caller) => ownUpload(caller)],
    ['complete_multipart', 'completing', (caller) => complete(caller)],
  ])('%s, for %s', async (_, __, call) => {
    await insertTwins('PENDING', ', part_size, multipart_upload_id', `, 5000000, 'upload'`);
    expect(await call(admin)).toBeNull();
    expect(await call(alice)).not.toBeNull();
  });

  const ownUpload = async (caller: TestCaller) =>
    (await ask(database, caller, 'select status from app_hidden.own_upload($1)', [id])).rows[0]
      ?.status ?? null;
  const complete = async (caller: TestCaller) =>
    (await ask(database, caller, "select app_hidden.complete_multipart($1, '[]') as it", [id]))
      .rows[0]?.it ?? null;
});
