import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { isPortFree } from '../ports.ts';
import { type Account, giveTo, spawnOptions } from './account.ts';
import { type OnProgress, stopLeftover } from './leftover.ts';

/** What to start, and where. Paths are absolute. */
export type ServerPlan = {
  /** The directory of an installation, with `bin/postgres`. */
  native: string;
  data: string;
  /** An empty or ephemeral directory of the account, for the socket; removed with the server. */
  runDir: string;
  logFile: string;
  port: number;
  settings: Readonly<Record<string, string>>;
  account: Account;
  onProgress: OnProgress;
};

/** A server that accepts connections. */
export type Server = {
  /** Fulfilled when the server is gone and its run directory with it, for whatever reason. */
  exited: Promise<void>;
  /** Fast shutdown; after 10 s an immediate one. */
  stop(): Promise<void>;
};

/** The server did not come up. `isPassing`: the cause goes away by itself, trying again helps. */
export class ServerStartError extends Error {
  readonly isPassing: boolean;

  constructor(message: string, isPassing: boolean) {
    super(message);
    this.name = 'ServerStartError';
    this.isPassing = isPassing;
  }
}

/** Starts a server under its guard and waits until it accepts connections. */
export async function startServer(plan: ServerPlan): Promise<Server> {
  await writeHostRules(plan);
  const logStart = await prepareLog(plan.logFile);
  const server = spawnGuarded(plan);
  const isUp = await waitUntilUp(server, plan);
  if (isUp) return server;

  await server.stop();
  const log = await readEnd(plan.logFile, logStart);
  const isPortTaken = !(await isPortFree(plan.port));
  throw new ServerStartError(
    `Postgres did not start. The end of its log, ${plan.logFile}, says:\n\n` +
      `${log.trimEnd().split('\n').slice(-15).join('\n')}\n\n` +
      'If the cause is not plain: development data can be made again, so remove ' +
      `${plan.data} and start once more, or set DATABASE_URL to a Postgres of your own.`,
    isPortTaken || log.includes(`${lockFileExists} FATAL`),
  );
}

/** A client for the superuser, over the private socket, not yet connected. */
export function makeSuperuserClient(runDir: string, port: number): Client {
  return new Client({
    host: runDir,
    port,
    user: 'postgres',
    database: 'postgres',
    ssl: false,
    application_name: 'rowhouse dev',
  });
}

/** SQLSTATE of "the children of a killed server still hold its memory": they leave in moments. */
const lockFileExists = 'F0001';

/** After this long without an answer a start is given up; recovery replays the log before it. */
const startTimeoutMs = 120_000;

async function writeHostRules({ runDir, account }: ServerPlan): Promise<void> {
  const file = join(runDir, 'pg_hba.conf');
  // Only the account can enter the socket's directory, so whoever gets there may be anybody.
  const rules = 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n';
  await writeFile(file, rules, { mode: 0o600, flag: 'wx' });
  await giveTo(account, file);
}

function spawnGuarded(plan: ServerPlan): Server {
  const settings = {
    listen_addresses: '127.0.0.1',
    port: `${plan.port}`,
    unix_socket_directories: plan.runDir,
    hba_file: join(plan.runDir, 'pg_hba.conf'),
    max_connections: '100',
    shared_buffers: '128MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %e ',
    ...plan.settings,
  };
  const script = openSync(fileURLToPath(new URL('./guard.sh', import.meta.url)), 'r');
  const log = openSync(plan.logFile, 'a');
  const guard = spawn(
    '/bin/sh',
    [
      '-s',
      plan.runDir,
      join(plan.native, 'bin', 'postgres'),
      '-D',
      plan.data,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    // A session of its own keeps a terminal's Ctrl-C away until we close in order.
    { ...spawnOptions(plan.account), detached: true, stdio: [script, log, log, 'pipe'] },
  );
  closeSync(script);
  closeSync(log);

  const lifeline = guard.stdio[3];
  // Nothing is ever sent, so an error can only mean that the guard is gone: see `exited`.
  lifeline?.on('error', () => {});
  const exited = once(guard, 'exit').then(async () => {
    lifeline?.destroy();
    // Nothing is left to do here, unless the guard itself was killed.
    await stopLeftover(plan.data, plan.onProgress);
    await rm(plan.runDir, { recursive: true, force: true, maxRetries: 20 });
  });
  return {
    exited,
    async stop() {
      lifeline?.destroy();
      await exited;
    },
  };
}

/** False once the server has exited, or too much time has passed. */
async function waitUntilUp(server: Server, plan: ServerPlan): Promise<boolean> {
  let hasExited = false;
  const onExit = () => {
    hasExited = true;
  };
  server.exited.then(onExit, onExit);
  const startMs = Date.now();
  let hasReported = false;
  while (!hasExited && Date.now() - startMs < startTimeoutMs) {
    const client = makeSuperuserClient(plan.runDir, plan.port);
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      await setTimeout(20);
    }
    if (!hasReported && Date.now() - startMs > 2_000) {
      hasReported = true;
      plan.onProgress('Waiting for the database to recover from its last end…');
    }
  }
  return false;
}

/** Keeps the log from growing for ever; returns where the next start's part begins, in bytes. */
async function prepareLog(file: string): Promise<number> {
  const size = (await stat(file).catch(() => null))?.size ?? 0;
  if (size <= 10 * 1024 * 1024) return size;
  await rename(file, `${file}.1`);
  return 0;
}

/** The last 64 KB of what was written after `start`. */
async function readEnd(file: string, start: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const position = Math.max(start, size - 64 * 1024);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - position), { position });
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
