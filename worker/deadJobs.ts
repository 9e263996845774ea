import type { QueryResult, QueryResultRow } from 'pg';

/** A job that failed for good. */
export type DeadJob = {
  id: string;
  task: string;
  orgId: string | null;
  /** The row it was about. */
  rowId: string | null;
  key: string | null;
  requestId: string | null;
  attempts: number;
  /** The code first, then what is for operators. */
  lastError: string | null;
  queuedAt: Date;
  failedAt: Date;
};

/** Which dead jobs; all of them without a filter. */
export type DeadJobFilter = {
  ids?: readonly string[];
  task?: string | undefined;
  orgId?: string | undefined;
  /** Of the last error. */
  code?: string | undefined;
};

type Asking = {
  query<Row extends QueryResultRow>(sql: string, values?: unknown[]): Promise<QueryResult<Row>>;
};

/** How many are changed in one transaction. */
const batchSize = 500;

/** Jobs that failed for good, latest first. */
export async function listDeadJobs(
  database: Asking,
  { ids, task, orgId, code }: DeadJobFilter,
  limit: number | null = null,
): Promise<DeadJob[]> {
  const { rows } = await database.query<DeadJob>(listSql, [
    ids ?? null,
    task ?? null,
    orgId ?? null,
    code ?? null,
    limit,
  ]);
  return rows;
}

/**
 * Lets dead jobs run again under their id and key, or deletes them. Returns how many;
 * one that is no longer dead is left alone.
 *
 * @param onProgress told how many have been looked at so far.
 */
export async function changeDeadJobs(
  database: Asking,
  change: 'retry' | 'drop',
  ids: readonly string[],
  onProgress: (done: number) => void,
): Promise<number> {
  let changed = 0;
  for (let start = 0; start < ids.length; start += batchSize) {
    const batch = ids.slice(start, start + batchSize);
    const { rowCount } = await database.query(`select app_private.${change}_jobs($1)`, [batch]);
    changed += rowCount ?? 0;
    onProgress(Math.min(start + batchSize, ids.length));
  }
  return changed;
}

const listSql = `
  select j.id, t.identifier as task, j.payload ->> 'orgId' as "orgId", j.payload ->> 'rowId' as "rowId",
    j.key, j.payload ->> 'requestId' as "requestId", j.attempts, j.last_error as "lastError",
    j.created_at as "queuedAt", j.updated_at as "failedAt"
  from graphile_worker._private_jobs as j
  join graphile_worker._private_tasks as t on t.id = j.task_id
  where j.locked_at is null and j.attempts >= j.max_attempts
    and ($1::bigint[] is null or j.id = any ($1))
    and ($2::text is null or t.identifier = $2)
    and ($3::text is null or j.payload ->> 'orgId' = $3)
    and ($4::text is null or starts_with(j.last_error, $4 || ':'))
  order by j.updated_at desc, j.id desc
  limit $5
`;
