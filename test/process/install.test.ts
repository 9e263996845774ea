import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';

/**
 * Checkouts of a small project with the real install.mjs, installed by the real npm without any
 * network. Its package `node` makes its program in an install script, as the true one does; the
 * script waits for as long as the file `hold` exists in the checkout.
 */
let playground: string;
let template: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  playground = await mkdtemp(join(tmpdir(), 'rowhouse-test-'));
  template = join(playground, 'template');
  await mkdir(join(template, 'dev'), { recursive: true });
  const script = join(import.meta.dirname, '..', '..', 'dev', 'install.mjs');
  await copyFile(script, join(template, 'dev', 'install.mjs'));

  await pack('node', {
    bin: { node: 'bin/node' },
    scripts: {
      preinstall:
        'touch "$INIT_CWD/started"; while test -e "$INIT_CWD/hold"; do sleep 0.05; done; ' +
        'mkdir -p bin; printf "#!/bin/sh\\necho v24.99.0\\n" >bin/node; chmod +x bin/node',
    },
  });
  await pack('extra', {});
  await writePackage({ devDependencies: { node: 'file:vendor/node-24.99.0.tgz' } });
  await npm(['install', '--package-lock-only'], template);
});

afterEach(() => {
  for (const child of children.splice(0)) killGroup(child);
});

afterAll(async () => {
  await rm(playground, { recursive: true, force: true });
});

test('installs from nothing and leaves stdout to the script it precedes', async () => {
  const dir = await checkout();
  const { stdout, stderr } = await npm(['run', '-s', 'hello'], dir);
  expect(stdout).toBe('hello from v24.99.0\n');
  expect(stderr).toMatch(/^Installing dependencies with `npm ci`.*Installed dependencies in/s);
});

test('does nothing, and needs neither npm nor network, when nothing changed', async () => {
  const dir = await checkout();
  expect(await finish(install(dir))).toMatchObject({ code: 0, stdout: '' });
  expect(await finish(install(dir, noNpm))).toEqual({ code: 0, stdout: '', stderr: '' });
});

test('accepts what `npm ci` by hand installed', async () => {
  const dir = await checkout();
  await npm(['ci'], dir);
  expect(await finish(install(dir, noNpm))).toEqual({ code: 0, stdout: '', stderr: '' });
  // Without development dependencies it is not all there.
  const bare = await checkout();
  await npm(['ci', '--omit=dev'], bare);
  expect(await finish(install(bare))).toMatchObject({ code: 0 });
  expect(existsSync(join(bare, 'node_modules', 'node', 'bin', 'node'))).toBe(true);
});

test('installs development dependencies under NODE_ENV=production too', async () => {
  const dir = await checkout();
  expect(await finish(install(dir, { NODE_ENV: 'production' }))).toMatchObject({ code: 0 });
  expect(existsSync(join(dir, 'node_modules', 'node', 'bin', 'node'))).toBe(true);
});

test('installs again when package-lock.json changed', async () => {
  const dir = await checkout();
  await finish(install(dir));
  await npm(['install', '--package-lock-only', './vendor/extra-24.99.0.tgz'], dir);
  expect(await finish(install(dir))).toMatchObject({ code: 0 });
  expect(existsSync(join(dir, 'node_modules', 'extra'))).toBe(true);
});

test('starts over after an installation that was killed', async () => {
  const dir = await checkout();
  await writeFile(join(dir, 'hold'), '');
  const killed = install(dir);
  await until(() => existsSync(join(dir, 'started')));
  killGroup(killed.child);
  await killed.end;
  await rm(join(dir, 'hold'));
  const { code, stderr } = await finish(install(dir));
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching('Installed') });
  expect(await readdir(join(dir, '.data'))).not.toContain('install.lock');
});

test('lets one of two install while the other waits', async () => {
  const dir = await checkout();
  await writeFile(join(dir, 'hold'), '');
  const first = install(dir);
  await until(() => existsSync(join(dir, 'started')));
  const second = install(dir);
  await until(() => second.stderr().includes('waiting for it'));
  expect(second.stderr()).toContain(`Process ${first.child.pid} is installing`);
  await rm(join(dir, 'hold'));
  expect(await finish(first)).toMatchObject({ code: 0 });
  const { code, stderr } = await finish(second);
  expect(code).toBe(0);
  expect(stderr).not.toContain('npm ci');
});

test('waits for an npm that outlived its killed installer', async () => {
  const dir = await checkout();
  await writeFile(join(dir, 'hold'), '');
  const killed = install(dir);
  await until(() => existsSync(join(dir, 'started')));
  killed.child.kill('SIGKILL');
  const heir = install(dir);
  await until(() => heir.stderr().includes('waiting for it'));
  await rm(join(dir, 'hold'));
  const { code, stderr } = await finish(heir);
  expect(code).toBe(0);
  expect(stderr).not.toContain('npm ci');
});

test('is not fooled by a lock whose pid belongs to another process by now', async () => {
  const dir = await checkout();
  await mkdir(join(dir, '.data', 'install.lock'), { recursive: true });
  await writeFile(join(dir, '.data', 'install.lock', `${process.pid}-1`), '');
  expect(await finish(install(dir))).toMatchObject({ code: 0 });
});

test('says what to do when `npm ci` fails', async () => {
  const dir = await checkout();
  const sound = await readFile(join(dir, 'package.json'));
  await writeFile(join(dir, 'package.json'), JSON.stringify({ dependencies: { extra: '1.0.0' } }));
  const { code, stdout, stderr } = await finish(install(dir));
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('`npm ci` failed');
  expect(stderr).toContain('run `npm install` to bring package-lock.json along');
  await writeFile(join(dir, 'package.json'), sound);
  expect(await finish(install(dir))).toMatchObject({ code: 0 });
});

test('says what to do when Node’s install script was not allowed, and that helps', async () => {
  const dir = await checkout();
  const { code, stderr } = await finish(install(dir, { npm_config_ignore_scripts: 'true' }));
  expect(code).toBe(1);
  const [advice = ''] = /npm rebuild .*/.exec(stderr) ?? [];
  expect(advice).not.toBe('');
  await npm(advice.split(' ').slice(1), dir);
  expect(await finish(install(dir, noNpm))).toEqual({ code: 0, stdout: '', stderr: '' });
});

/** The environment of a terminal: what an npm around these tests adds does not count. */
const environment = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_ENV|NODE_OPTIONS)/i.test(name)),
  ),
  npm_config_offline: 'true',
  npm_config_update_notifier: 'false',
};

const noNpm = { PATH: '/nowhere' };

let copies = 0;

async function checkout(): Promise<string> {
  const dir = join(playground, `checkout-${copies++}`);
  await cp(template, dir, { recursive: true });
  return dir;
}

async function writePackage(more: Record<string, unknown>): Promise<void> {
  const scripts = { prehello: 'node dev/install.mjs', hello: 'echo hello from `node --version`' };
  const content = { name: 'small', version: '1.0.0', private: true, scripts, ...more };
  await writeFile(join(template, 'package.json'), JSON.stringify(content));
}

async function pack(name: string, more: Record<string, unknown>): Promise<void> {
  const source = join(playground, name);
  const vendor = join(template, 'vendor');
  await mkdir(source);
  await mkdir(vendor, { recursive: true });
  const content = { name, version: '24.99.0', ...more };
  await writeFile(join(source, 'package.json'), JSON.stringify(content));
  await npm(['pack', '--pack-destination', vendor], source);
}

async function npm(args: string[], cwd: string) {
  return promisify(execFile)('npm', args, { cwd, env: environment });
}

function install(dir: string, more: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(dir, 'dev', 'install.mjs')], {
    cwd: dir,
    env: { ...environment, ...more },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    stderr += chunk;
  });
  const end = once(child, 'close').then(([code]) => ({ code, stdout, stderr }));
  return { child, end, stderr: () => stderr };
}

async function finish({ end }: ReturnType<typeof install>) {
  return end;
}

function killGroup(child: ChildProcess): void {
  try {
    process.kill(-(child.pid ?? Number.NaN), 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 20_000;
  while (!isTrue()) {
    if (Date.now() > deadlineMs) throw new Error(`Not within 20 s: ${isTrue}`);
    await setTimeout(20);
  }
}
