import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import type { LogLine } from '../../dev/childProcess.ts';
import { openPostgres } from '../../dev/postgres.ts';
import { projectRoot } from '../../platform/config/settings.ts';
import { openTestDatabase } from '../support/database.ts';
import { type EmptyDatabase, openEmptyDatabase, runSql } from '../support/emptyDatabase.ts';
import { type Program, runProgram, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

/** As the database names them: by number alone. */
const committed = readdirSync(join(projectRoot, 'migrations/committed'))
  .filter((name) => name.endsWith('.sql'))
  .map((name) => name.replace(/-.*$/, '.sql'));

/** What a test opened, closed in reverse order. */
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe('migrate', () => {
  test('run by six deployers at once on an empty database is applied once; the others wait', async () => {
    const database = closedAfter(await openEmptyDatabase());
    const obstacle = closedAfter(await connect(database.superuserUrl));
    await obstacle.query('begin; create schema app_public');
    const deployers = Array.from({ length: 6 }, () => startMigrate(database));
    const isSaid = ({ msg }: LogLine) => /another deployer.*waiting/i.test(String(msg));
    const waiting = await until('five that wait, and one at work', async () => {
      const found = deployers.filter(({ lines }) => lines.some(isSaid));
      return found.length === 5 && (await isWaiting(database.superuserUrl)) && found;
    });
    // One that dies while it waits keeps nobody else waiting.
    const [dying] = waiting;
    dying?.kill('SIGKILL');
    await dying?.ended;

    await obstacle.query('rollback');
    const living = deployers.filter((deployer) => deployer !== dying);
    for (const deployer of living) {
      expect({ ...(await deployer.ended), text: deployer.text() }).toEqual({
        code: 0,
        signal: null,
        text: expect.stringMatching(/up to date\.$/),
      });
    }
    expect(await applied(database.superuserUrl)).toEqual(committed);
    const atWork = living.filter((deployer) => deployer.text().includes('Running migration'));
    expect(atWork).toEqual(living.filter((deployer) => !waiting.includes(deployer)));
  });

  test('makes a database that its processes can work on, and changes nothing the second time', async () => {
    const database = closedAfter(await openEmptyDatabase());
    expect((await runMigrate(database)).code).toBe(0);
    const [may] = await runSql<Record<string, boolean>>(
      database.superuserUrl,
      `select pg_has_role('rowhouse_api', 'app_user', 'SET') as "become",
         has_function_privilege('rowhouse_api', 'app_private.migration_level()', 'EXECUTE') as "execute",
         has_table_privilege('rowhouse_api', 'app_public.documents', 'SELECT') as "read"`,
    );
    expect(may).toEqual({ become: true, execute: true, read: false });
    const before = await runSql(database.superuserUrl, everything);
    expect((await runMigrate(database)).code).toBe(0);
    expect(await runSql(database.superuserUrl, everything)).toEqual(before);
  });

  test('keeps the data of a database that has some', async () => {
    const database = closedAfter(await openTestDatabase());
    await database.provision({ userId: 'user_ann', orgId: 'org_acme' });
    await database.superuser.query(
      "insert into app_public.documents (org_id, owner_id, title, body) values ('org_acme', 'user_ann', 'Kept', repeat('x', 30000))",
    );
    const { code, text } = await runMigrate(database);
    expect({ code, text }).toEqual({ code: 0, text: expect.stringMatching(/up to date/i) });
    const { rows } = await database.superuser.query(
      `select title, length(body) as length, (select count(*)::int from graphile_worker._private_jobs) as jobs
       from app_public.documents`,
    );
    expect(rows).toEqual([{ title: 'Kept', length: 30_000, jobs: 1 }]);
  });

  test('that was killed in the middle is whole after the next run', async () => {
    const database = closedAfter(await openEmptyDatabase());
    // Stops it at the first statement of its first migration.
    const obstacle = closedAfter(await connect(database.superuserUrl));
    await obstacle.query('begin; create schema app_public');
    const first = startMigrate(database);
    await until('a migration that waits', () => isWaiting(database.superuserUrl));
    first.kill('SIGKILL');
    await first.ended;
    await obstacle.query('rollback');
    expect(await applied(database.superuserUrl)).toEqual([]);

    expect((await runMigrate(database)).code).toBe(0);
    expect(await applied(database.superuserUrl)).toEqual(committed);
  });

  test('that was killed in the last migration goes on from the one before', async () => {
    const database = closedAfter(await openTestDatabase());
    await database.provision({ userId: 'user_ann', orgId: 'org_acme' });
    const superuserUrl = urlOn(database.superuser.options.connectionString);
    await runSql(superuserUrl, 'delete from graphile_migrate.migrations where filename = $1', [
      committed.at(-1),
    ]);
    const obstacle = closedAfter(await connect(superuserUrl));
    // Stops whichever is the last before it is noted as applied.
    await obstacle.query('begin; lock table graphile_migrate.migrations in exclusive mode');
    const first = startMigrate(database);
    await until('a migration that waits', () => isWaiting(superuserUrl));
    first.kill('SIGKILL');
    await first.ended;
    await obstacle.query('rollback');
    expect(await applied(superuserUrl)).toEqual(committed.slice(0, -1));

    expect((await runMigrate(database)).code).toBe(0);
    expect(await applied(superuserUrl)).toEqual(committed);
    expect(await runSql(superuserUrl, 'select id from app_public.users')).toEqual([
      { id: 'user_ann' },
    ]);
  });

  test('names db/roles.sql where its owner may not create roles, and works once that ran', async () => {
    const postgres = closedAfter(await openPostgres({ ephemeral: true }));
    await runSql(postgres.superuserUrl, `create role plain login password 'plain' nocreaterole`);
    await runSql(postgres.superuserUrl, 'create database plain owner plain');
    const ownerUrl = `postgres://plain:plain@127.0.0.1:${postgres.port}/plain`;
    const apiUrl = postgres.urlFor('rowhouse_api', 'plain');

    const refused = await runProgram('db/migrateCommand.ts', { DATABASE_OWNER_URL: ownerUrl });
    expect(refused.code).toBe(1);
    expect(refused.text).toMatch(
      /^Migration failed: .*app_api, app_user, app_worker.*"plain" may not create roles.*db\/roles\.sql/,
    );
    expect(refused.text).not.toMatch(/^\s+at /m);

    const rolesSql = readFileSync(join(projectRoot, 'db/roles.sql'), 'utf8');
    await runSql(postgres.urlFor('postgres', 'plain'), rolesSql);
    const settings = { DATABASE_OWNER_URL: ownerUrl, DATABASE_URL: apiUrl };
    const withoutLogin = await runProgram('db/migrateCommand.ts', settings);
    expect(withoutLogin.code).toBe(1);
    expect(withoutLogin.text).toMatch(/"rowhouse_api".*not yet a member of app_user and app_api/s);
    // The message is the remedy.
    const grants = withoutLogin.text.match(/grant app_\w+ to [^;]+;/g) ?? [];
    expect(grants).toHaveLength(2);
    await runSql(postgres.superuserUrl, grants.join(''));
    expect(await runProgram('db/migrateCommand.ts', settings)).toMatchObject({ code: 0 });
  });

  test('says plainly what is wrong when it cannot begin', async () => {
    const missing = await runProgram('db/migrateCommand.ts', {});
    expect(missing).toMatchObject({ code: 1, text: expect.stringContaining('DATABASE_OWNER_URL') });
    const unreachable = await runProgram('db/migrateCommand.ts', {
      DATABASE_OWNER_URL: 'postgres://owner:hunter2@127.0.0.1:1/rowhouse',
    });
    expect(unreachable).toMatchObject({
      code: 1,
      text: expect.stringMatching(/^Migration failed: .*127\.0\.0\.1:1/),
    });
    expect(unreachable.text).not.toContain('hunter2');
  });

  test('--help says what it does, and needs no settings for that', async () => {
    const { code, text } = await runProgram('db/migrateCommand.ts', {}, ['--help']);
    expect(code).toBe(0);
    expect(text).toMatch(/DATABASE_OWNER_URL/);
    expect(text).toMatch(/many deployers at once/);
  });
});

/** A reader's view of the schema: tables, policies, functions and rights. */
const everything = `
  select 'table' as kind, c.oid::regclass::text as name, c.relacl::text as rights from pg_class c
    where c.relnamespace::regnamespace::text like any (array['app_%', 'graphile_%'])
  union all
  select 'policy', polrelid::regclass || '.' || polname, pg_get_expr(polqual, polrelid) from pg_policy
  union all
  select 'function', p.oid::regprocedure::text, p.proacl::text from pg_proc p
    where p.pronamespace::regnamespace::text like any (array['app_%', 'graphile_%'])
  order by 1, 2`;

type Urls = Pick<EmptyDatabase, 'ownerUrl' | 'apiUrl' | 'workerUrl'>;

function settingsOf({ ownerUrl, apiUrl, workerUrl }: Urls) {
  return { DATABASE_OWNER_URL: ownerUrl, DATABASE_URL: apiUrl, DATABASE_WORKER_URL: workerUrl };
}

function startMigrate(database: Urls): Program {
  return closedAfter(startProgram('db/migrateCommand.ts', settingsOf(database)));
}

function runMigrate(database: Urls) {
  return runProgram('db/migrateCommand.ts', settingsOf(database));
}

function closedAfter<Opened extends { close(): Promise<void> }>(what: Opened): Opened {
  opened.push(what);
  return what;
}

/** A connection of its own; closing it twice is once. */
async function connect(connectionString: string) {
  const client = new Client({ connectionString });
  await client.connect();
  let ended: Promise<void> | undefined;
  return {
    query: (sql: string, values?: unknown[]) => client.query(sql, values),
    close() {
      ended ??= client.end();
      return ended;
    },
  };
}

async function applied(superuserUrl: string): Promise<string[]> {
  const rows = await runSql<{ filename: string }>(
    superuserUrl,
    'select filename from graphile_migrate.migrations order by filename',
  );
  return rows.map(({ filename }) => filename);
}

/** Whether a statement of this database waits for a lock of another. */
async function isWaiting(superuserUrl: string): Promise<boolean> {
  const rows = await runSql(
    superuserUrl,
    `select from pg_stat_activity where datname = current_database()
       and wait_event_type = 'Lock' and wait_event <> 'advisory'`,
  );
  return rows.length > 0;
}

function urlOn(connectionString: string | undefined): string {
  if (connectionString === undefined) throw new Error('The pool has no connection string.');
  return connectionString;
}
