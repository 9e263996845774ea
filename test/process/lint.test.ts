import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type EmptyDatabase, openEmptyDatabase, runSql } from '../support/emptyDatabase.ts';
import { runProgram, type Settings } from '../support/program.ts';

/** `npm run db:lint` as a program: what it prints, and how it ends. */

let database: TestDatabase;
let other: EmptyDatabase;
let folder: string;
beforeAll(async () => {
  database = await openTestDatabase();
  other = await openEmptyDatabase();
  folder = await mkdtemp(join(tmpdir(), 'rowhouse-lint-'));
});
afterAll(async () => {
  await database.close();
  await other.close();
  await rm(folder, { recursive: true });
});

// Other tests of the cluster make logins of their own.
const lint = (args: readonly string[] = [], settings: Settings = {}) =>
  runProgram('db/lintCommand.ts', { DATABASE_OWNER_URL: database.ownerUrl, ...settings }, [
    '--login-role=rowhouse_api,rowhouse_worker',
    ...args,
  ]);

async function ignoring(list: unknown): Promise<string> {
  const file = join(folder, 'ignores.json');
  await writeFile(file, typeof list === 'string' ? list : JSON.stringify(list));
  return `--ignores=${file}`;
}

const kept = {
  rule: 'unique_without_tenant',
  object: 'app_public.users_pkey',
  reason: 'A person belongs to many organizations.',
  date: '2026-11-22',
};

describe('a database', () => {
  test('that is clean ends the lint with 0', async () => {
    const { code, text } = await lint();
    expect(text).toMatch(
      /^\d+ rules looked at \d+ tables, .* of database test_\w+ \(app_hidden, app_private, app_public\): nothing found; \d+ ignored/,
    );
    expect(code).toBe(0);
  });

  test('with findings ends it with 1, each rule told once', async () => {
    const { code, text } = await lint(['--no-ignores']);
    expect(text.match(/Unique keys lead with the tenant/g)).toHaveLength(1);
    expect(text).toContain('    app_public.organizations_pkey  ');
    expect(text).toContain('    app_public.users_pkey          ');
    expect(text).toMatch(/10 errors, 6 warnings; 0 ignored/);
    expect(code).toBe(1);
  });

  test('is told of as JSON', async () => {
    const { code, text } = await lint(['--json', '--rule=unique_without_tenant', '--no-ignores']);
    expect(code).toBe(1);
    expect(JSON.parse(text)).toEqual({
      database: expect.stringMatching(/^test_/),
      rules: 1,
      objects: expect.objectContaining({ tables: expect.any(Number) }),
      schemas: ['app_hidden', 'app_private', 'app_public'],
      findings: ['organizations', 'users'].map((table) => ({
        rule: 'unique_without_tenant',
        level: 'error',
        object: `app_public.${table}_pkey`,
        detail: `app_public.${table} has no tenant column: its keys are unique over all tenants.`,
        fix: null,
      })),
      skipped: [],
      ignored: [],
    });
  });

  test('that has only some of what is looked for is looked at so far, and told so', async () => {
    const partial = await openEmptyDatabase();
    try {
      await runSql(partial.ownerUrl, 'create schema app_public');
      const { code, text } = await lint(['--no-ignores'], { DATABASE_OWNER_URL: partial.ownerUrl });
      expect(text).toContain('Skipped: there is no schema app_private.');
      expect(text).toMatch(/Skipped, since no table has a column org_id: \d+ rules/);
      expect(code).toBe(0);
    } finally {
      await partial.close();
    }
  });

  test('that calls things otherwise is looked at by its own names', async () => {
    await runSql(
      other.ownerUrl,
      `create schema shop;
       create table shop.orders (account_id uuid, id serial primary key, note varchar(10));
       grant all on shop.orders to app_user;
       create materialized view shop.totals as select count(*) from shop.orders;
       grant select on shop.totals to app_user`,
    );
    const { code, text } = await lint([
      `--database-url=${other.apiUrl}`,
      '--schemas=shop',
      '--exposed-schemas=shop',
      '--private-schemas=',
      '--tenant-column=account_id',
      '--json',
    ]);
    const { findings } = JSON.parse(text) as { findings: { rule: string; object: string }[] };
    expect(code).toBe(1);
    expect(findings.map(({ rule, object }) => `${rule} ${object}`)).toEqual(
      expect.arrayContaining([
        'dangerous_grant shop.orders',
        'materialized_view_granted shop.totals',
        'rls_disabled shop.orders',
        'sequence_as_key shop.orders.id',
        'tenant_column_nullable shop.orders.account_id',
        'text_of_limited_length shop.orders.note',
        'write_granted_on_whole_table shop.orders',
      ]),
    );
  });
});

describe('an ignore', () => {
  test('takes its finding out, and no other', async () => {
    const args = ['--rule=unique_without_tenant', '--json', await ignoring([kept])];
    const { text, code } = await lint(args);
    const { findings, ignored } = JSON.parse(text);
    expect(findings).toMatchObject([{ object: 'app_public.organizations_pkey' }]);
    expect(ignored).toEqual([kept]);
    expect(code).toBe(1);
  });

  test('that nothing needs is a finding', async () => {
    const unused = { ...kept, object: 'app_public.documents_pkey' };
    const { code, text } = await lint(['--rule=unique_without_tenant', await ignoring([unused])]);
    expect(text).toContain('unused_ignore (error)');
    expect(text).toContain('app_public.documents_pkey');
    expect(code).toBe(1);
  });

  test('of a rule that does not run is left alone', async () => {
    const { code, text } = await lint(['--rule=rls_disabled', await ignoring([kept])]);
    expect(text).toContain('nothing found');
    expect(code).toBe(0);
  });

  test.each([
    ['without a reason', [{ ...kept, reason: undefined }]],
    ['with an empty reason', [{ ...kept, reason: ' '.repeat(30) }]],
    ['without a date', [{ ...kept, date: 'yesterday' }]],
    ['of no rule', [{ ...kept, rule: 'spoons' }]],
    ['with more to it', [{ ...kept, until: '2027-01-01' }]],
    ['in a file that is no JSON', '[{'],
  ])('%s keeps the lint from running', async (_, list) => {
    const { code, text } = await lint([await ignoring(list)]);
    expect(text).toContain('ignores.json:');
    expect(code).toBe(2);
  });
});

describe('a lint that cannot run ends with 2 and says why:', () => {
  test('an option or a rule that there is not', async () => {
    expect(await lint(['--spoons'])).toMatchObject({
      code: 2,
      text: expect.stringContaining('--spoons'),
    });
    expect(await lint(['--rule=spoons'])).toMatchObject({
      code: 2,
      text: 'There is no rule "spoons"; --list lists them.',
    });
  });

  test('no database, or one that is not there, without its password', async () => {
    const none = await lint([], { DATABASE_OWNER_URL: undefined });
    expect(none).toMatchObject({ code: 2 });
    expect(none.text).toContain('DATABASE_OWNER_URL is not set');
    for (const url of [
      'postgres://someone:hunter2@127.0.0.1:1/rowhouse',
      'postgres://someone:hunter2/@127.0.0.1:1/rowhouse',
      database.ownerUrl.replace(/:[^:@/]+@/, ':hunter2@'),
    ]) {
      for (const run of [lint([`--database-url=${url}`]), lint([], { DATABASE_OWNER_URL: url })]) {
        const { code, text } = await run;
        expect(text).not.toBe('');
        expect(text).not.toContain('hunter2');
        expect(code).toBe(2);
      }
    }
  });

  test('a database with none of the schemas, which is hardly the right one', async () => {
    expect(await lint([], { DATABASE_OWNER_URL: other.ownerUrl })).toMatchObject({
      code: 2,
      text: expect.stringMatching(/^The database test_\w+ has no schema app_public, app_private/),
    });
    expect(await lint(['--schemas=crm'])).toMatchObject({
      code: 2,
      text: expect.stringMatching(/^The database test_\w+ has no schema crm: is it the right one/),
    });
  });

  test('a login that may not enter the database, or not read the catalogue', async () => {
    const closed = await openEmptyDatabase();
    try {
      await runSql(closed.superuserUrl, 'revoke select on pg_catalog.pg_proc from public');
      const blind = await lint([`--database-url=${closed.apiUrl}`]);
      expect(blind).toMatchObject({ code: 2 });
      expect(blind.text).toBe(
        'The database could not be read: permission denied for table pg_proc',
      );
      const name = new URL(closed.apiUrl).pathname.slice(1);
      await runSql(closed.superuserUrl, `revoke connect on database ${name} from public`);
      const shut = await lint([`--database-url=${closed.apiUrl}`]);
      expect(shut).toMatchObject({ code: 2 });
      expect(shut.text).toContain('The database cannot be reached: permission denied');
    } finally {
      await closed.close();
    }
  });
});

test('the rules are listed, for people and as JSON, without a database', async () => {
  const none = { DATABASE_OWNER_URL: undefined };
  const { code, text } = await lint(['--list'], none);
  expect(text).toMatch(/^rls_disabled +error +Row-level security is enabled$/m);
  expect(code).toBe(0);
  const json = await lint(['--list', '--json', '--rule=rls_disabled'], none);
  expect(JSON.parse(json.text)).toMatchObject([
    { name: 'rls_disabled', level: 'error', bad: { object: 'app_public.documents' } },
  ]);
});
