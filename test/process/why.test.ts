import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addNotes } from '../support/notes.ts';
import { runProgram } from '../support/program.ts';

let database: TestDatabase;
let id: string;
beforeAll(async () => {
  database = await openTestDatabase();
  await addNotes(database);
  await database.provision({ userId: 'user_ann', orgId: 'org_acme' });
  await database.provision({ userId: 'user_bob', orgId: 'org_acme' });
  const { rows } = await database.superuser.query(
    "insert into app_public.notes (org_id, author_id, text) values ('org_acme', 'user_ann', 'T') returning id",
  );
  id = rows[0].id;
});
afterAll(() => database.close());

const run = (args: readonly string[], settings = {}) =>
  runProgram(
    'db/whyCommand.ts',
    { DATABASE_URL: database.apiUrl, DATABASE_OWNER_URL: database.ownerUrl, ...settings },
    args,
  );
const asks = (user: string, ...more: string[]) => [
  '--user',
  user,
  '--org',
  'org_acme',
  '--table',
  'notes',
  '--id',
  id,
  ...more,
];

test('says what is allowed, and ends with 0', async () => {
  const { code, text } = await run(asks('user_ann', '--for', 'update'));
  expect(text).toContain('ALLOWED  update on app_public.notes: The policy update_own lets it pass');
  expect(code).toBe(0);
});

test('says what is denied, which part of which policy decided and with what values, and ends with 1', async () => {
  const { code, text } = await run(asks('user_bob', '--for', 'delete'));
  expect(text).toContain(
    'DENIED  delete on app_public.notes: No permissive policy lets it pass: delete_own.',
  );
  expect(text).toMatch(/author_id is user_ann\n.*is user_bob/);
  expect(code).toBe(1);
});

test('takes role and permissions, and prints JSON', async () => {
  const flags = [
    '--for',
    'delete',
    '--role',
    'org:viewer',
    '--permission',
    'org:x:y',
    '--permission',
    'org:notes:manage',
    '--json',
  ];
  const { code, text } = await run(asks('user_bob', ...flags));
  expect(JSON.parse(text)).toMatchObject({
    allowed: true,
    tried: true,
    caller: {
      userId: 'user_bob',
      orgId: 'org_acme',
      orgRole: 'viewer',
      permissions: ['org:x:y', 'org:notes:manage'],
    },
  });
  expect(code).toBe(0);
});

test.each<[string, string[], object, RegExp]>([
  ['no user', ['--table', 'notes'], {}, /required option '--user <id>'/],
  [
    'an unknown command',
    ['--user', 'user_ann', '--table', 'notes', '--for', 'drop'],
    {},
    /Allowed choices are select, insert, update, delete/,
  ],
  [
    'an unknown table',
    ['--user', 'user_ann', '--org', 'org_acme', '--table', 'spoons'],
    {},
    /There is no table "spoons"/,
  ],
  ['an unknown user', ['--user', 'user_x', '--table', 'notes'], {}, /There is no user "user_x"/],
  [
    'an insert of a row that is there',
    ['--user', 'user_ann', '--table', 'notes', '--for', 'insert', '--id', 'x'],
    {},
    /leave out --id/,
  ],
  [
    'no owner’s login',
    ['--user', 'user_ann', '--table', 'notes'],
    { DATABASE_OWNER_URL: undefined },
    /DATABASE_OWNER_URL and DATABASE_URL are needed/,
  ],
])('ends with 2 and says so: %s', async (_claim, args, settings, message) => {
  const { code, text } = await run(args, settings);
  expect(text).toMatch(message);
  expect(code).toBe(2);
});

test('has a help', async () => {
  const { code, text } = await run(['--help']);
  expect(text).toContain('Usage: npm run db:why --');
  expect(code).toBe(0);
});
