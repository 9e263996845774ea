import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Client } from 'pg';
import { findFreePort } from '../../dev/ports.ts';
import {
  chooseAccount,
  giveTo,
  makePrivateTempDir,
  spawnOptions,
} from '../../dev/postgres/account.ts';
import { projectRoot } from '../../platform/config/settings.ts';
import { until } from './until.ts';

/** A PgBouncer in front of the tests' Postgres, in transaction mode. */
export type PgBouncer = {
  /** The connection string that leads through it. */
  urlTo(connectionString: string): string;
  close(): Promise<void>;
};

/** The installed program; undefined where there is none. */
export function findPgBouncer(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, 'pgbouncer')).find(isExecutable);
}

/**
 * Starts one on a free port, for the login of a connection string.
 *
 * @param settings more of pgbouncer.ini.
 */
export async function openPgBouncer(
  connectionString: string,
  settings: Record<string, string | number>,
): Promise<PgBouncer> {
  const program = findPgBouncer();
  if (program === undefined) throw new Error('There is no pgbouncer here.');
  const target = new URL(connectionString);
  const account = await chooseAccount();
  const dir = await makePrivateTempDir(account, 'rowhouse-pgbouncer-');
  const port = await findFreePort();
  const users = { [target.username]: decodeURIComponent(target.password) };
  const files = {
    'pgbouncer.ini': iniOf({
      databases: { '*': `host=${target.hostname} port=${target.port}` },
      pgbouncer: {
        listen_addr: '127.0.0.1',
        listen_port: port,
        unix_socket_dir: '',
        auth_type: 'scram-sha-256',
        auth_file: join(dir, 'users.txt'),
        pool_mode: 'transaction',
        max_client_conn: 200,
        ...settings,
      },
    }),
    'users.txt': Object.entries(users)
      .map(([user, password]) => `"${user}" "${password}"\n`)
      .join(''),
  };
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(dir, name), text, { mode: 0o600 });
    await giveTo(account, join(dir, name));
  }

  // It ends with the tests, however they end.
  const guard = openSync(join(projectRoot, 'dev/postgres/guard.sh'), 'r');
  const logFile = join(dir, 'log');
  const log = openSync(logFile, 'a');
  const child = spawn('/bin/sh', ['-s', dir, program, '-q', join(dir, 'pgbouncer.ini')], {
    ...spawnOptions(account),
    detached: true,
    stdio: [guard, log, log, 'pipe'],
  });
  closeSync(guard);
  closeSync(log);
  const exited = once(child, 'exit');
  const urlTo = (url: string) => {
    const through = new URL(url);
    through.host = `127.0.0.1:${port}`;
    return through.href;
  };

  await until('PgBouncer', async () => {
    if (child.exitCode !== null) throw new Error('PgBouncer did not start.');
    return canConnect(urlTo(connectionString));
  }).catch(async (cause) => {
    throw new Error(await readFile(logFile, 'utf8').catch(() => 'No log.'), { cause });
  });
  return {
    urlTo,
    async close() {
      // The guard waits for this end of the pipe to close.
      child.stdio[3]?.destroy();
      await exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function iniOf(sections: Record<string, Record<string, string | number>>): string {
  const lines = Object.entries(sections).flatMap(([section, values]) => [
    `[${section}]`,
    ...Object.entries(values).map(([name, value]) => `${name} = ${value}`),
  ]);
  return `${lines.join('\n')}\n`;
}

async function canConnect(connectionString: string): Promise<boolean> {
  const client = new Client({ connectionString });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end();
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
