import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import {
  type EmbeddedPostgres,
  findPostgres,
  openPostgres,
  type PostgresAddress,
} from '../../dev/postgres.ts';
import { readProcesses } from './processTable.ts';

const root = join(import.meta.dirname, '..', '..');
const isRoot = process.getuid?.() === 0;

/** Everything of this file lives below here, where Postgres's account can go. */
let playground: string;
/** A closed cluster with one row, to be copied where the first start is not the point. */
let template: string;

/** Directories outside of the playground that a test led to. */
const outsides: string[] = [];
const opened: { close(): Promise<void> }[] = [];
const children: ChildProcess[] = [];

beforeAll(async () => {
  playground = await realpath(await mkdtemp(join(tmpdir(), 'rowhouse-test-')));
  await chmod(playground, 0o755);
  template = join(playground, 'template');
  const postgres = await openPostgres({ dir: template });
  await query(postgres.superuserUrl, 'create table kept as select 1 as one');
  await postgres.close();
});

afterEach(async () => {
  for (const child of children.splice(0)) killGroup(child);
  await Promise.all(opened.splice(0).map((each) => each.close()));
  for (const dir of outsides.splice(0)) await rm(dir, { recursive: true, force: true });
});

afterAll(async () => {
  await rm(playground, { recursive: true, force: true });
});

describe('a cluster in a directory', () => {
  test('is made at the first start and found again, on its port, at the second', async () => {
    const dir = join(playground, 'first');
    const progress: string[] = [];
    const onProgress = (message: string) => {
      // Where the checkout lies under a folder that Postgres's account cannot enter.
      if (!message.includes('copying it')) progress.push(message);
    };
    const first = await open({ dir, onProgress });
    await query(first.urlFor('rowhouse_owner', 'rowhouse'), 'create table t as select 42 as n');
    await first.close();
    expect(progress).toEqual(['Initialising the database…']);

    const second = await open({ dir, onProgress });
    expect(second.port).toBe(first.port);
    const rows = await query(second.urlFor('rowhouse_owner', 'rowhouse'), 'select n from t');
    expect(rows).toEqual([{ n: 42 }]);
    expect(progress).toHaveLength(1);
  });

  test('has the logins and databases of Rowhouse, without superuser rights', async () => {
    const postgres = await open({ dir: await copyTemplate() });
    const roles = await query(
      postgres.superuserUrl,
      `select rolname, rolsuper, rolbypassrls, rolcreaterole, rolinherit
       from pg_roles where rolname like 'rowhouse%' order by rolname`,
    );
    const least = { rolsuper: false, rolbypassrls: false, rolcreaterole: false, rolinherit: false };
    expect(roles).toEqual([
      { ...least, rolname: 'rowhouse_api' },
      { ...least, rolname: 'rowhouse_owner', rolcreaterole: true, rolinherit: true },
      { ...least, rolname: 'rowhouse_worker' },
    ]);
    for (const database of ['rowhouse', 'rowhouse_shadow']) {
      for (const login of ['rowhouse_owner', 'rowhouse_api', 'rowhouse_worker']) {
        const [row] = await query(postgres.urlFor(login, database), 'select current_user as me');
        expect(row).toEqual({ me: login });
      }
    }
  });

  test('listens on 127.0.0.1 only, and lets nobody in there without a password', async () => {
    const postgres = await open({ dir: await copyTemplate() });
    const [row] = await query(postgres.superuserUrl, 'show listen_addresses');
    expect(row).toEqual({ listen_addresses: '127.0.0.1' });
    const url = new URL(postgres.urlFor('rowhouse_api', 'rowhouse'));
    url.password = 'wrong';
    await expect(query(url.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
    const superuser = `postgres://postgres:guess@127.0.0.1:${postgres.port}/postgres`;
    await expect(query(superuser, 'select 1')).rejects.toMatchObject({ code: '28P01' });
    expect((await stat(postgres.socketDir)).mode & 0o077).toBe(0);
  });

  test('keeps its passwords to the user, takes given ones, and heals changed or lost ones', async () => {
    const dir = await copyTemplate();
    const first = await open({ dir, passwords: { rowhouse_api: 'it’s a "given" p@ss/word' } });
    await query(first.urlFor('rowhouse_api', 'rowhouse'), 'select 1');
    expect((await stat(join(dir, 'passwords.json'))).mode & 0o777).toBe(0o600);
    await query(first.superuserUrl, `alter role rowhouse_api password 'changed elsewhere'`);
    await expect(query(first.urlFor('rowhouse_api', 'rowhouse'), 'select 1')).rejects.toMatchObject(
      { code: '28P01' },
    );
    await first.close();

    const second = await open({ dir });
    expect(second.urlFor('rowhouse_api', 'rowhouse')).toBe(
      first.urlFor('rowhouse_api', 'rowhouse'),
    );
    await query(second.urlFor('rowhouse_api', 'rowhouse'), 'select 1');
    await second.setPassword('rowhouse_api', 'kept');
    await query(second.urlFor('rowhouse_api', 'rowhouse'), 'select 1');
    await second.close();
    expect(await readFile(join(dir, 'passwords.json'), 'utf8')).toContain('"kept"');

    await writeFile(join(dir, 'passwords.json'), '{ cut sho');
    const third = await open({ dir });
    await query(third.urlFor('rowhouse_api', 'rowhouse'), 'select 1');
  });

  test('runs beside another, and moves to another port when its own is taken', async () => {
    const dir = await copyTemplate();
    const alone = await open({ dir });
    await alone.close();
    const squatter = createServer().listen(alone.port, '127.0.0.1');
    await once(squatter, 'listening');
    const progress: string[] = [];
    const [moved, other] = await Promise.all([
      open({ dir, onProgress: (message) => progress.push(message) }),
      open({ dir: await copyTemplate() }),
    ]);
    squatter.close();
    expect(progress).toEqual([`Port ${alone.port} is taken: Postgres listens on ${moved.port}.`]);
    expect(new Set([alone.port, moved.port, other.port]).size).toBe(3);
    await expectKept(moved);
    await expectKept(other);
  });

  test('is refused to a second opener, who learns the name of the first', async () => {
    const dir = await copyTemplate();
    const owner = await startOwner({ dir });
    await expect(openPostgres({ dir })).rejects.toThrow(
      new RegExp(`already running: process ${owner.child.pid} .*ROWHOUSE_DATA_DIR=`),
    );
    await expectKept(owner);

    killGroup(owner.child);
    const postgres = await open({ dir });
    await expect(openPostgres({ dir })).rejects.toThrow(`process ${process.pid} started it`);
    await expectKept(postgres);
  });

  test('can be found by other processes while it runs', async () => {
    const dir = await copyTemplate();
    expect(await findPostgres(dir)).toBeNull();
    await startOwner({ dir });
    const found = await findPostgres(dir);
    expect(found).not.toBeNull();
    if (found === null) return;
    await expectKept(found);
    await query(found.urlFor('rowhouse_worker', 'rowhouse'), 'select 1');
  });

  test('is refused in plain words when another major version made it', async () => {
    const dir = await copyTemplate();
    await writeFile(join(dir, 'postgres', 'data', 'PG_VERSION'), '17\n');
    await expect(openPostgres({ dir })).rejects.toThrow(
      /made by Postgres 17, and this is Postgres 18.*remove that directory/,
    );
  });

  test('shows the end of its log when it cannot start, and rotates the log at 10 MB', async () => {
    const dir = await copyTemplate();
    const configuration = join(dir, 'postgres', 'data', 'postgresql.conf');
    const sound = await readFile(configuration);
    await truncate(join(dir, 'postgres.log'), 11 * 1024 * 1024);
    await appendFile(configuration, "nonsense = 'yes'\n");
    await expect(openPostgres({ dir })).rejects.toThrow(
      /did not start.*unrecognized configuration parameter "nonsense".*DATABASE_URL/s,
    );
    expect((await stat(join(dir, 'postgres.log'))).size).toBeLessThan(10_000);
    expect((await stat(join(dir, 'postgres.log.1'))).size).toBe(11 * 1024 * 1024);
    await writeFile(configuration, sound);
    await expectKept(await open({ dir }));
  });
});

describe('a cluster survives', () => {
  test('kill -9 of its owner, which leaves no Postgres behind', async () => {
    const dir = await copyTemplate();
    const owner = await startOwner({ dir });
    const pids = await serverPids(owner);
    owner.child.kill('SIGKILL');
    await until(async () => (await livingOf(pids)).length === 0 && !existsSync(owner.socketDir));
    await expectKept(await open({ dir }));
  });

  test('kill -9 of Postgres, which its owner is told', async () => {
    const dir = await copyTemplate();
    const postgres = await open({ dir });
    await query(postgres.superuserUrl, 'create table just_before as select 1 as one');
    const [server] = await serverPids(postgres);
    if (server !== undefined) process.kill(server, 'SIGKILL');
    expect(await postgres.exited).toEqual({ wasAsked: false });
    expect(existsSync(postgres.socketDir)).toBe(false);

    const next = await open({ dir });
    expect(await query(next.superuserUrl, 'select one from just_before')).toEqual([{ one: 1 }]);
    await next.close();
    expect(await next.exited).toEqual({ wasAsked: true });
  });

  test('kill -9 of everything at once', async () => {
    const dir = await copyTemplate();
    const owner = await startOwner({ dir });
    const [server = 0] = await serverPids(owner);
    for (const pid of [...(await guardsOf(server)), server]) process.kill(pid, 'SIGKILL');
    owner.child.kill('SIGKILL');
    await expectKept(await open({ dir }));
    expect(existsSync(owner.socketDir)).toBe(false);
  });

  test('kill -9 of everything but Postgres: the orphan is stopped, with a word', async () => {
    const dir = await copyTemplate();
    const owner = await startOwner({ dir });
    const [server = 0] = await serverPids(owner);
    for (const pid of await guardsOf(server)) process.kill(pid, 'SIGKILL');
    owner.child.kill('SIGKILL');
    await once(owner.child, 'exit');

    const progress: string[] = [];
    const postgres = await open({ dir, onProgress: (message) => progress.push(message) });
    // It does not go on for long without its guard, and may be gone by now.
    const word = `Stopping a Postgres left over from an earlier run (process ${server})…`;
    expect([[], [word]]).toContainEqual(progress.filter((line) => !line.includes('copying it')));
    expect(await livingOf([server])).toEqual([]);
    await expectKept(postgres);
  });

  test('kill -9 of its guard, without whom Postgres does not go on', async () => {
    const postgres = await open({ dir: await copyTemplate() });
    const pids = await serverPids(postgres);
    const [server = 0] = pids;
    for (const pid of await guardsOf(server)) process.kill(pid, 'SIGKILL');
    await postgres.exited;
    expect(await livingOf(pids)).toEqual([]);
  });

  test('a stale postmaster.pid whose number a living stranger now has', async () => {
    const dir = await copyTemplate();
    const data = join(dir, 'postgres', 'data');
    const { uid, gid } = await stat(data);
    const stranger = spawn('sleep', ['60'], { uid, gid, cwd: '/', detached: true });
    children.push(stranger);
    await once(stranger, 'spawn');
    const pidFile = join(data, 'postmaster.pid');
    await writeFile(pidFile, `${stranger.pid}\n${data}\n1700000000\n5432\n\n127.0.0.1\n`);
    await chown(pidFile, uid, gid);
    await expectKept(await open({ dir }));
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  });

  test('an initdb that was cut short', async () => {
    const dir = join(playground, 'cut-short');
    const home = join(dir, 'postgres');
    const { child } = spawnOwner({ dir });
    await until(async () => {
      const names = existsSync(home) ? await readdir(home) : [];
      return names.some((name) => name.startsWith('data.new-'));
    });
    killGroup(child);
    await once(child, 'exit');
    expect(await readdir(home)).not.toContain('data');
    const postgres = await open({ dir });
    await query(postgres.urlFor('rowhouse_api', 'rowhouse'), 'select 1');
    const left = await readdir(home);
    expect(left.filter((name) => name !== 'native')).toEqual(['data']);
  });

  test('Ctrl-C in the terminal until its owner closes it', async () => {
    const owner = await startOwner({ dir: await copyTemplate() }, { closesOnSigint: true });
    const pids = await serverPids(owner);
    process.kill(-(owner.child.pid ?? 0), 'SIGINT');
    const [code] = await once(owner.child, 'exit');
    expect(code).toBe(0);
    expect(await owner.nextLine()).toBe('still answers after Ctrl-C');
    expect(await livingOf(pids)).toEqual([]);
  });
});

/** As an ordinary user everything is in reach; then these tests show that nothing moves. */
describe('where the account of Postgres cannot go', () => {
  test('the cluster moves to /var/tmp, data included, and comes back to nobody else', async () => {
    const parent = await mkdtemp(join(playground, 'private-'));
    const dir = join(parent, '.data');
    await copyTemplate(dir);
    const progress: string[] = [];
    const first = await open({ dir, onProgress: (message) => progress.push(message) });
    await expectKept(first);
    await first.close();

    const inside = join(dir, 'postgres');
    if (!isRoot) {
      expect(progress).toEqual([]);
      expect(await realpath(inside)).toBe(inside);
      return;
    }
    const outside = await readlink(inside);
    outsides.push(outside);
    expect(outside).toMatch(/^\/var\/tmp\/rowhouse-[0-9a-f]{12}$/);
    expect(progress).toEqual([
      expect.stringMatching(`cannot reach ${dir}: the database lives in ${outside}`),
    ]);
    expect((await stat(outside)).mode & 0o777).toBe(0o700);
    // As if the move had been cut short right after the link was made.
    await mkdir(`${inside}.moving`);
    await promisify(execFile)('mv', [join(outside, 'data'), `${inside}.moving/data`]);
    const again = await open({ dir });
    await expectKept(again);
    await again.close();
    expect(await readdir(dir)).not.toContain('postgres.moving');

    await rm(outside, { recursive: true });
    await mkdir(outside);
    await chown(outside, 54321, 54321);
    await expect(openPostgres({ dir })).rejects.toThrow(/user 54321.*Remove it/);
    await rm(outside, { recursive: true });
    await symlink('/etc', outside);
    await expect(openPostgres({ dir })).rejects.toThrow(/something else of user/);
  });

  test('a checkout removed and cloned again does not find the old data', async () => {
    const parent = await mkdtemp(join(playground, 'private-'));
    const dir = join(parent, '.data');
    await copyTemplate(dir);
    const first = await open({ dir });
    await expectKept(first);
    await first.close();
    outsides.push(await realpath(join(dir, 'postgres')));
    await rm(dir, { recursive: true });
    const second = await open({ dir });
    await expect(expectKept(second)).rejects.toMatchObject({
      code: '42P01',
    });
  });

  test('an ephemeral cluster brings its own copy of the binaries', async () => {
    const checkout = await mkdtemp(join(playground, 'private-'));
    for (const name of ['dev', 'node_modules', 'package.json']) {
      await symlink(join(root, name), join(checkout, name));
    }
    const owner = await startOwner({ ephemeral: true }, { checkout });
    const [row] = await query(owner.superuserUrl, 'select 1 as one');
    expect(row).toEqual({ one: 1 });
    expect(existsSync(join(owner.socketDir, 'native'))).toBe(isRoot);
    owner.child.kill('SIGKILL');
    await until(() => !existsSync(owner.socketDir));
  });
});

describe('an ephemeral cluster', () => {
  test('leaves nothing behind when it is closed', async () => {
    const postgres = await open({ ephemeral: true });
    const pids = await serverPids(postgres);
    await query(postgres.urlFor('rowhouse_owner', 'rowhouse'), 'create table t as select 1');
    await postgres.close();
    expect(existsSync(postgres.socketDir)).toBe(false);
    expect(await livingOf(pids)).toEqual([]);
  });

  test('leaves nothing behind when its owner is killed', async () => {
    const owner = await startOwner({ ephemeral: true });
    const pids = await serverPids(owner);
    owner.child.kill('SIGKILL');
    await until(async () => (await livingOf(pids)).length === 0 && !existsSync(owner.socketDir));
  });

  test('is removed by the next one when everything was killed at once', async () => {
    const owner = await startOwner({ ephemeral: true });
    const [server = 0] = await serverPids(owner);
    const guards = await guardsOf(server);
    // At once: an owner that sees its guard go would still stop the server.
    owner.child.kill('SIGSTOP');
    for (const pid of guards) process.kill(pid, 'SIGKILL');
    owner.child.kill('SIGKILL');
    await once(owner.child, 'exit');
    const longAgo = new Date(Date.now() - 3_600_000);
    await utimes(owner.socketDir, longAgo, longAgo);
    await open({ ephemeral: true });
    // Or by the next of somebody else, who came first and is still at it.
    await until(
      async () => (await livingOf([server])).length === 0 && !existsSync(owner.socketDir),
    );
  });
});

async function open(options: Parameters<typeof openPostgres>[0]): Promise<EmbeddedPostgres> {
  const postgres = await openPostgres(options);
  opened.push(postgres);
  return postgres;
}

let copies = 0;

async function copyTemplate(dir = join(playground, `copy-${copies++}`)): Promise<string> {
  // Unlike Node's cp, this keeps owners.
  await promisify(execFile)('cp', ['-a', template, dir]);
  return dir;
}

type OwnerOptions = { closesOnSigint?: boolean; checkout?: string };
type Where = { dir: string } | { ephemeral: true };

/** A process of its own that opens a cluster and keeps it, in a process group of its own. */
function spawnOwner(where: Where, { closesOnSigint, checkout = root }: OwnerOptions = {}) {
  const script = `
    import { Client } from 'pg';
    import { openPostgres } from '${join(checkout, 'dev', 'postgres.ts')}';
    const postgres = await openPostgres(${JSON.stringify(where)});
    const { port, socketDir, superuserUrl } = postgres;
    console.log(JSON.stringify({ port, socketDir, superuserUrl }));
    setInterval(() => {}, 60_000);
    if (${closesOnSigint === true}) process.once('SIGINT', async () => {
      const client = new Client(superuserUrl);
      await client.connect();
      await client.query('select pg_sleep(0.1)');
      await client.end();
      console.log('still answers after Ctrl-C');
      await postgres.close();
      process.exit(0);
    });
  `;
  const child = spawn(
    process.execPath,
    ['--preserve-symlinks', '--preserve-symlinks-main', '--input-type=module', '-e', script],
    { cwd: checkout, detached: true, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, nextLine: async () => String((await lines.next()).value) };
}

async function startOwner(where: Where, options?: OwnerOptions) {
  const { child, nextLine } = spawnOwner(where, options);
  const address: Pick<PostgresAddress, 'port' | 'socketDir' | 'superuserUrl'> = JSON.parse(
    await nextLine(),
  );
  return { child, nextLine, ...address };
}

/** The server itself first, then its children. */
async function serverPids({ superuserUrl }: { superuserUrl: string }): Promise<number[]> {
  const rows = await query(
    superuserUrl,
    `select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int as pid
     union all
     select pid from pg_stat_activity where pid <> pg_backend_pid()`,
  );
  return rows.map(({ pid }) => Number(pid));
}

async function expectKept({ superuserUrl }: { superuserUrl: string }): Promise<void> {
  expect(await query(superuserUrl, 'select one from kept')).toEqual([{ one: 1 }]);
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function livingOf(pids: readonly number[]): Promise<number[]> {
  return (await readProcesses()).map(({ pid }) => pid).filter((pid) => pids.includes(pid));
}

/** The guard of a server and its watcher: the server's parent, and the parent's other child. */
async function guardsOf(server: number): Promise<number[]> {
  const processes = await readProcesses();
  const guard = processes.find(({ pid }) => pid === server)?.parent ?? 0;
  if (guard <= 1 || guard === process.pid) throw new Error(`Server ${server} has no guard.`);
  return processes
    .filter(({ pid, parent }) => pid === guard || (parent === guard && pid !== server))
    .map(({ pid }) => pid);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, 'SIGKILL');
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  while (!(await isTrue())) {
    if (Date.now() > deadlineMs) throw new Error(`Not within 10 s: ${isTrue}`);
    await setTimeout(10);
  }
}
