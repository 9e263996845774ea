import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { projectRoot } from '../../platform/config/settings.ts';
import { inherited } from '../support/environment.ts';
import { type Program, type Settings, startProgram } from '../support/program.ts';
import { send, sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';
import { readProcesses } from './processTable.ts';

const run = promisify(execFile);

/** What shells of developers have, for a store and a database elsewhere. */
const atWork = { AWS_PROFILE: 'at-work', AWS_SESSION_TOKEN: 'at-work', PGSSLMODE: 'require' };
/** Everything of this file lives below here, where Postgres's account can go. */
let playground: string;
/** The data directory that the first start initialises. */
let dataDir: string;
/** Other stacks a test started. */
const others: Program[] = [];
/** Processes that must be gone after the test; where they are not, the test has failed. */
const doomed: number[] = [];

beforeAll(async () => {
  playground = await mkdtemp(join(tmpdir(), 'rowhouse-test-stack-'));
  await chmod(playground, 0o755);
  dataDir = join(playground, 'data');
});
afterEach(async () => {
  await Promise.all(others.splice(0).map(stop));
  for (const pid of await living(doomed.splice(0))) process.kill(pid, 'SIGKILL');
});
afterAll(async () => {
  await rm(playground, { recursive: true, force: true });
});

describe('npm start in a new checkout', () => {
  let stack: Program;
  beforeAll(async () => {
    stack = start(dataDir, atWork);
    await untilStarted(stack);
  }, 60_000);
  afterAll(() => stop(stack));

  test('shows its progress, and where everything is', () => {
    const text = stack.text();
    const steps = ['Postgres', 'Initialising', 'Migrating', 'Seeding', 'api', 'worker'];
    const places = steps.map((step) => text.indexOf(step));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
    expect(text).toMatch(/^GraphQL {4}http:\/\/localhost:\d+\/graphql$/m);
    expect(text).not.toMatch(/warn|deprecat|error|undefined|\[object/i);
  });

  test('prints a request that works as it is when pasted into a shell', async () => {
    const { stdout } = await run('sh', ['-c', printedRequest(stack)], {
      env: { PATH: process.env.PATH },
    });
    const { data, errors } = JSON.parse(stdout);
    expect(errors).toBeUndefined();
    expect(data.me).toEqual({ name: 'Alice Adams' });
    expect(data.documents.edges).toHaveLength(3);
    expect(data.files.edges).toHaveLength(1);
  });

  test('has verified the demo file, and serves it', async () => {
    const file = await until('the demo file to be ready', async () => {
      const found = await demoFile(stack, urlOf(stack));
      return found.status === 'READY' && found;
    });
    expect(file).toMatchObject({ fileName: 'anvils.txt', document: { title: expect.any(String) } });
    const { status, text } = await send(file.downloadUrl.url);
    expect(status).toBe(200);
    expect(text).toContain('Anvil');
    expect(file.downloadUrl.url).not.toContain('at-work');
  });

  test('serves GraphiQL, signed in at the local issuer', async () => {
    const page = await send(`${urlOf(stack)}/`, { headers: { accept: 'text/html' } });
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    const [, tokenUrl] = page.text.match(/plainFetch\("([^"]+)"\)/) ?? [];
    const answer = await send(String(tokenUrl), { headers: { origin: urlOf(stack) } });
    expect(answer.headers['access-control-allow-origin']).toBe(urlOf(stack));
    const { token } = JSON.parse(answer.text);
    expect(await whoIs(stack, token)).toEqual({ name: 'Alice Adams' });
  });

  test('makes tokens for anyone by npm run -s token, and prints nothing else', async () => {
    const token = await printToken('--user', 'user_bob', '--org', 'org_acme');
    expect(await whoIs(stack, token)).toEqual({ name: 'Bob Brown' });
  });

  test('starts the worker again when it ended by itself', async () => {
    const children = (await readProcesses()).filter(({ parent }) => parent === stack.pid);
    // It was the last to be started.
    const worker = Math.max(...children.map(({ pid }) => pid));
    process.kill(worker, 'SIGKILL');
    await stack.line(({ msg }) => msg === 'The worker ended by itself (SIGKILL).');
    await until('another', () => stack.text().split('Starting the worker').length === 3);
  });

  test('indexes what is written, since the worker runs too', async () => {
    const token = await printToken('--user', 'user_bob', '--org', 'org_acme');
    const body = `${'lorem '.repeat(4_000)} zeppelin`;
    const query =
      'mutation ($body: String!) { createDocument(input: {document: {title: "Long", body: $body}}) { document { id } } }';
    await sendGraphql(urlOf(stack), token, { query, variables: { body } });
    await until(
      'the worker to index it',
      async () => {
        const found = await sendGraphql(urlOf(stack), token, {
          query: '{ searchDocuments(query: "zeppelin") { edges { node { title } } } }',
        });
        return found.text.includes('Long');
      },
      20_000,
    );
  });

  test('tells the other commands where it runs, and nobody else', async () => {
    const path = join(dataDir, 'local.env');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'utf8')).toMatch(/^DATABASE_OWNER_URL=/m);
    // `migrate` finds the database by itself.
    const settings = { NODE_ENV: undefined, ROWHOUSE_DATA_DIR: dataDir, ...atWork };
    const migrate = startProgram('db/migrateCommand.ts', settings);
    expect({ ...(await migrate.ended), text: migrate.text() }).toMatchObject({
      code: 0,
      text: expect.stringMatching(/up to date/),
    });
  });

  test('lends its store, with the credentials there, to a process started beside it', async () => {
    const api = startProgram('server/main.ts', {
      NODE_ENV: undefined,
      ROWHOUSE_DATA_DIR: dataDir,
      PORT: '0',
      ...atWork,
    });
    others.push(api);
    const { url } = await api.line(({ msg }) => msg === 'listening');
    await api.line(({ msg }) => msg === 'ready');
    const { downloadUrl } = await demoFile(stack, String(url));
    expect((await send(downloadUrl.url)).text).toContain('Anvil');
  });

  test('is refused a second time in the same directory, in plain words, and goes on', async () => {
    const second = start(dataDir);
    expect((await second.ended).code).toBe(1);
    expect(second.text()).toMatch(
      new RegExp(`already running: process ${stack.pid} .*ROWHOUSE_DATA_DIR=`),
    );
    expect(second.text()).not.toMatch(/^\s+at /m);
    expect(await stat(join(dataDir, 'local.env'))).toBeTruthy();
    expect((await send(`${urlOf(stack)}/readyz`)).status).toBe(200);
  });

  test('ends with everything it started at Ctrl-C, and keeps the data', async () => {
    const parts = await doom(stack.pid);
    expect(parts.length).toBeGreaterThan(4);
    stack.press('Ctrl-C');
    expect(await stack.ended).toEqual({ code: 0, signal: null });
    expect(await living(parts)).toEqual([]);
    await expect(stat(join(dataDir, 'local.env'))).rejects.toMatchObject({ code: 'ENOENT' });
    // But for the worker that a test above has killed.
    const text = stack.text().replace('The worker ended by itself (SIGKILL).', '');
    expect(text).not.toMatch(/error|could not|ended/i);
  });
});

describe('npm start again', () => {
  test('runs beside another in another directory, and comes back after kill -9', async () => {
    const otherDir = join(playground, 'other');
    await run('cp', ['-a', dataDir, otherDir]);
    const [one, two] = [startOther(dataDir), startOther(otherDir)];
    await Promise.all([untilStarted(one), untilStarted(two)]);
    expect(urlOf(one)).not.toBe(urlOf(two));
    expect(one.text()).not.toContain('Initialising');
    const documents = await countDocuments(one);
    expect(documents).toBeGreaterThan(40);
    expect(await countDocuments(two)).toBe(documents);

    const parts = await doom(one.pid);
    one.kill('SIGKILL');
    await one.ended;
    await until('the end of all its parts', async () => (await living(parts)).length === 0);
    expect(await countDocuments(two)).toBe(documents);

    const next = startOther(dataDir);
    await untilStarted(next);
    expect(await countDocuments(next)).toBe(documents);
  }, 60_000);

  test('takes tokens that were made before; starts the API again when it ended by itself', async () => {
    const token = await printToken('--user', 'user_erin');
    const stack = startOther(dataDir);
    await untilStarted(stack);
    expect(await whoIs(stack, token)).toEqual({ name: 'Erin Evans' });
    process.kill(await childRunning(await doom(stack.pid), 'server/main.ts'), 'SIGKILL');
    await stack.line(({ msg }) => msg === 'The api ended by itself (SIGKILL).');
    await until('another', async () => {
      const again = await whoIs(stack, token).catch(() => undefined);
      return again !== undefined;
    });
    await stop(stack);
  });

  test('ends, and says why, when a part of it ends before it was ready', async () => {
    const stack = startOther(dataDir);
    await stack.line(({ msg }) => msg === 'Starting the api …');
    const parts = await until('the API', async () => {
      const found = await doom(stack.pid);
      return (await isRunning(found, 'server/main.ts')) && found;
    });
    process.kill(await childRunning(parts, 'server/main.ts'), 'SIGKILL');
    expect((await stack.ended).code).toBe(1);
    expect(stack.text()).toMatch(/^The api ended by itself \(SIGKILL\)\. Stopping everything\.$/m);
    expect(await living(parts)).toEqual([]);
  });

  test('ends with the npm that runs it', async () => {
    const settings = { PORT: '0', ROWHOUSE_DATA_DIR: dataDir };
    const npm = spawn('npm', ['start'], {
      cwd: projectRoot,
      env: { ...inherited(), ...settings },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface({ input: npm.stdout })) {
      if (line === 'Ctrl-C stops everything.') break;
    }
    npm.stdout.resume();
    const parts = await doom(npm.pid ?? 0);
    expect(parts.length).toBeGreaterThan(5);
    npm.kill('SIGTERM');
    await until('all of it to be gone', async () => (await living(parts)).length === 0);
  }, 60_000);

  test('on a port that is taken says so, and leaves nothing behind', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as { port: number };
    const stack = startOther(dataDir, { PORT: String(port) });
    expect((await stack.ended).code).toBe(1);
    expect(stack.text()).toBe(
      `Port ${port} (PORT) is taken by another program. Stop it, or choose another PORT.`,
    );
    squatter.close();
  });

  test('--help says what it does', async () => {
    const help = startProgram('dev/start.ts', {}, ['--help']);
    expect((await help.ended).code).toBe(0);
    expect(help.text()).toMatch(/Ctrl-C\s+stops\s+everything/);
  });
});

/** As `npm start` does, but on any free port. */
function start(dir: string, settings: Settings = {}): Program {
  const given = { NODE_ENV: undefined, PORT: '0', ROWHOUSE_DATA_DIR: dir };
  return startProgram('dev/start.ts', { ...given, ...settings });
}

function startOther(dir: string, settings?: Settings): Program {
  const stack = start(dir, settings);
  others.push(stack);
  return stack;
}

async function stop(stack: Program): Promise<void> {
  stack.kill('SIGTERM');
  await stack.ended;
}

async function untilStarted(stack: Program): Promise<void> {
  await stack.line(({ msg }) => msg === 'Ctrl-C stops everything.');
}

function urlOf(stack: Program): string {
  const [, url] = stack.text().match(/^GraphQL +(\S+)\/graphql$/m) ?? [];
  if (url === undefined) throw new Error(`No URL in:\n${stack.text()}`);
  return url;
}

/** The request to paste, with its line breaks. */
function printedRequest(stack: Program): string {
  const [request] = stack.text().match(/^curl (?:.*\\\n)*.*$/m) ?? [];
  return String(request);
}

async function printToken(...args: string[]): Promise<string> {
  const { stdout, stderr } = await run('npm', ['run', '-s', 'token', '--', ...args], {
    cwd: projectRoot,
    env: { ...inherited(), ROWHOUSE_DATA_DIR: dataDir },
  });
  expect(stderr).toBe('');
  expect(stdout.endsWith('\n')).toBe(true);
  return stdout.trimEnd();
}

async function whoIs(stack: Program, token: string): Promise<unknown> {
  const { text } = await sendGraphql(urlOf(stack), token, { query: '{ me { name } }' });
  return JSON.parse(text).data?.me;
}

/** The file of the demo data, as an API of the stack's database answers. */
async function demoFile(stack: Program, url: string) {
  const [, token = ''] = printedRequest(stack).match(/Bearer ([^']+)/) ?? [];
  const query =
    '{ files { edges { node { fileName status document { title } downloadUrl { url } } } } }';
  const { text } = await sendGraphql(url, token, { query });
  return JSON.parse(text).data.files.edges[0].node;
}

async function countDocuments(stack: Program): Promise<number> {
  const [, token = ''] = printedRequest(stack).match(/Bearer ([^']+)/) ?? [];
  const query = '{ documents(first: 100) { edges { cursor } } }';
  const { text } = await sendGraphql(urlOf(stack), token, { query });
  return JSON.parse(text).data.documents.edges.length;
}

/** A process that is about to end, all that it started, and those that they started. */
async function doom(pid: number): Promise<number[]> {
  const processes = await readProcesses();
  const found = [pid];
  for (const ancestor of found) {
    for (const { pid: child, parent } of processes) if (parent === ancestor) found.push(child);
  }
  doomed.push(...found);
  return found;
}

async function living(pids: readonly number[]): Promise<number[]> {
  return (await readProcesses()).map(({ pid }) => pid).filter((pid) => pids.includes(pid));
}

/** The pid among these whose command line names a file. */
async function childRunning(pids: readonly number[], entry: string): Promise<number> {
  for (const pid of pids) {
    if ((await commandOf(pid)).includes(entry)) return pid;
  }
  throw new Error(`None of ${pids} runs ${entry}.`);
}

async function isRunning(pids: readonly number[], entry: string): Promise<boolean> {
  return childRunning(pids, entry).then(
    () => true,
    () => false,
  );
}

/** From /proc on Linux, where `ps` may be missing. */
async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return readFile(`/proc/${pid}/cmdline`, 'utf8');
  return (await run('ps', ['-o', 'args=', '-p', String(pid)])).stdout;
}
