import type { QueryResult, QueryResultRow } from 'pg';
import type { QueueSampled } from '../platform/observer.ts';

/** How many jobs are counted at most: a backlog of millions is looked at in parts of a second. */
const maxCounted = 100_000;

type Asking = {
  query<Row extends QueryResultRow>(sql: string, values?: unknown[]): Promise<QueryResult<Row>>;
};

type Row = {
  task: string;
  counted: string;
  waiting: string;
  running: string;
  retrying: string;
  dead: string;
  oldest_ms: string;
};

/** Looks at the queue: how many jobs of each task, in which state, and since when. */
export async function sampleQueue(database: Asking): Promise<QueueSampled> {
  const { rows } = await database.query<Row>(sql, [maxCounted]);
  const tasks = rows
    .filter(({ task }) => task !== null)
    .map(({ task, waiting, running, retrying, dead, oldest_ms }) => ({
      task,
      waiting: Number(waiting),
      running: Number(running),
      retrying: Number(retrying),
      dead: Number(dead),
      oldestMs: Math.round(Number(oldest_ms)),
    }));
  const counted = rows.reduce((sum, row) => sum + Number(row.counted), 0);
  return { type: 'queueSampled', isCut: counted >= maxCounted, tasks };
}

/** How many jobs were added since a worker last asked. */
export async function countAdded(database: Asking): Promise<number> {
  const { rows } = await database.query<{ jobs: string }>(
    'select app_private.count_added() as jobs',
  );
  return Number(rows[0]?.jobs ?? 0);
}

const sql = `
  with counted as (
    select task_id, is_available, locked_at, attempts, max_attempts, run_at
    from graphile_worker._private_jobs limit $1
  )
  select
    t.identifier as task,
    count(c.task_id) as counted,
    count(*) filter (where is_available and run_at <= now()) as waiting,
    count(*) filter (where locked_at is not null) as running,
    count(*) filter (where is_available and run_at > now() and attempts > 0) as retrying,
    count(*) filter (where locked_at is null and attempts >= max_attempts) as dead,
    coalesce(extract(epoch from now() - min(run_at) filter (where is_available and run_at <= now())) * 1000, 0) as oldest_ms
  from (select) as always
  left join counted as c on true
  left join graphile_worker._private_tasks as t on t.id = c.task_id
  group by t.identifier
`;
