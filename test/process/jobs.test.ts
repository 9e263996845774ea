import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { runProgram } from '../support/program.ts';

/** `npm run jobs`, as an operator uses it. */

let database: TestDatabase;
let ids: string[];

beforeAll(async () => {
  database = await openTestDatabase();
  await database.provision({ userId: 'user_ann', orgId: 'org_acme' });
});
afterAll(() => database.close());

beforeEach(async () => {
  await database.superuser.query('delete from graphile_worker._private_jobs');
  const { rows } = await database.superuser.query<{ id: string }>(
    `with added as (
       select app_private.enqueue(task, uuidv7(), max_attempts => 1) as id
       from unnest(array['documents__index', 'documents__index', 'files__scan', 'files__scan']) as task,
         set_config('jwt.org_id', 'org_acme', true) as org, set_config('app.request_id', 'request-1', true) as request)
     select id from added order by id`,
  );
  ids = rows.map(({ id }) => id);
  await database.superuser.query(
    "update graphile_worker._private_jobs set attempts = 1, last_error = 'TIMEOUT: took too long' where id <> $1",
    [ids[3]],
  );
});

async function jobs(...args: string[]) {
  const { code, text } = await runProgram(
    'worker/jobsCommand.ts',
    { DATABASE_WORKER_URL: database.workerUrl },
    args,
  );
  return { code, text };
}
const waiting = async () =>
  (
    await database.superuser.query(
      'select id from graphile_worker._private_jobs where is_available order by id',
    )
  ).rows.map(({ id }) => id);
const letters = async () =>
  (await database.superuser.query('select from app_public.dead_letters')).rowCount;

test('lists what failed for good, by task, organization and code', async () => {
  const all = await jobs('list', '--json');
  expect(all.code).toBe(0);
  const listed = all.text.split('\n').map((line) => JSON.parse(line));
  expect(listed.map(({ id }) => id).sort()).toEqual(ids.slice(0, 3));
  expect(listed[0]).toMatchObject({
    orgId: 'org_acme',
    requestId: 'request-1',
    attempts: 1,
    lastError: 'TIMEOUT: took too long',
  });
  expect((await jobs('list', '--task', 'files__scan')).text).toMatch(
    new RegExp(`^${ids[2]} .*TIMEOUT: took too long$`),
  );
  expect((await jobs('list', '--code', 'TIMEOUT', '--limit', '2')).text).toContain(
    'more with --limit',
  );
  for (const filter of [
    ['--org', 'org_globex'],
    ['--code', 'TIME'],
    ['--task', 'x'],
  ]) {
    expect((await jobs('list', ...filter)).text).toBe('No job has failed for good.');
  }
});

test('shows one', async () => {
  const { text } = await jobs('show', String(ids[0]));
  expect(text).toMatch(/^task +documents__index$/m);
  expect(await jobs('show', String(ids[3]))).toEqual({
    code: 1,
    text: expect.stringContaining('There is no job'),
  });
});

describe('retry', () => {
  test('lets them run again', async () => {
    expect(await letters()).toBe(3);
    expect(await jobs('retry', '--task', 'documents__index', '--yes')).toEqual({
      code: 0,
      text: '2 will run again.',
    });
    expect(await waiting()).toEqual([ids[0], ids[1], ids[3]]);
    expect(await letters()).toBe(1);
  });

  test('changes nothing where one of those named has not failed for good', async () => {
    const { code, text } = await jobs('retry', String(ids[0]), String(ids[3]), '--yes');
    expect({ code, text }).toEqual({
      code: 1,
      text: `Not jobs that failed for good: ${ids[3]}. Nothing was changed.`,
    });
    expect(await waiting()).toEqual([ids[3]]);
  });
});

test('drop deletes them, and nothing that is still to be done', async () => {
  expect(await jobs('drop', '--all', '--yes', '--json')).toEqual({
    code: 0,
    text: '{"changed":3}',
  });
  expect(await waiting()).toEqual([ids[3]]);
  expect(await letters()).toBe(0);
});

test.each([
  ['without saying which', ['drop', '--yes'], /Which\? Give ids/],
  ['where nobody can confirm', ['drop', '--all'], /Run again with --yes/],
  ['with an id that is none', ['show', 'x'], /An id is a whole number/],
  ['with a command that is none', ['burn'], /unknown command/],
])('refuses %s', async (_, args, message) => {
  const { code, text } = await jobs(...args);
  expect({ code, text }).toEqual({ code: 1, text: expect.stringMatching(message) });
  expect(await letters()).toBe(3);
});
