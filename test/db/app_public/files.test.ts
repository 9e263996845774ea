import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Pool } from 'pg';
import { pgSettings } from '../../../db/claims.ts';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, over, takeJob } from '../attempts.ts';
import {
  admin,
  alice,
  ask,
  bob,
  carol,
  commitAs,
  denied,
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
  test('are read by members of the organization, and by nobody else', async () => {
    const id = await create();
    const seen = async (caller: TestCaller) =>
      (await ask(database, caller, 'select from app_public.files where id = $1', [id])).rowCount;
    expect(await seen(alice)).toBe(1);
    expect(await seen(bob)).toBe(1);
    expect(await seen(carol)).toBe(0);
    expect(await seen(nobody)).toBe(0);
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
    const document = await commitAs(database, alice, async (client) => {
      const { rows } = await client.query(
        "insert into app_public.documents (title) values ('Plan') returning id",
      );
      return rows[0].id;
    });
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
