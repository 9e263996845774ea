import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { migrate } from '../../db/migrate.ts';
import { openPostgres } from '../../dev/postgres.ts';
import type { FleetDatabase } from './fleet.ts';

/** A cluster of one test, which it may treat as roughly as it likes. */
export type OwnCluster = FleetDatabase & {
  /** An immediate shutdown, as a crash is, and a new start under the same address. */
  restart(): Promise<void>;
};

/** Opens a migrated cluster of its own. */
export async function openOwnCluster(): Promise<OwnCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-cluster-'));
  let postgres = await openPostgres({ dir });
  const url = (login: string) => postgres.urlFor(login, 'rowhouse');
  const workerUrl = url('rowhouse_worker');
  await migrate({
    ownerUrl: url('rowhouse_owner'),
    apiUrl: url('rowhouse_api'),
    workerUrl,
    onProgress: () => {},
  });
  let superuser = openSuperuser(url('postgres'));
  return {
    workerUrl,
    get superuser() {
      return superuser;
    },
    async provision({ userId, orgId }) {
      const values = [userId, orgId];
      await superuser.query(
        'insert into app_public.users (id) values ($1) on conflict do nothing',
        [userId],
      );
      await superuser.query(
        "insert into app_public.organizations (id, kind, name) select $2, 'ORGANIZATION', $1 where true on conflict do nothing",
        values,
      );
    },
    async restart() {
      const { rows } = await superuser.query("select pg_read_file('postmaster.pid') as file");
      process.kill(Number(rows[0].file.split('\n')[0]), 'SIGQUIT');
      await postgres.exited;
      await superuser.end();
      postgres = await openPostgres({ dir });
      // Its socket is another.
      superuser = openSuperuser(url('postgres'));
    },
    async close() {
      await superuser.end();
      await postgres.close();
      await rm(dir, { recursive: true });
    },
  };
}

function openSuperuser(connectionString: string): Pool {
  const pool = new Pool({ connectionString, max: 3 });
  pool.on('error', () => {});
  return pool;
}
