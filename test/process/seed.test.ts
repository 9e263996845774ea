import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { runProgram, type Settings } from '../support/program.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const seed = (settings: Settings = {}) =>
  runProgram('db/seedCommand.ts', { DATABASE_URL: database.apiUrl, SEED: 'true', ...settings });

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
  const added = both.map(({ text }) => Number(text.match(/; (\d+) documents added\.$/)?.[1]));
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

async function counts(): Promise<Record<string, number>> {
  const tables = ['organizations', 'users', 'memberships', 'documents'];
  const columns = tables.map((t) => `(select count(*)::int from app_public.${t}) as ${t}`);
  const { rows } = await database.superuser.query(`select ${columns.join(', ')}`);
  return rows[0];
}
