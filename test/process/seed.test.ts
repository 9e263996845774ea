import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type LocalStore, openLocalStore } from '../../dev/store.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { runProgram, type Settings } from '../support/program.ts';

let database: TestDatabase;
let storeDir: string;
let store: LocalStore;

beforeAll(async () => {
  database = await openTestDatabase();
  storeDir = await mkdtemp(join(tmpdir(), 'rowhouse-test-store-'));
  store = await openLocalStore({ dir: storeDir });
});
afterAll(async () => {
  await store.close();
  await rm(storeDir, { recursive: true, force: true });
  await database.close();
});

const seed = (settings: Settings = {}) =>
  runProgram('server/seedCommand.ts', { DATABASE_URL: database.apiUrl, SEED: 'true', ...settings });

test('seeding is refused unless SEED=true says so', async () => {
  for (const SEED of [undefined, '', 'false', '0']) {
    expect(await seed({ SEED })).toMatchObject({
      code: 1,
      text: 'Refused: demo data is only written where SEED=true says so.',
    });
  }
  expect(await counts()).toEqual({ organizations: 0, users: 0, memberships: 0, documents: 0 });
});

test('two seeds at once add everything once, and a third adds nothing', async () => {
  const both = await Promise.all([seed(), seed()]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  const added = both.map(({ text }) => Number(text.match(/; (\d+) documents added;/)?.[1]));
  expect(added).toContain(0);
  const after = await counts();
  expect(after).toEqual({
    organizations: 2,
    users: 5,
    memberships: 6,
    documents: added.reduce((a, b) => a + b),
  });
  // Enough to page through, in each organization.
  const { rows } = await database.superuser.query(
    'select count(*)::int as n from app_public.documents group by org_id',
  );
  for (const { n } of rows) expect(n).toBeGreaterThan(40);

  expect(await seed()).toMatchObject({
    code: 0,
    text: expect.stringContaining(' 0 documents added'),
  });
  expect(await counts()).toEqual(after);
});

test('without a store a seed says that it adds no file', async () => {
  expect((await seed()).text).toMatch(/; no file added, as S3_BUCKET_UPLOADS is not set\.$/);
  expect(await files()).toEqual([]);
});

test('a store that refuses fails the seed, which gives the file up and adds it the next time', async () => {
  const refused = await seed({ ...store.settings, AWS_SECRET_ACCESS_KEY: 'another' });
  expect(refused).toMatchObject({
    code: 1,
    text: 'Seeding failed: The store answered 403 to the demo file.',
  });
  expect(await files()).toMatchObject([{ status: 'EXPIRED' }]);
  expect((await seed(store.settings)).text).toMatch(/; 1 file added\.$/);
  await database.superuser.query('delete from app_public.files');
});

test('two seeds at once upload one file of a document, and have it verified; a third uploads none', async () => {
  const both = await Promise.all([seed(store.settings), seed(store.settings)]);
  expect(both.map(({ text }) => text.match(/; (1|no) file added\.$/)?.[1]).sort()).toEqual([
    '1',
    'no',
  ]);
  const after = await files();
  expect(after).toMatchObject([
    {
      status: 'FINALIZING',
      org_id: 'org_acme',
      owner_id: 'user_alice',
      document_owner: 'user_alice',
    },
  ]);
  const object = await fetch(
    `${store.settings.S3_ENDPOINT}/uploads/incoming/org_acme/${after[0].id}`,
  );
  const bytes = Buffer.from(await object.arrayBuffer());
  expect(createHash('sha256').update(bytes).digest('base64')).toBe(after[0].checksum_sha256);
  const { rows: jobs } = await database.superuser.query(
    `select j.payload ->> 'rowId' as id from graphile_worker._private_jobs as j
     join graphile_worker._private_tasks as t on t.id = j.task_id
     where t.identifier = 'files__finalize' and j.payload ->> 'rowId' = $1`,
    [after[0].id],
  );
  expect(jobs).toHaveLength(1);

  expect((await seed(store.settings)).text).toMatch(/; no file added\.$/);
  expect(await files()).toEqual(after);
});

test('a seed leaves what people wrote alone', async () => {
  await database.superuser.query(
    "update app_public.documents set title = 'Mine' where owner_id = 'user_bob'; delete from app_public.documents where owner_id = 'user_erin'",
  );
  await seed();
  const { rows } = await database.superuser.query(
    "select owner_id, count(*)::int as n from app_public.documents where owner_id in ('user_bob', 'user_erin') and title = 'Mine' or owner_id = 'user_erin' group by owner_id order by owner_id",
  );
  expect(rows.map(({ owner_id }) => owner_id)).toEqual(['user_bob', 'user_erin']);
});

test('a seed says plainly when it cannot reach the database, or knows none', async () => {
  const url = 'postgres://rowhouse_api:hunter2@127.0.0.1:1/rowhouse';
  const unreachable = await seed({ DATABASE_URL: url });
  expect(unreachable).toMatchObject({ code: 1, text: expect.stringMatching(/^Seeding failed: /) });
  expect(unreachable.text).not.toContain('hunter2');
  expect(await seed({ DATABASE_URL: undefined })).toMatchObject({
    code: 1,
    text: expect.stringContaining('DATABASE_URL is not set'),
  });
});

async function files() {
  const { rows } = await database.superuser.query(
    `select f.*, d.owner_id as document_owner from app_public.files as f
     left join app_public.documents as d on d.org_id = f.org_id and d.id = f.document_id`,
  );
  return rows;
}

async function counts(): Promise<Record<string, number>> {
  const tables = ['organizations', 'users', 'memberships', 'documents'];
  const columns = tables.map((t) => `(select count(*)::int from app_public.${t}) as ${t}`);
  const { rows } = await database.superuser.query(`select ${columns.join(', ')}`);
  return rows[0];
}
