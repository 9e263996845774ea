import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { projectRoot } from '../../platform/config/settings.ts';
import { type LocalCheckout, openLocalCheckout } from '../contract/localCheckout.ts';
import { inherited } from '../support/environment.ts';
import { until } from '../support/until.ts';

describe('without a running stack', () => {
  let dataDir: string;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rowhouse-test-database-'));
  });
  afterAll(() => rm(dataDir, { recursive: true, force: true }));

  test('db:watch --once starts Postgres, runs current.sql and ends well', async () => {
    const { code, output } = await runDatabase(dataDir, 'watch', '--once');
    expect(output).toContain('Finished');
    expect(code).toBe(0);
  });

  test('db:commit says that there is nothing to commit', async () => {
    const { code, output } = await runDatabase(dataDir, 'commit', '--message', 'nothing');
    expect(output).toContain('Current migration is blank');
    expect(code).toBe(1);
  });

  test('db:reset deletes nothing unasked', async () => {
    const { code, output } = await runDatabase(dataDir, 'reset');
    expect(output).toContain('--yes');
    expect(code).toBe(1);
  });
});

describe('with a running stack', () => {
  let checkout: LocalCheckout;
  let token: string;
  beforeAll(async () => {
    checkout = await openLocalCheckout();
    const { stdout } = await checkout.run('npm run -s token -- --user user_alice --org org_acme');
    token = stdout.trim();
  }, 60_000);
  afterAll(() => checkout.close());

  const ask = async (query: string) => {
    const response = await fetch(`${checkout.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query }),
    });
    return JSON.stringify(await response.json());
  };
  const save = (sql: string) => writeFile(join(checkout.dir, 'migrations/current.sql'), sql);

  test('db:watch shows each save in the running API, also after one that is broken', async () => {
    const watch = spawn(process.execPath, ['dev/database.ts', 'watch'], {
      cwd: checkout.dir,
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    watch.stdout.on('data', (part) => (output += part));
    watch.stderr.on('data', (part) => (output += part));
    await until('the watch has begun', async () => output.includes('Finished'), 20_000);

    await save(spoons('first'));
    await until('the first column', async () => (await ask(fieldsOf)).includes('"first"'), 20_000);
    await save('create table nonsense;');
    await until('the error is shown', async () => output.includes('syntax error'), 20_000);
    await save(spoons('second'));
    await until(
      'the second column',
      async () => (await ask(fieldsOf)).includes('"second"'),
      20_000,
    );

    watch.kill('SIGINT');
    await once(watch, 'exit');
  }, 60_000);

  test('db:commit shows what it has committed in the running API', async () => {
    await save(spoonSize(42));
    const { stdout, stderr } = await checkout.run('npm run -s db:commit -- -m spoons');
    expect(`${stdout}${stderr}`).toContain('New migration');
    await until('the function', async () =>
      (await ask('{ spoonSize }')).includes('"spoonSize":42'),
    );
  }, 60_000);

  test('db:reset gives a new database, and the running API and worker go on with its schema', async () => {
    expect(await ask(fieldsOf)).toContain('"second"');
    const { code, stdout } = await checkout.run('npm run -s db:reset -- --yes');
    expect([code, stdout]).toEqual([0, expect.stringContaining('The database is new.')]);
    const demo =
      '{ documents(first: 1) { edges { node { title } } } files { edges { node { status } } } }';
    await until('documents again', async () => (await ask(demo)).includes('title'), 20_000);
    await until('a file again', async () => (await ask(demo)).includes('READY'), 20_000);
    // What was saved and never committed is gone, and what was committed is not.
    await until('the table to be gone', async () =>
      (await ask(fieldsOf)).includes('"__type":null'),
    );
    expect(await ask('{ spoonSize }')).toContain('"spoonSize":42');

    // Nothing was built in between, of tables that were not there yet.
    expect(checkout.printed()).not.toMatch(/watch gather|no matches for/);

    await save(spoonSize(43).replaceAll('spoon_size', 'fork_size'));
    await checkout.run('npm run -s db:watch -- --once');
    await until('what is saved next', async () =>
      (await ask('{ forkSize }')).includes('"forkSize":43'),
    );
  }, 60_000);
});

const fieldsOf = '{ __type(name: "Spoon") { fields { name } } }';

function spoons(column: string): string {
  return `
    drop table if exists app_public.spoons;
    create table app_public.spoons (
      org_id text not null default app_hidden.current_org_id(),
      id uuid not null default uuidv7(),
      "${column}" text not null,
      constraint spoons_pkey primary key (org_id, id)
    );
    alter table app_public.spoons enable row level security, force row level security;
    create policy select_member on app_public.spoons for select to app_user
      using (org_id = (select app_hidden.current_org_id()));
    grant select on app_public.spoons to app_user;`;
}

function spoonSize(size: number): string {
  return `
    create or replace function app_public.spoon_size() returns integer
      language sql immutable set search_path = '' as 'select ${size}';
    comment on function app_public.spoon_size() is 'How large one is.';
    revoke execute on function app_public.spoon_size() from public;
    grant execute on function app_public.spoon_size() to app_user;`;
}

async function runDatabase(dataDir: string, ...args: string[]) {
  const child = spawn(process.execPath, ['dev/database.ts', ...args], {
    cwd: projectRoot,
    env: { ...inherited(), ROWHOUSE_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (part) => (output += part));
  child.stderr.on('data', (part) => (output += part));
  const [code] = await once(child, 'close');
  return { code, output };
}
