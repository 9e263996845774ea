import { execFile } from 'node:child_process';
import { chown, lstat, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The operating-system account Postgres runs as; null stands for the account of this process. */
export type Account = { name: string; uid: number; gid: number } | null;

/**
 * The account to run Postgres as. Postgres refuses to run as root, so root leaves it to whoever
 * owns `existing` (a directory of an earlier start, if there is one), else to `postgres`, else to
 * `nobody`. Accounts are never created.
 */
export async function chooseAccount(existing?: string): Promise<Account> {
  if (process.getuid?.() !== 0) return null;
  const owner = existing === undefined ? null : await lstat(existing).catch(() => null);
  if (owner !== null && owner.uid !== 0) {
    return { name: `user ${owner.uid}`, uid: owner.uid, gid: owner.gid };
  }
  const account = (await lookUp('postgres')) ?? (await lookUp('nobody'));
  if (account === null) {
    throw new Error(
      'Postgres refuses to run as root, and this system has neither an account `postgres` nor ' +
        '`nobody` to run it as. Start as an ordinary user, or set DATABASE_URL.',
    );
  }
  await runAs(account, '/bin/sh', ['-c', ':']).catch((cause: unknown) => {
    throw new Error(
      `Postgres refuses to run as root, and this process may not become ${account.name} ` +
        '(a container without CAP_SETUID?). Start as an ordinary user, or set DATABASE_URL.',
      { cause },
    );
  });
  return account;
}

/** What `spawn` needs to run a child as the account, with nothing of our own environment. */
export function spawnOptions(account: Account) {
  return {
    cwd: '/',
    // Settings of ours (PGDATA, PGPORT, LC_MESSAGES, …) must not reach Postgres.
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
    ...(account !== null && { uid: account.uid, gid: account.gid }),
  };
}

/** Runs a command as the account, to its end; rejects, with its `stderr`, unless it exits with 0. */
export async function runAs(
  account: Account,
  command: string,
  args: readonly string[],
): Promise<string> {
  const { stdout } = await run(command, args, spawnOptions(account));
  return stdout;
}

/** Whether the account can enter and write the directory: tried, since modes do not say all. */
export async function canUse(account: Account, dir: string): Promise<boolean> {
  if (account === null) return true;
  const probe = 'cd "$0" && test -w .';
  return runAs(account, '/bin/sh', ['-c', probe, dir]).then(
    () => true,
    () => false,
  );
}

/** Makes the account the owner of one file or directory. */
export async function giveTo(account: Account, path: string): Promise<void> {
  if (account !== null) await chown(path, account.uid, account.gid);
}

/**
 * Makes a directory that only the account can enter, among the temporary files, with a path short
 * enough for a Unix socket inside it (107 bytes on Linux, 103 on macOS).
 */
export async function makePrivateTempDir(account: Account, prefix: string): Promise<string> {
  const longestPath = 103 - '/.s.PGSQL.65535'.length;
  for (const parent of new Set([tmpdir(), '/tmp', '/var/tmp'])) {
    if (Buffer.byteLength(join(parent, `${prefix}XXXXXX`)) > longestPath) continue;
    const dir = await mkdtemp(join(parent, prefix)).catch(() => null);
    if (dir === null) continue;
    await giveTo(account, dir);
    if (await canUse(account, dir)) return dir;
    await rm(dir, { recursive: true });
  }
  throw new Error(
    `No usable directory for temporary files: tried ${tmpdir()}, /tmp and /var/tmp. ` +
      'Set TMPDIR to a directory with a short path that everybody can enter.',
  );
}

const run = promisify(execFile);

async function lookUp(name: string): Promise<Account> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return null;
  }
}
