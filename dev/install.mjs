/**
 * Brings node_modules in line with package-lock.json, before a script of package.json runs.
 *
 * Plain JavaScript for Node 20 with nothing installed. Everything it says goes to stderr: scripts
 * such as `npm run -s token` own stdout. When nothing is to be done it takes milliseconds and
 * touches no network. Two at once in one checkout take turns.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.rowhouse-install');
const lockDir = join(root, '.data', 'install.lock');
const lockFile = readFileSync(join(root, 'package-lock.json'), 'utf8');

/** What the stamp says after a complete installation of this lock file on this platform. */
const wanted = `${createHash('sha256').update(lockFile).digest('hex')} ${process.platform}-${process.arch}`;

/** What went wrong and what to do about it, in words for whoever ran the script. */
class InstallError extends Error {}

try {
  if (!isStamped()) await takeTurn(install);
} catch (error) {
  say(error instanceof InstallError ? error.message : error);
  process.exitCode = 1;
}

async function install(lock) {
  if (isStamped()) return; // Whoever had the turn before us did it.
  if (!isInstalledByNpm()) {
    rmSync(stamp, { force: true });
    await runNpmCi(lock);
  }
  checkNode();
  writeFileSync(stamp, wanted);
}

function isStamped() {
  return readOrNull(stamp) === wanted;
}

/**
 * Whether an `npm ci` or `npm install` that somebody ran by hand came to its end. npm writes its
 * hidden lock file last, but also where it installs nothing (`--package-lock-only`), so the
 * packages themselves have a say.
 */
function isInstalledByNpm() {
  const hidden = readJson(join(modules, '.package-lock.json'))?.packages ?? {};
  return Object.entries(JSON.parse(lockFile).packages).every(([path, locked]) => {
    if (!path.startsWith('node_modules/')) return true;
    const found = hidden[path];
    if (found === undefined) return locked.optional === true && !isForThisPlatform(locked);
    const { version } = readJson(join(root, path, 'package.json')) ?? {};
    return found.integrity === locked.integrity && version === locked.version;
  });
}

/** Whether an optional package, such as Postgres's binaries, is made for this very platform. */
function isForThisPlatform({ os = [], cpu = [], libc }) {
  return os.includes(process.platform) && cpu.includes(process.arch) && libc === undefined;
}

async function runNpmCi(lock) {
  const startMs = Date.now();
  say('Installing dependencies with `npm ci`; the first time takes a minute or two…');
  const [command, ...args] = [
    ...npmCommand(),
    'ci',
    '--include=dev', // Node 24 and Postgres are development dependencies, whatever NODE_ENV says.
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  const npm = spawn(command, args, {
    cwd: root,
    env: { ...process.env, PATH: pathWithoutOurs() },
    stdio: ['ignore', process.stderr, process.stderr],
  });
  lock.include(npm.pid);
  const stopNpm = (signal) => npm.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, stopNpm);
  const ticker = setInterval(() => say(`Still installing (${secondsSince(startMs)} s)…`), 15_000);

  const end = await new Promise((resolve) => {
    npm.once('error', (error) => resolve(error.message));
    npm.once('exit', (code, signal) => resolve(signal ?? code));
  });
  clearInterval(ticker);
  if (end !== 0) throw new InstallError(explainFailure(end));
  say(`Installed dependencies in ${secondsSince(startMs)} s.`);
}

/** The npm that runs us, on the Node it runs on; else the one in PATH. */
function npmCommand() {
  const { npm_execpath: cli, npm_node_execpath: node } = process.env;
  const isNpm = cli !== undefined && basename(cli) === 'npm-cli.js' && existsSync(cli);
  // The Node inside node_modules is about to be removed.
  const isLasting = node !== undefined && !node.startsWith(modules) && existsSync(node);
  return isNpm && isLasting ? [node, cli] : ['npm'];
}

/** PATH without our own node_modules, which npm puts first for its scripts. */
function pathWithoutOurs() {
  const entries = (process.env.PATH ?? '').split(delimiter);
  return entries.filter((entry) => !entry.startsWith(modules)).join(delimiter);
}

function explainFailure(end) {
  if (typeof end === 'string' && end.startsWith('SIG')) {
    return `\`npm ci\` was stopped by ${end}. The next run starts over where needed.`;
  }
  return [
    `\`npm ci\` failed (${end}); its own words are above. Usual causes:`,
    '- No network: the first installation needs the npm registry; later starts do not.',
    '- package.json was changed by hand: run `npm install` to bring package-lock.json along.',
    `- No right to write in ${root}: an earlier run as root may own node_modules; remove it.`,
    'Then run the same command again: it starts over where needed.',
  ].join('\n');
}

/** The pinned Node comes through an install script, which a setting of npm can forbid. */
function checkNode() {
  const pinned = JSON.parse(lockFile).packages['node_modules/node'].version;
  const node = join(modules, '.bin', 'node');
  let found;
  try {
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
    if (version.split('.')[0] === `v${pinned.split('.')[0]}`) return;
    found = `is ${version}`;
  } catch (error) {
    found = `does not run (${error.code ?? error.message})`;
  }
  throw new InstallError(
    [
      `Dependencies are installed, but ${node} ${found}; Rowhouse needs Node ${pinned}.`,
      'Its install script fetches it, and was probably not allowed to. Run',
      '  npm rebuild --ignore-scripts=false',
      'or remove `ignore-scripts` from your .npmrc (see `npm config ls`); then try again.',
    ].join('\n'),
  );
}

/**
 * Runs `work` while no other process of this checkout does. The lock is a directory that holds one
 * file, named after its holder. It appears whole, by a rename, and a dead holder's file is renamed
 * to the heir's name, which only one of several heirs can do.
 */
async function takeTurn(work) {
  const me = identify(process.pid);
  const mine = join(lockDir, me);
  const draft = `${lockDir}.${process.pid}`;
  for (let hasWaited = false; ; hasWaited = true) {
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true });
    writeFileSync(join(draft, me), '');
    if (tryRename(draft, lockDir)) break;
    rmSync(draft, { recursive: true, force: true });

    const holder = (existsSync(lockDir) ? readdirSync(lockDir) : [])[0];
    if (holder === undefined) continue; // Released a moment ago.
    const theirs = join(lockDir, holder);
    // The holder's npm may outlive it, and is still at work then.
    const isHeld = isAlive(holder) || isAlive(readOrNull(theirs) ?? '');
    if (!isHeld && tryRename(theirs, mine)) break;
    if (isHeld && !hasWaited) {
      say(`Process ${holder.split('-')[0]} is installing dependencies here; waiting for it…`);
    }
    await setTimeout(200);
  }
  try {
    await work({ include: (pid) => writeFileSync(mine, identify(pid)) });
  } finally {
    rmSync(mine, { force: true });
    try {
      rmdirSync(lockDir);
    } catch {
      // The next one has it already.
    }
  }
}

function tryRename(from, to) {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(error.code)) return false;
    throw error;
  }
}

/** A process by its pid and start time, since pids are used again. */
function identify(pid) {
  return `${pid}-${startTimeOf(pid) ?? 'gone'}`;
}

function isAlive(identity) {
  const pid = Number.parseInt(identity, 10);
  return pid > 0 && startTimeOf(pid) !== null && identify(pid) === identity;
}

function startTimeOf(pid) {
  if (process.platform === 'linux') {
    // Field 22, counted after the parenthesis that ends the program's name.
    const fields = readOrNull(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ');
    return fields === undefined || fields[0] === 'Z' ? null : fields[19];
  }
  try {
    const answer = execFileSync('ps', ['-p', `${pid}`, '-o', 'lstart='], { encoding: 'utf8' });
    return answer.trim().replaceAll(/\W+/g, '_') || null;
  } catch {
    return null;
  }
}

function readJson(path) {
  const text = readOrNull(path);
  return text === null ? null : JSON.parse(text);
}

function readOrNull(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function secondsSince(startMs) {
  return Math.round((Date.now() - startMs) / 1000);
}

function say(message) {
  process.stderr.write(`${message}\n`);
}
