import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { runMigrations } from 'graphile-worker';
import { Client } from 'pg';
import { migrate } from '../db/migrate.ts';
import type { EmbeddedPostgres } from '../dev/postgres.ts';
import { projectRoot } from '../platform/config/settings.ts';
import type { JobsDone } from './countJobs.ts';
import { formatTable } from './formatTable.ts';
import type { Ground } from './openGround.ts';
import { withClient } from './openGround.ts';
import type { Progress } from './progress.ts';
import { spreadOf } from './statistics.ts';

/** How `bench jobs` measures. */
export type JobsOptions = {
  jobs: number;
  rounds: number;
  concurrency: number;
  poolSize: number;
  /** Among how many organizations ours share the jobs. */
  organizations: number;
};

type Contestant = {
  name: string;
  entry: string;
  database: string;
  prepare(postgres: EmbeddedPostgres, database: string): Promise<void>;
  /** Adds jobs, by one statement. */
  add: string;
  login: string;
};

const contestants: readonly Contestant[] = [
  {
    name: 'plain graphile-worker',
    entry: 'bench/contestants/jobsPlain.ts',
    database: 'bench_jobs_plain',
    login: 'rowhouse_owner',
    prepare: (postgres, database) =>
      runMigrations({ connectionString: postgres.urlFor('rowhouse_owner', database) }),
    add: `select count(graphile_worker.add_job('bench__nothing', json_build_object(
        'orgId', 'org_' || i % $2, 'rowId', uuidv7(), 'userId', 'user_1', 'requestId', 'bench')))
      from generate_series(1, $1) as i`,
  },
  {
    name: 'Rowhouse',
    entry: 'bench/contestants/jobsRowhouse.ts',
    database: 'bench_jobs_rowhouse',
    login: 'rowhouse_worker',
    prepare: (postgres, database) =>
      migrate({
        ownerUrl: postgres.urlFor('rowhouse_owner', database),
        apiUrl: postgres.urlFor('rowhouse_api', database),
        workerUrl: postgres.urlFor('rowhouse_worker', database),
        onProgress: () => {},
      }),
    add: `select count(app_private.enqueue('bench__nothing', uuidv7()))
      from generate_series(1, $1) as i, set_config('jwt.org_id', 'org_' || i % $2, true)`,
  },
];

/** Jobs that do nothing, through our worker and through plain graphile-worker, in turns. */
export async function compareJobs(
  { postgres }: Ground,
  options: JobsOptions,
  progress: Progress,
): Promise<string> {
  const runs = new Map<string, JobsDone[]>(contestants.map(({ name }) => [name, []]));
  for (const { database, prepare } of contestants) {
    await withClient(postgres.superuserUrl, async (client) => {
      await client.query(`drop database if exists ${database} with (force)`);
      await client.query(`create database ${database} owner rowhouse_owner`);
    });
    await prepare(postgres, database);
  }
  for (let round = 0; round < options.rounds; round += 1) {
    // Whoever is first meets a colder machine: they take turns.
    const order = round % 2 === 0 ? contestants : contestants.toReversed();
    for (const contestant of order) {
      progress.say(`Round ${round + 1} of ${options.rounds}: ${contestant.name}`);
      runs.get(contestant.name)?.push(await measure(postgres, contestant, options));
    }
  }
  return report(options, runs);
}

async function measure(
  postgres: EmbeddedPostgres,
  { database, add, entry, login }: Contestant,
  { jobs, concurrency, poolSize, organizations }: JobsOptions,
): Promise<JobsDone> {
  const client = new Client({ connectionString: postgres.urlFor('postgres', database) });
  await client.connect();
  try {
    await client.query('begin');
    await client.query(add, [jobs, organizations]);
    await client.query('commit');
    await client.query('vacuum analyze');
    await client.query('checkpoint');
    const done = await runContestant(entry, {
      DATABASE_WORKER_URL: postgres.urlFor(login, database),
      DATABASE_POOL_SIZE: String(poolSize),
      WORKER_CONCURRENCY: String(concurrency),
      BENCH_JOBS: String(jobs),
    });
    const { rowCount } = await client.query('select from graphile_worker._private_jobs');
    if (rowCount !== 0) throw new Error(`${entry} left ${rowCount} jobs.`);
    return done;
  } finally {
    await client.end();
  }
}

async function runContestant(entry: string, settings: Record<string, string>): Promise<JobsDone> {
  const child = spawn(process.execPath, [entry], {
    cwd: projectRoot,
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      WORKER_PORT: '0',
      HOST: '127.0.0.1',
      ...settings,
    },
    // Both write their log lines, and nobody reads them.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  const done = await Promise.race([
    once(child, 'message').then(([message]) => message as JobsDone),
    ended.then(() => {
      throw new Error(`${entry} ended before its jobs.`);
    }),
  ]);
  child.kill('SIGTERM');
  await ended;
  return done;
}

function report(options: JobsOptions, runs: Map<string, JobsDone[]>): string {
  const rates = (name: string) =>
    (runs.get(name) ?? []).map(({ seconds }) => options.jobs / seconds);
  const [plain, ours] = contestants.map(({ name }) => rates(name));
  const ratios = (ours ?? []).map((rate, round) => rate / (plain?.[round] ?? Number.NaN));
  const rows = contestants.map(({ name }) => [
    name,
    medianOf(rates(name)).toFixed(0),
    rates(name)
      .map((rate) => rate.toFixed(0))
      .join(' '),
    medianOf(
      (runs.get(name) ?? []).map(({ cpuSeconds }) => (cpuSeconds / options.jobs) * 1e6),
    ).toFixed(0),
  ]);
  return [
    `${options.jobs} jobs that do nothing, ${options.concurrency} at once, ${options.rounds} rounds in turns`,
    formatTable(['', 'jobs/s', 'each round', 'CPU µs/job'], rows),
    `Rowhouse to plain: ${medianOf(ratios).toFixed(2)} (each round: ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}); goal: at least 0.90`,
  ].join('\n\n');
}

const medianOf = (values: readonly number[]) => spreadOf(values).median;
