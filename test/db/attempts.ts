import type { Client } from 'pg';
import { withConnectionSettings } from '../../db/connectionSettings.ts';
import type { TestDatabase } from '../support/database.ts';
import { connected } from './callers.ts';

/** The name under which tests lock jobs. */
export const workerId = 'test-worker';

/** What Postgres throws of an attempt that is not held. */
export const over = { code: 'RW409', constraint: 'attempt_is_held' };

/** Runs work on a connection of the worker's login, under a worker's name. */
export function asWorker<Result>(
  database: TestDatabase,
  work: (client: Client) => Promise<Result>,
  id = workerId,
): Promise<Result> {
  return connected(withConnectionSettings(database.workerUrl, { 'app.worker_id': id }), work);
}

/** Adds a job about a row, for an organization, and returns its id. */
export async function addJob(
  database: TestDatabase,
  task: string,
  {
    orgId = 'org_acme',
    rowId = '00000000-0000-7000-8000-000000000001',
    key = null as string | null,
  } = {},
): Promise<string> {
  const { rows } = await database.superuser.query(
    `select app_private.enqueue($1, $2, job_key => $4) as id
     from set_config('jwt.org_id', $3, true)`,
    [task, rowId, orgId, key],
  );
  return rows[0].id;
}

/** Takes a job as graphile-worker does, and returns the attempt at it. */
export async function takeJob(
  database: TestDatabase,
  jobId: string,
  holder = workerId,
): Promise<string> {
  const { rows } = await database.superuser.query(
    `update graphile_worker._private_jobs
     set attempts = attempts + 1, locked_by = $2, locked_at = now() where id = $1
     returning row(id, revision, attempts)::text as attempt`,
    [jobId, holder],
  );
  return rows[0].attempt;
}

/** What the queue holds of a job. */
export async function jobOf(database: TestDatabase, jobId: string) {
  const { rows } = await database.superuser.query(
    'select * from graphile_worker._private_jobs where id = $1',
    [jobId],
  );
  return rows[0];
}
