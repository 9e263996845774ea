import { createInterface } from 'node:readline/promises';
import { Command, InvalidArgumentError } from 'commander';
import type { Pool } from 'pg';
import { openPool } from '../db/pool.ts';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { changeDeadJobs, type DeadJob, type DeadJobFilter, listDeadJobs } from './deadJobs.ts';

/** `npm run jobs`: what operators do with jobs that failed for good. */

type Flags = { task?: string; org?: string; code?: string; json?: true; yes?: true; all?: true };

const program = new Command('jobs')
  .description('Jobs that failed for good, in the database of DATABASE_WORKER_URL.')
  .showHelpAfterError();

withFilter(program.command('list'))
  .description('lists them, latest first')
  .option('--json', 'as JSON, one object a line')
  .option('--limit <n>', 'how many at most', wholeNumber, 100)
  .action((flags: Flags & { limit: number }) =>
    withDatabase(async (pool) => {
      const jobs = await listDeadJobs(pool, filterOf(flags), flags.limit);
      if (flags.json) return print(...jobs.map((job) => JSON.stringify(job)));
      if (jobs.length === 0) return print('No job has failed for good.');
      print(...jobs.map(line));
      if (jobs.length === flags.limit) print(`… the latest ${flags.limit}; more with --limit.`);
    }),
  );

program
  .command('show')
  .description('shows one of them')
  .argument('<id>', 'its id', jobId)
  .option('--json', 'as JSON')
  .action((id: string, { json }: Flags) =>
    withDatabase(async (pool) => {
      const [job] = await listDeadJobs(pool, { ids: [id] });
      if (!job) throw new Error(`There is no job ${id} that failed for good.`);
      if (json) return print(JSON.stringify(job));
      for (const [name, value] of Object.entries(job)) {
        print(`${name.padEnd(10)} ${value instanceof Date ? value.toISOString() : (value ?? '-')}`);
      }
    }),
  );

for (const [change, does, done] of [
  ['retry', 'lets them run again, under the id and key they have', 'will run again'],
  ['drop', 'deletes them: what they were to do is not done', 'deleted'],
] as const) {
  withFilter(program.command(change))
    .description(does)
    .argument('[ids...]', 'which, by id')
    .option('--all', 'all of them, where no id and no filter is given')
    .option('-y, --yes', 'do not ask')
    .option('--json', 'print the result as JSON')
    .action((ids: string[], flags: Flags) =>
      withDatabase(async (pool) => {
        const jobs = await choose(pool, ids.map(jobId), flags);
        if (jobs.length === 0) return print(flags.json ? '{"changed":0}' : 'There is none.');
        if (!flags.yes && !(await isConfirmed(`${change} ${summary(jobs)}? [y/N] `))) return;
        const chosen = jobs.map(({ id }) => id);
        const changed = await changeDeadJobs(pool, change, chosen, (count) => {
          if (jobs.length > 500) process.stderr.write(`${count} of ${jobs.length} …\n`);
        });
        print(flags.json ? JSON.stringify({ changed }) : `${changed} ${done}.`);
      }),
    );
}

await program.parseAsync();

async function choose(pool: Pool, ids: string[], flags: Flags): Promise<DeadJob[]> {
  const filter = filterOf(flags);
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  if (ids.length === 0 && !isFiltered && !flags.all) {
    throw new Error('Which? Give ids, a filter (--task, --org, --code), or --all.');
  }
  const jobs = await listDeadJobs(pool, ids.length > 0 ? { ...filter, ids } : filter);
  const missing = isFiltered ? [] : ids.filter((id) => !jobs.some((job) => job.id === id));
  if (missing.length > 0) {
    throw new Error(`Not jobs that failed for good: ${missing.join(', ')}. Nothing was changed.`);
  }
  return jobs;
}

function withFilter(command: Command): Command {
  return command
    .option('--task <name>', 'of this task')
    .option('--org <id>', 'of this organization')
    .option('--code <code>', 'whose last error has this code');
}

function filterOf({ task, org, code }: Flags): DeadJobFilter {
  return { task, orgId: org, code };
}

async function withDatabase(work: (pool: Pool) => Promise<void>): Promise<void> {
  const { databaseWorkerUrl } = loadConfigOrExit('worker');
  const pool = openPool({
    connectionString: databaseWorkerUrl,
    size: 1,
    applicationName: 'rowhouse-jobs',
    onConnectionError: () => {},
  });
  try {
    await work(pool);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  } finally {
    await pool.end();
  }
}

function line({ id, task, orgId, attempts, failedAt, lastError }: DeadJob): string {
  const error = (lastError ?? '').split('\n')[0]?.slice(0, 80);
  return [id, failedAt.toISOString(), task, orgId ?? '-', `${attempts}×`, error].join('  ');
}

/** `12 jobs (10 documents__index, 2 queue__purge)`. */
function summary(jobs: readonly DeadJob[]): string {
  const counts = Map.groupBy(jobs, ({ task }) => task);
  const parts = [...counts].map(([task, { length }]) => `${length} ${task}`);
  return `${jobs.length} job${jobs.length === 1 ? '' : 's'} (${parts.join(', ')})`;
}

async function isConfirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new Error('Nobody is there to confirm. Run again with --yes.');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(question);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function jobId(text: string): string {
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError('An id is a whole number.');
  return text;
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Give a whole number.');
  return Number(text);
}

function print(...lines: string[]): void {
  for (const each of lines) process.stdout.write(`${each}\n`);
}
