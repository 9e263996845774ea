import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Pool } from 'pg';
import { pgSettings } from '../../../db/claims.ts';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, over, takeJob } from '../attempts.ts';
import {
  admin,
  alice,
  aliceAtGlobex,
  ask,
  bob,
  carol,
  commitAs,
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
beforeEach(async () => {
  await database.superuser.query(
    `delete from app_public.files; delete from app_private.upload_settings;
     delete from graphile_worker._private_jobs`,
  );
});

const limits = {
  allowedTypes: ['text/plain', 'image/*'],
  maxBytes: 1_000,
  singleMaxBytes: 500,
  partBytes: 100,
  ttlSeconds: 900,
  multipartTtlSeconds: 86_400,
  quotaBytes: 10_000,
  quotaFiles: 50,
};
const checksum = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';
const createSql = 'select * from app_hidden.create_file($1, $2, $3, $4, $5, $6)';
const createValues = (
  more: { size?: number; type?: string; document?: string; limits?: object } = {},
) => [
  'a.txt',
  more.type ?? 'text/plain',
  more.size ?? 10,
  checksum,
  more.document ?? null,
  JSON.stringify({ ...limits, ...more.limits }),
];

async function create(caller: TestCaller = alice, more = {}): Promise<string> {
  const { rows } = await commitAs(database, caller, (client) =>
    client.query(createSql, createValues(more)),
  );
  return rows[0].id;
}

async function createDocument(caller: TestCaller): Promise<string> {
  const { rows } = await commitAs(database, caller, (client) =>
    client.query("insert into app_public.documents (title) values ('Plan') returning id"),
  );
  return rows[0].id;
}

async function statusOf(id: string): Promise<string | undefined> {
  const { rows } = await database.superuser.query(
    'select status from app_public.files where id = $1',
    [id],
  );
  return rows[0]?.status;
}

async function usageOf(orgId: string): Promise<{ files: number; bytes: number }> {
  const { rows } = await database.superuser.query(
    'select files::int, bytes::int from app_private.file_usage where org_id = $1',
    [orgId],
  );
  return rows[0] ?? { files: 0, bytes: 0 };
}

const move = (name: string) => (caller: TestCaller, id: string) =>
  commitAs(database, caller, async (client) => {
    const { rows } = await client.query(`select app_hidden.${name}($1) as is_done`, [id]);
    return rows[0]?.is_done ?? null;
  });
const finalize = move('finalize_file');
const abort = move('abort_upload');

describe('rows', () => {
  const seenBy = async (id: string, caller: TestCaller) =>
    (await ask(database, caller, 'select from app_public.files where id = $1', [id])).rowCount ===
    1;
  const files = { ...bob, permissions: ['org:files:manage'] };

  test('are read by their owner and by managers of files, and by nobody else', async () => {
    const id = await create();
    for (const caller of [alice, admin, files]) expect(await seenBy(id, caller)).toBe(true);
    for (const caller of [bob, editor, carol, globexAdmin, aliceAtGlobex, nobody]) {
      expect(await seenBy(id, caller)).toBe(false);
    }
  });

  test('of a document are read by whoever reads the document', async () => {
    const id = await create(editor, { document: await createDocument(alice) });
    for (const caller of [alice, editor, admin, files]) expect(await seenBy(id, caller)).toBe(true);
    for (const caller of [bob, carol, globexAdmin, nobody]) {
      expect(await seenBy(id, caller)).toBe(false);
    }
  });

  test('are given to a document only by who may change it; others hear what they hear of none', async () => {
    const document = await createDocument(alice);
    for (const caller of [alice, editor, admin]) await create(caller, { document });
    const answer = (given: string) =>
      create(bob, { document: given }).catch(({ code, table, constraint, message }) => {
        // The message goes to the log alone.
        expect(message).toBeDefined();
        return { code, table, constraint };
      });
    const unknown = await answer('00000000-0000-7000-8000-000000000009');
    expect(unknown).toEqual({
      code: '23503',
      table: 'files',
      constraint: 'files_document_id_fkey',
    });
    expect(await answer(document)).toEqual(unknown);
    expect(await answer(await createDocument(carol))).toEqual(unknown);
  });

  test('are added by create_file alone, and never without claims', async () => {
    const insert = `insert into app_public.files (file_name, content_type, byte_size, checksum_sha256, expires_at)
      values ('a', 'text/plain', 1, '${checksum}', now())`;
    await expect(ask(database, alice, insert)).rejects.toMatchObject(denied);
    await expect(ask(database, nobody, createSql, createValues())).rejects.toMatchObject({
      code: 'RW403',
    });
  });

  test('are deleted by their owner and by managers of files', async () => {
    const remove = async (caller: TestCaller, id: string) =>
      (await ask(database, caller, 'delete from app_public.files where id = $1', [id])).rowCount;
    const id = await create();
    expect(await remove(bob, id)).toBe(0);
    expect(await remove(carol, id)).toBe(0);
    expect(await remove(admin, id)).toBe(1);
    expect(await remove({ ...bob, permissions: ['org:files:manage'] }, id)).toBe(1);
    expect(await remove(alice, id)).toBe(1);
  });

  test('lose their document when it is deleted, also once they are ready', async () => {
    const document = await createDocument(alice);
    const id = await create(alice, { document });
    await makeReady(id);
    await commitAs(database, alice, (client) =>
      client.query('delete from app_public.documents where id = $1', [document]),
    );
    expect(await statusOf(id)).toBe('READY');
  });
});

describe('a file moves forward', () => {
  test('to FINALIZING once, with one job', async () => {
    const id = await create();
    expect(await finalize(alice, id)).toBe(true);
    expect(await finalize(alice, id)).toBe(true);
    expect(await statusOf(id)).toBe('FINALIZING');
    const { rows } = await database.superuser.query(
      'select key from graphile_worker._private_jobs',
    );
    expect(rows).toEqual([{ key: `files__finalize:org_acme:${id}` }]);
  });

  test('by its owner alone', async () => {
    const id = await create();
    for (const other of [bob, admin, carol, nobody]) {
      expect(await finalize(other, id)).toBeNull();
      expect(await abort(other, id)).toBeNull();
    }
    expect(await statusOf(id)).toBe('PENDING');
  });

  test('and not back, nor to what only the worker may say', async () => {
    const id = await create();
    for (const status of ['READY', 'REJECTED']) {
      await expect(
        ask(database, alice, `update app_public.files set status = '${status}' where id = $1`, [
          id,
        ]),
      ).rejects.toBeDefined();
    }
    await finalize(alice, id);
    for (const status of ['PENDING', 'READY', 'REJECTED', 'EXPIRED']) {
      await expect(
        ask(database, alice, `update app_public.files set status = '${status}' where id = $1`, [
          id,
        ]),
      ).rejects.toBeDefined();
    }
    await expect(
      ask(database, alice, `update app_public.files set parts = '[]' where id = $1`, [id]),
    ).rejects.toBeDefined();
  });

  test('and nothing of one that is ready can change, whoever tries', async () => {
    const id = await create();
    await makeReady(id);
    for (const change of [
      `status = 'PENDING'`,
      `byte_size = 11`,
      `checksum_sha256 = '${'A'.repeat(43)}='`,
      `content_type = 'text/html'`,
      `object_key = 'files/x'`,
      `object_version = 'x'`,
      `file_name = 'b'`,
      `owner_id = 'user_bob'`,
    ]) {
      await expect(
        database.superuser.query(`update app_public.files set ${change} where id = $1`, [id]),
      ).rejects.toMatchObject({ code: 'RW409' });
    }
    expect(await abort(alice, id)).toBe(true);
    expect(await statusOf(id)).toBe('READY');
  });

  test('only in the hands of the attempt that holds its job', async () => {
    const id = await create();
    await finalize(alice, id);
    const { rows } = await database.superuser.query('select id from graphile_worker._private_jobs');
    const attempt = await takeJob(database, rows[0].id);
    const accept = (who: string) =>
      asWorker(
        database,
        (client) =>
          client.query(
            `select app_private.accept_file($1, $2, 'files/k', null, 'e', null, null) as moved`,
            [attempt, id],
          ),
        who,
      );
    await expect(accept('another-worker')).rejects.toMatchObject(over);
    // A job of another organization finds nothing.
    const foreign = await takeJob(
      database,
      await addJob(database, 'files__finalize', { orgId: 'org_globex', rowId: id, key: 'foreign' }),
    );
    const { rows: none } = await asWorker(database, (client) =>
      client.query(`select app_private.reject_file($1, $2, 'UPLOAD_MISSING') as moved`, [
        foreign,
        id,
      ]),
    );
    expect(none[0].moved).toBe(false);
    expect((await accept('test-worker')).rows[0].moved).toBe(true);
    expect((await accept('test-worker')).rows[0].moved).toBe(false);
  });
});

describe('by the clock', () => {
  const age = (id: string, by: string) =>
    database.superuser.query(
      `set session_replication_role = replica;
       update app_public.files set updated_at = now() - interval '${by}' where id = '${id}';
       set session_replication_role = origin`,
    );
  const jobs = async () =>
    (
      await database.superuser.query(
        `select split_part(key, ':', 3) as id, attempts, last_error, run_at <= now() as is_due
         from graphile_worker._private_jobs where key like 'files__finalize:%'`,
      )
    ).rows;
  /** As if it had failed so often; the last attempt was the 25th. */
  const fail = (id: string, code: string, attempts: number) =>
    database.superuser.query(
      `update graphile_worker._private_jobs
       set attempts = $3, last_error = $2 || ': no', run_at = now() + interval '5 hours' where key = $1`,
      [`files__finalize:org_acme:${id}`, code, attempts],
    );
  async function run(name: string): Promise<number> {
    const attempt = await takeJob(database, await addJob(database, 'clock', { key: name }));
    const { rows } = await asWorker(database, (client) =>
      client.query(`select app_private.${name}($1) as files`, [attempt]),
    );
    return rows[0].files;
  }

  test.each([
    ['waits for the store', 'UNAVAILABLE', 7],
    ['failed for good, since the store was away', 'UNAVAILABLE', 25],
    ['failed for good, since it took too long', 'TIMEOUT', 25],
  ])('a file goes on whose job %s', async (_, code, attempts) => {
    const id = await create();
    await finalize(alice, id);
    await fail(id, code, attempts);
    expect(await run('resume_files')).toBe(0);
    await age(id, '61 minutes');
    expect(await run('resume_files')).toBe(1);
    expect(await jobs()).toEqual([{ id, attempts: 0, last_error: null, is_due: true }]);
  });

  test('one whose job failed by an error of its own is left to operators', async () => {
    const id = await create();
    await finalize(alice, id);
    await fail(id, 'INTERNAL', 25);
    await age(id, '61 minutes');
    expect(await run('resume_files')).toBe(0);
    expect(await jobs()).toMatchObject([{ attempts: 25 }]);
  });

  test('one that runs is left alone', async () => {
    const id = await create();
    await finalize(alice, id);
    await fail(id, 'UNAVAILABLE', 3);
    await database.superuser.query(
      "update graphile_worker._private_jobs set locked_by = 'x', locked_at = now()",
    );
    await age(id, '61 minutes');
    expect(await run('resume_files')).toBe(0);
  });

  test('one that could not be verified in two days is rejected, and frees what it used', async () => {
    const [late, early, pending] = [await create(), await create(), await create()];
    for (const id of [late, early]) await finalize(alice, id);
    await age(late, '49 hours');
    await age(early, '47 hours');
    expect(await run('expire_files')).toBe(1);
    const { rows } = await database.superuser.query(
      'select id, status, error from app_public.files order by id',
    );
    expect(rows).toEqual([
      { id: late, status: 'REJECTED', error: 'UPLOAD_UNVERIFIED' },
      { id: early, status: 'FINALIZING', error: null },
      { id: pending, status: 'PENDING', error: null },
    ]);
    expect(await usageOf('org_acme')).toEqual({ files: 2, bytes: 20 });
  });
});

describe('the audit trail', () => {
  test('has each step of a file, and neither its name nor where it lies', async () => {
    const id = await create();
    await makeReady(id);
    await commitAs(database, admin, (client) =>
      client.query('delete from app_public.files where id = $1', [id]),
    );
    const { rows } = await database.superuser.query(
      `select action::text, actor_id, changed, old_values ->> 'status' as was, new_values ->> 'status' as becomes,
         old_values, new_values
       from app_public.audit_events where table_name = 'files' and row_id = $1 order by id`,
      [id],
    );
    expect(
      rows.map(({ action, actor_id, was, becomes }) => [action, actor_id, was, becomes]),
    ).toEqual([
      ['INSERT', 'user_alice', null, 'PENDING'],
      ['UPDATE', 'user_alice', 'PENDING', 'FINALIZING'],
      ['UPDATE', null, 'FINALIZING', 'READY'],
      ['DELETE', 'user_admin', 'READY', null],
    ]);
    for (const { old_values, new_values } of rows) {
      const told = Object.keys({ ...old_values, ...new_values });
      for (const name of ['file_name', 'checksum_sha256', 'object_key', 'object_etag', 'parts']) {
        expect(told).not.toContain(name);
      }
    }
  });
});

describe('limits', () => {
  test.each([
    ['a size over the maximum', { size: 1_001 }, 'RW413'],
    ['a type that is not on the list', { type: 'text/html' }, 'RW415'],
    ['a file more than the quota', { limits: { quotaFiles: 0 } }, 'RW507'],
    ['a byte more than the quota', { limits: { quotaBytes: 9 } }, 'RW507'],
  ])('refuse %s', async (_, more, code) => {
    await expect(create(alice, more)).rejects.toMatchObject({ code });
    expect(await usageOf('org_acme')).toEqual({ files: 0, bytes: 0 });
  });

  test('of an organization of its own go before the settings', async () => {
    await database.superuser.query(
      `insert into app_private.upload_settings values ('org_acme', array['text/html'], 2000, 1500, 2)`,
    );
    await create(alice, { type: 'text/html', size: 1_400 });
    await expect(create()).rejects.toMatchObject({ code: 'RW415' });
    await expect(create(alice, { type: 'text/html', size: 101 })).rejects.toMatchObject({
      code: 'RW507',
    });
    await create(alice, { type: 'text/html', size: 100 });
    await expect(create(alice, { type: 'text/html', size: 0 })).rejects.toMatchObject({
      code: 'RW507',
    });
    await create(carol);
  });

  test.each([
    ["array['nonsense']", 'null', 'null'],
    ["array['IMAGE/PNG']", 'null', 'null'],
    ["array['image/png', null]", 'null', 'null'],
    ["array['*/png']", 'null', 'null'],
    ["array['image/png image/gif']", 'null', 'null'],
    ["array['image/png', '']", 'null', 'null'],
    ["array['']", 'null', 'null'],
    ['null', '-1', 'null'],
    ['null', 'null', '-1'],
  ])(
    'of an organization that could hold for no file are refused: %s, %s, %s',
    async (types, bytes, quota) => {
      const insert = `insert into app_private.upload_settings values ('org_acme', ${types}, ${bytes}, ${quota}, ${quota})`;
      await expect(database.superuser.query(insert)).rejects.toMatchObject({ code: '23514' });
    },
  );

  test('of an organization may be any types, some, or none', async () => {
    for (const types of ["array['*/*']", "array['image/*', 'application/vnd.ms-excel']", "'{}'"]) {
      await database.superuser.query(
        `insert into app_private.upload_settings values ('org_acme', ${types}, 0, 0, 0)
         on conflict (org_id) do update set allowed_types = excluded.allowed_types`,
      );
    }
  });

  test('a large file comes in parts, a thousand at most', async () => {
    const id = await create(alice, { size: 501 });
    const huge = await create(alice, {
      size: 1_000_001,
      limits: { maxBytes: 2e6, quotaBytes: 1e7 },
    });
    const { rows } = await database.superuser.query(
      'select id, part_size::int from app_public.files order by id',
    );
    expect(rows).toEqual([
      { id, part_size: 100 },
      { id: huge, part_size: 1_001 },
    ]);
    expect(await finalize(alice, id)).toBe(false);
  });
});

describe('what an organization uses', () => {
  test('is freed by deletion, rejection and expiry, once each', async () => {
    const [ready, rejected, aborted, deleted] = [
      await create(),
      await create(),
      await create(),
      await create(),
    ];
    expect(await usageOf('org_acme')).toEqual({ files: 4, bytes: 40 });
    await makeReady(ready);
    await reject(rejected);
    await abort(alice, aborted);
    await abort(alice, aborted);
    const remove = (id: string) =>
      commitAs(database, alice, (client) =>
        client.query('delete from app_public.files where id = $1', [id]),
      );
    await remove(deleted);
    expect(await usageOf('org_acme')).toEqual({ files: 1, bytes: 10 });
    await remove(rejected);
    await remove(aborted);
    expect(await usageOf('org_acme')).toEqual({ files: 1, bytes: 10 });
    await remove(ready);
    expect(await usageOf('org_acme')).toEqual({ files: 0, bytes: 0 });
  });

  test('is never over the quota, with 500 declarations at once', async () => {
    const pool = new Pool({ connectionString: database.apiUrl, max: 12 });
    const settings = JSON.stringify(
      pgSettings({ ...alice, orgRole: 'member', permissions: [] }, 'test'),
    );
    const one = async () => {
      const client = await pool.connect();
      try {
        await client.query('begin');
        await client.query(
          'select set_config(name, value, true) from jsonb_each_text($1) as setting (name, value)',
          [settings],
        );
        await client.query(
          createSql,
          createValues({ size: 7, limits: { quotaBytes: 250, quotaFiles: 1_000 } }),
        );
        await client.query('commit');
        return 'created';
      } catch (error) {
        await client.query('rollback');
        return (error as { code: string }).code;
      } finally {
        client.release();
      }
    };
    const outcomes = await Promise.all(Array.from({ length: 500 }, one));
    await pool.end();
    // 35 files of 7 bytes are 245; one more would be 252.
    expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(35);
    expect(outcomes.filter((outcome) => outcome === 'RW507')).toHaveLength(465);
    expect(await usageOf('org_acme')).toEqual({ files: 35, bytes: 245 });
  });
});

describe('keys', () => {
  test.each([
    ['org_acme', 'incoming/org_acme/'],
    ['a/../b', 'incoming/~612f2e2e2f62/'],
    ['~61', 'incoming/~7e3631/'],
    ['%2e', 'incoming/~253265/'],
  ])('of organization %s mean nothing in a path', async (orgId, prefix) => {
    const id = '00000000-0000-7000-8000-000000000001';
    const { rows } = await database.superuser.query(
      "select app_hidden.file_prefix('incoming', $1, $2) as key",
      [orgId, id],
    );
    expect(rows[0].key).toBe(`${prefix}${id}`);
  });
});

/** As the job would. */
async function makeReady(id: string): Promise<void> {
  await finalize(alice, id);
  await database.superuser.query(
    `update app_public.files set status = 'READY', object_key = 'files/' || id where id = $1`,
    [id],
  );
}

async function reject(id: string): Promise<void> {
  await finalize(alice, id);
  await database.superuser.query(
    `update app_public.files set status = 'REJECTED', error = 'UPLOAD_MISSING' where id = $1`,
    [id],
  );
}
