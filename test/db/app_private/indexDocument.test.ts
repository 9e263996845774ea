import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, over, takeJob } from '../attempts.ts';
import { admin, alice, ask, commitAs, denied, provisionAll } from '../callers.ts';

let database: TestDatabase;
/** A document of Alice in Acme whose last word only the job finds. */
let documentId: string;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

beforeEach(async () => {
  await database.superuser.query('truncate app_public.documents cascade');
  await database.superuser.query('delete from graphile_worker._private_jobs');
  documentId = await commitAs(database, alice, async (client) => {
    const { rows } = await client.query(
      "insert into app_public.documents (title, body) values ('Long', repeat('x ', 10000) || 'omega') returning id",
    );
    return rows[0].id;
  });
});

const call = 'select app_private.index_document($1, $2) as found';

/** Indexes a document as the worker does in an attempt at a job of this organization. */
async function index(orgId: string, id = documentId): Promise<boolean> {
  const attempt = await takeJob(database, await addJob(database, 'test', { orgId }));
  const { rows } = await asWorker(database, (client) => client.query(call, [attempt, id]));
  return rows[0].found;
}
const isWhole = async (): Promise<boolean> =>
  (await ask(database, alice, "select from app_public.search_documents('omega')")).rowCount === 1;

test('completes the search vector of a long document', async () => {
  expect(await isWhole()).toBe(false);
  expect(await index('org_acme')).toBe(true);
  expect(await isWhole()).toBe(true);
});

test('gives the same vector again and again, and leaves everything else alone', async () => {
  const state = async () =>
    (await database.superuser.query('select * from app_public.documents')).rows[0];
  const before = await state();
  await index('org_acme');
  const after = await state();
  await index('org_acme');
  expect(await state()).toEqual(after);
  expect({ ...after, search: null }).toEqual({ ...before, search: null });
});

test('asks for no further job', async () => {
  const jobs =
    "select id, updated_at, revision from graphile_worker._private_jobs where key like 'documents__index:%'";
  const before = (await database.superuser.query(jobs)).rows;
  await index('org_acme');
  expect((await database.superuser.query(jobs)).rows).toEqual(before);
  expect(before).toHaveLength(1);
});

describe('meets no document', () => {
  test.each(['org_globex', 'user_alice', 'org_acm', '%'])(
    'of another organization: %j',
    async (orgId) => {
      expect(await index(orgId)).toBe(false);
      expect(await isWhole()).toBe(false);
    },
  );

  test('under an id that is not there', async () => {
    expect(await index('org_acme', '00000000-0000-7000-8000-000000000000')).toBe(false);
  });

  test('that has been deleted', async () => {
    await database.superuser.query('delete from app_public.documents');
    expect(await index('org_acme')).toBe(false);
  });
});

describe('may not be called', () => {
  test('without an attempt that is held', async () => {
    for (const attempt of ['(1,0,1)', '(,,)', null]) {
      await expect(
        asWorker(database, (client) => client.query(call, [attempt, documentId])),
      ).rejects.toMatchObject(over);
    }
    expect(await isWhole()).toBe(false);
  });

  test('by a request, not even an administrator’s', async () => {
    await expect(ask(database, admin, call, ['(1,0,1)', documentId])).rejects.toMatchObject(denied);
  });

  test("by the API's login", async () => {
    await expect(database.api.query(call, ['(1,0,1)', documentId])).rejects.toMatchObject(denied);
  });
});
