import { mkdir, realpath, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import type { FileLock } from './fileLock.ts';
import { findFreePort } from './ports.ts';
import { type Account, chooseAccount, makePrivateTempDir } from './postgres/account.ts';
import { makeEphemeralHome } from './postgres/ephemeral.ts';
import { ensureCluster, findInstallation, settleHome } from './postgres/home.ts';
import { type OnProgress, stopLeftover } from './postgres/leftover.ts';
import {
  loadPasswords,
  type Passwords,
  readPasswords,
  savePasswords,
  setPassword,
  setUpLogins,
} from './postgres/logins.ts';
import { type Owner, readOwner, takeOwnership, writeOwner } from './postgres/owner.ts';
import {
  makeSuperuserClient,
  type Server,
  ServerStartError,
  startServer,
} from './postgres/server.ts';

/** How to reach a running cluster. */
export type PostgresAddress = {
  host: '127.0.0.1';
  port: number;
  /** The directory of the Unix socket, which nobody else can enter. */
  socketDir: string;
  /** The superuser `postgres` on database `postgres`, over the socket. */
  superuserUrl: string;
  /**
   * A connection string for a login (`rowhouse_owner`, `rowhouse_api`, `rowhouse_worker`: over TCP
   * with its password) or for the superuser `postgres` (over the socket). Throws for others.
   */
  urlFor(login: string, database: string): string;
};

/** A cluster this process runs. It stops with this process, however that ends. */
export type EmbeddedPostgres = PostgresAddress & {
  /** Changes a login's password, for later starts too. */
  setPassword(login: string, password: string): Promise<void>;
  /** Fast shutdown; an immediate one after 10 s. Calling it again waits for the same end. */
  close(): Promise<void>;
  /** Fulfilled once the server is gone: asked for by `close()`, or by itself. */
  exited: Promise<{ wasAsked: boolean }>;
};

/** Where the cluster lives (`dir`, kept; or `ephemeral`, gone at the end) and how it starts. */
export type PostgresOptions = ({ dir: string; ephemeral?: false } | { ephemeral: true }) & {
  /** Preferred TCP port; otherwise the last one; any other when it is taken. */
  port?: number;
  /** Passwords by login, in place of random ones. */
  passwords?: Passwords;
  /** Of Postgres, in place of those of development; for one that is kept. */
  settings?: Readonly<Record<string, string>>;
  onProgress?: OnProgress;
};

/**
 * Starts Postgres 18 from the binaries npm installed: initialised at first, recovered after a
 * crash, with the logins and databases of Rowhouse in place. One process at a time may run the
 * cluster of a `dir`; another gets an error that names the first. Errors say what to do.
 */
export async function openPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  // Between looking for a free port and binding it, or right after a crash, a start may fail for a
  // reason that passes by itself.
  for (let triesLeft = 50; ; triesLeft--) {
    try {
      return await (options.ephemeral ? openEphemeral(options) : openLasting(options));
    } catch (error) {
      if (triesLeft === 0 || !(error instanceof ServerStartError && error.isPassing)) throw error;
      await setTimeout(100);
    }
  }
}

/** The cluster another process runs in `dir`, or null when none answers there. */
export async function findPostgres(dir: string): Promise<PostgresAddress | null> {
  const owner = await readOwner(dir);
  if (owner === null) return null;
  const client = makeSuperuserClient(owner.socketDir, owner.port);
  try {
    await client.connect();
    await client.end();
  } catch {
    return null;
  }
  return makeAddress(owner, await readPasswords(join(dir, passwordsName)));
}

/** Files in `dir`, beside `postgres/`, `owner.json` and `owner.lock`. */
const passwordsName = 'passwords.json';
const logName = 'postgres.log';

const socketDirPrefix = 'rowhouse-socket-';

/** Half the writes and no waiting for the disk; a crash loses the cluster, which is its fate. */
const ephemeralSettings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  // Shared memory as files in the data directory, so that a kill leaves none in /dev/shm.
  dynamic_shared_memory_type: 'mmap',
  // Thousands of connections, and passwords too long to be guessed.
  scram_iterations: '1',
};

async function openLasting(options: PostgresOptions & { dir: string }): Promise<EmbeddedPostgres> {
  const { onProgress = () => {} } = options;
  await mkdir(options.dir, { recursive: true });
  const dir = await realpath(options.dir);
  const lock = await takeOwnership(dir);
  try {
    const account = await chooseAccount(join(dir, 'postgres'));
    const home = await settleHome(dir, account, onProgress);
    const last = await readOwner(dir);
    await clearLastRun(home, last, onProgress);
    const { native, data } = await prepareCluster(home, account, onProgress);
    const passwords = await loadPasswords(join(dir, passwordsName), options.passwords);

    const port = await choosePort([options.port, last?.port], onProgress);
    const socketDir = await makePrivateTempDir(account, socketDirPrefix);
    await writeOwner(dir, {
      pid: process.pid,
      startedAt: new Date().toISOString(),
      port,
      socketDir,
    });
    const logFile = join(dir, logName);
    const plan = { native, data, runDir: socketDir, logFile, port, account, onProgress };
    const server = await startServer({ ...plan, settings: options.settings ?? {} });
    return await makeHandle({ server, lock, port, socketDir, passwords, dir });
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function openEphemeral(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const { onProgress = () => {} } = options;
  const account = await chooseAccount();
  const { home, lock } = await makeEphemeralHome(account, onProgress);
  try {
    const { native, data } = await prepareCluster(home, account, onProgress);
    const passwords = await loadPasswords(null, options.passwords);

    const port = await choosePort([options.port], onProgress);
    const logFile = join(home, logName);
    const plan = { native, data, runDir: home, logFile, port, account, onProgress };
    const server = await startServer({ ...plan, settings: ephemeralSettings });
    return await makeHandle({ server, lock, port, socketDir: home, passwords, dir: null });
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    lock.release();
    throw error;
  }
}

async function prepareCluster(home: string, account: Account, onProgress: OnProgress) {
  const installation = await findInstallation(home, account, onProgress);
  const data = await ensureCluster(home, installation, account, onProgress);
  return { native: installation.native, data };
}

/** Removes what a run that was killed could not remove itself. */
async function clearLastRun(
  home: string,
  last: Owner | null,
  onProgress: OnProgress,
): Promise<void> {
  await stopLeftover(join(home, 'data'), onProgress);
  if (last !== null && basename(last.socketDir).startsWith(socketDirPrefix)) {
    await rm(last.socketDir, { recursive: true, force: true });
  }
}

async function choosePort(
  preferred: readonly (number | undefined)[],
  onProgress: OnProgress,
): Promise<number> {
  const wanted = preferred.filter((port) => port !== undefined);
  const port = await findFreePort(wanted);
  if (wanted.length > 0 && port !== wanted[0]) {
    onProgress(`Port ${wanted[0]} is taken: Postgres listens on ${port}.`);
  }
  return port;
}

async function makeHandle(run: {
  server: Server;
  lock: FileLock;
  port: number;
  socketDir: string;
  passwords: Passwords;
  /** Null for an ephemeral cluster, whose passwords are kept in memory only. */
  dir: string | null;
}): Promise<EmbeddedPostgres> {
  const { server, lock, passwords, dir } = run;
  let wasAsked = false;
  const exited = server.exited.then(() => {
    lock.release();
    return { wasAsked };
  });
  exited.catch(() => {}); // Whoever waits for it learns of an error; nobody has to.

  async function asSuperuser(work: (client: Client) => Promise<void>): Promise<void> {
    const client = makeSuperuserClient(run.socketDir, run.port);
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end();
    }
  }

  async function close(): Promise<void> {
    wasAsked = true;
    await server.stop();
    await exited;
  }

  try {
    await asSuperuser((client) => setUpLogins(client, passwords));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ...makeAddress(run, passwords),
    async setPassword(login, password) {
      await asSuperuser((client) => setPassword(client, login, password));
      passwords[login] = password;
      if (dir !== null) await savePasswords(join(dir, passwordsName), passwords);
    },
    close,
    exited,
  };
}

function makeAddress(
  { port, socketDir }: { port: number; socketDir: string },
  passwords: Passwords,
): PostgresAddress {
  function urlFor(login: string, database: string): string {
    // Said, as a PGSSLMODE of the shell is for servers elsewhere: this one has no certificate.
    const query = 'sslmode=disable';
    if (login === 'postgres') {
      return `postgres://postgres@localhost:${port}/${database}?${query}&host=${encodeURIComponent(socketDir)}`;
    }
    const password = passwords[login];
    if (password === undefined) throw new Error(`No password is known for the login ${login}.`);
    return `postgres://${login}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}?${query}`;
  }
  return {
    host: '127.0.0.1',
    port,
    socketDir,
    superuserUrl: urlFor('postgres', 'postgres'),
    urlFor,
  };
}
