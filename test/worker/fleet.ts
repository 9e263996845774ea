import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Program, type Settings, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';
import type { Entry } from './testWorker.ts';

/** Workers on a database of their own, and the ledger of what they did outside. */
export type Fleet = {
  database: FleetDatabase;
  /** Starts a worker; resolves when it takes jobs. */
  start(settings?: Settings): Promise<Program>;
  /** Starts one without waiting for it. */
  launch(settings?: Settings): Program;
  /** Adds jobs in one transaction, one of each payload; notes them in the driver's own file once they are committed. */
  add(task: string, payloads: readonly object[], options?: AddOptions): Promise<string[]>;
  /** The outside ledger. */
  ledger(): Entry[];
  /** Jobs whose transaction was acknowledged, as the driver noted. */
  acknowledged(): string[];
  /** What Postgres says was done: job and attempt, in order. */
  effects(): Promise<{ job_id: string; number: number }[]>;
  untilDone(withinMs?: number): Promise<void>;
  /** Ends the workers, and empties queue and ledger. */
  clear(): Promise<void>;
  close(): Promise<void>;
};

/** What a fleet needs of a database. */
export type FleetDatabase = Pick<TestDatabase, 'workerUrl' | 'superuser' | 'provision' | 'close'>;

type AddOptions = { orgId?: string; maxAttempts?: number };

/** Fast enough for a test, slow enough for a machine that does other things too. */
export const quick: Settings = {
  WORKER_HEARTBEAT_MS: '250',
  WORKER_DEAD_AFTER_MS: '1500',
  WORKER_PORT: '0',
  LOG_LEVEL: 'info',
};

/** Opens a database with organizations and a table of effects, for workers with test tasks. */
export async function openFleet(given?: FleetDatabase): Promise<Fleet> {
  const database = given ?? (await openTestDatabase());
  for (const orgId of ['org_acme', 'org_globex']) {
    await database.provision({ userId: 'user_ann', orgId });
  }
  await database.superuser.query(effects);
  const dir = mkdtempSync(join(tmpdir(), 'rowhouse-jobs-'));
  const files = { ledger: join(dir, 'ledger'), driver: join(dir, 'driver') };
  const programs: Program[] = [];

  function launch(settings: Settings = {}): Program {
    const program = startProgram('test/worker/testWorker.ts', {
      DATABASE_WORKER_URL: database.workerUrl,
      TEST_LEDGER: files.ledger,
      ...quick,
      ...settings,
    });
    programs.push(program);
    return program;
  }

  return {
    database,
    launch,
    async start(settings) {
      const program = launch(settings);
      await program.line(({ msg }) => msg === 'ready');
      return program;
    },
    async add(task, payloads, options) {
      const ids = await addJobs(database.superuser, task, payloads, options);
      appendFileSync(files.driver, `${ids.join('\n')}\n`);
      return ids;
    },
    ledger: () => readLines(files.ledger).map((line) => JSON.parse(line) as Entry),
    acknowledged: () => readLines(files.driver),
    async effects() {
      const { rows } = await database.superuser.query(
        'select job_id, number from app_private.test_effects order by at',
      );
      return rows;
    },
    async untilDone(withinMs = 20_000) {
      await until(
        'an empty queue',
        async () => {
          const { rowCount } = await database.superuser.query(
            'select from graphile_worker._private_jobs limit 1',
          );
          return rowCount === 0;
        },
        withinMs,
      );
    },
    async clear() {
      await Promise.all(programs.splice(0).map((program) => program.close()));
      await database.superuser.query(
        `delete from graphile_worker._private_jobs; delete from app_private.test_effects;
         delete from app_private.workers; delete from app_public.dead_letters;
         update app_private.queue_turn set turn = 0`,
      );
      for (const file of Object.values(files)) rmSync(file, { force: true });
    },
    async close() {
      await Promise.all(programs.map((program) => program.close()));
      await database.close();
      rmSync(dir, { recursive: true });
    },
  };
}

/** The job an attempt is at, and its number, from how Postgres writes it. */
export function readAttempt(attempt: string): { jobId: string; number: number } {
  const [jobId = '', , number = ''] = attempt.slice(1, -1).split(',');
  return { jobId, number: Number(number) };
}

async function addJobs(
  superuser: Pool,
  task: string,
  payloads: readonly object[],
  { orgId = 'org_acme', maxAttempts }: AddOptions = {},
): Promise<string[]> {
  const client = await superuser.connect();
  try {
    await client.query('begin');
    await client.query("select set_config('jwt.org_id', $1, true)", [orgId]);
    const { rows } = await client.query<{ id: string }>(
      `select app_private.enqueue($1, uuidv7(), payload, max_attempts => $3) as id
       from jsonb_array_elements($2::jsonb) as payload`,
      [task, JSON.stringify(payloads), maxAttempts ?? null],
    );
    await client.query('commit');
    return rows.map(({ id }) => id);
  } finally {
    client.release();
  }
}

function readLines(file: string): string[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').split('\n').filter(Boolean);
}

// No key on the job: an effect that happens twice shows.
const effects = `
  create table app_private.test_effects (
    job_id bigint not null, number smallint not null, org_id text, at timestamptz not null default clock_timestamp()
  );
  create function app_private.test_effect(attempt app_private.attempt) returns void
  language plpgsql volatile security definer set search_path = ''
  as $$
  begin
    perform app_private.enter_attempt(attempt);
    insert into app_private.test_effects (job_id, number, org_id)
    values ((attempt).job_id, (attempt).number, app_hidden.current_org_id());
  end;
  $$;
  grant execute on function app_private.test_effect(app_private.attempt) to app_worker;
`;
