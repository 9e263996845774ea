import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { PoolClient } from 'pg';
import { pgSettings } from '../../db/claims.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { isJobLine } from '../support/jobLines.ts';
import { type Program, runProgram, type Settings, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const ann = { userId: 'user_ann', orgId: 'org_acme' };
const zoe = { userId: 'user_zoe', orgId: 'org_globex' };

let database: TestDatabase;
/** What a test opened, closed in reverse order. */
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  database = await openTestDatabase();
  for (const caller of [ann, zoe]) await database.provision(caller);
});
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
  await database.superuser.query(
    'delete from graphile_worker._private_jobs; delete from app_public.documents',
  );
});
afterAll(() => database.close());

describe('a long document', () => {
  test('is found by a word at its end once a worker ran, in its own organization alone', async () => {
    const id = await write(ann, long('zeppelin'));
    await write(zoe, long('balloon'));
    expect(await search(ann, 'zeppelin')).toEqual([]);
    expect(await search(ann, 'lorem')).toEqual([id]);

    const worker = await startWorker();
    await untilDone();
    expect(await search(ann, 'zeppelin')).toEqual([id]);
    expect(await search(ann, 'balloon')).toEqual([]);
    expect(await search(zoe, 'balloon')).toHaveLength(1);
    const line = await worker.line(isJobLine);
    expect(line).toMatchObject({
      level: 'info',
      task: 'documents__index',
      outcome: 'succeeded',
      attempt: 1,
      orgHash: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    expect(JSON.stringify(worker.lines)).not.toMatch(/zeppelin|org_acme|user_ann/);

    // The worker is there already: it hears of the next one by itself.
    await write(ann, long('dirigible'));
    await untilDone();
    expect(await search(ann, 'dirigible')).toHaveLength(1);
  });

  test('that is changed three times before the worker comes is indexed once, as it is last', async () => {
    const id = await write(ann, long('first'));
    for (const word of ['second', 'third']) {
      await as(ann, (client) =>
        client.query('update app_public.documents set body = $1 where id = $2', [long(word), id]),
      );
    }
    const worker = await startWorker();
    await worker.line(isJobLine);
    await untilDone();
    expect(await search(ann, 'third')).toEqual([id]);
    expect(await search(ann, 'first')).toEqual([]);
    expect(jobsOf(worker)).toHaveLength(1);
  });

  test('that was deleted meanwhile needs no indexing', async () => {
    const id = await write(ann, long('gone'));
    await as(ann, (client) => client.query('delete from app_public.documents where id = $1', [id]));
    const worker = await startWorker();
    await worker.line(isJobLine);
    await untilDone();
    expect(jobsOf(worker)).toMatchObject([{ outcome: 'succeeded' }]);
  });
});

describe('a job that cannot be done', () => {
  test('fails with a reason, and harms no other', async () => {
    const payloads = [{ orgId: 1 }, {}, [], 'text', { orgId: 'org_acme', rowId: 'no uuid' }];
    for (const payload of payloads) {
      await database.superuser.query(
        "select graphile_worker.add_job('documents__index', $1::json)",
        [JSON.stringify(payload)],
      );
    }
    await database.superuser.query("select graphile_worker.add_job('no_such_task', '{}')");
    const id = await write(ann, long('zeppelin'));
    const worker = await startWorker();
    await until('the good job', async () => (await search(ann, 'zeppelin')).includes(id));
    const jobs = await until('the bad jobs', async () => {
      const { rows } = await database.superuser.query<{
        last_error: string;
        attempts: number;
        is_final: boolean;
      }>(
        `select last_error, attempts, attempts >= max_attempts as is_final from graphile_worker._private_jobs j
         join graphile_worker._private_tasks t on t.id = j.task_id
         where t.identifier = 'documents__index' and last_error is not null and locked_at is null`,
      );
      return rows.length === payloads.length && rows;
    });
    for (const job of jobs)
      expect(job).toEqual({
        attempts: 1,
        is_final: true,
        last_error: expect.stringMatching(/^BAD_USER_INPUT: .*(rowId|object)/s),
      });
    // Another version may know it.
    const { rows: unknown } = await database.superuser.query(
      `select attempts, is_available from graphile_worker._private_jobs j
       join graphile_worker._private_tasks t on t.id = j.task_id where t.identifier = 'no_such_task'`,
    );
    expect(unknown).toEqual([{ attempts: 0, is_available: true }]);
    const lines = await until('a line of each', () => {
      const found = jobsOf(worker);
      return found.length > payloads.length && found;
    });
    expect(lines.map(({ outcome }) => outcome).sort()).toEqual([
      ...payloads.map(() => 'dead'),
      'succeeded',
    ]);
    const dead = jobsOf(worker).find(({ outcome }) => outcome === 'dead');
    expect(dead).toMatchObject({ level: 'error', err: { message: expect.any(String) } });
  });

  test('of another organization does not touch a document by its id', async () => {
    const id = await write(ann, long('zeppelin'));
    await database.superuser.query('delete from graphile_worker._private_jobs');
    await database.superuser.query("select graphile_worker.add_job('documents__index', $1::json)", [
      JSON.stringify({ orgId: 'org_globex', rowId: id, userId: null, requestId: null }),
    ]);
    await startWorker();
    await untilDone();
    expect(await search(ann, 'zeppelin')).toEqual([]);
  });
});

describe('the pages of a worker', () => {
  test('say that it lives, that it is ready, and what it measured', async () => {
    await database.superuser.query('update app_private.queue_turn set counted_to = 0');
    await write(ann, long('zeppelin'));
    const worker = await startWorker({ METRICS_TOKEN: 'of-the-tests' });
    const { url } = await worker.line(({ msg }) => msg === 'ready');
    await worker.line(isJobLine);
    expect(await ask(`${url}/healthz`)).toMatchObject({ status: 200, text: '{"status":"ok"}' });
    const ready = await ask(`${url}/readyz`);
    expect(ready.status).toBe(200);
    expect(JSON.parse(ready.text)).toEqual({
      status: 'ready',
      checks: {
        database: { ok: true },
        queue: { ok: true, detail: expect.stringMatching(/^oldest job due for \d+ s$/) },
      },
    });
    expect((await ask(`${url}/metrics`)).status).toBe(401);
    expect((await ask(`${url}/metrics`, 'of-the-test')).status).toBe(401);
    expect((await fetch(`${url}/healthz`, { method: 'POST' })).status).toBe(404);
    const { text } = await ask(`${url}/metrics`, 'of-the-tests');
    expect(text).toMatch(
      /^rowhouse_job_duration_count\{task="documents__index",outcome="succeeded"\} 1$/m,
    );
    expect(text).toMatch(/^rowhouse_jobs_added_total [1-9]\d*$/m);
    expect((await ask(`${url}/graphql`)).status).toBe(404);
  });

  test('turn readiness red while a job has been due for too long', async () => {
    await database.superuser.query(
      "select graphile_worker.add_job('no_such_task', '{}', run_at => now() - interval '1 hour')",
    );
    const worker = await startWorker({ WORKER_HEARTBEAT_MS: '200', WORKER_DEAD_AFTER_MS: '1000' });
    const { url } = await worker.line(({ msg }) => msg === 'ready');
    const late = await ask(`${url}/readyz`);
    expect(late.status).toBe(503);
    expect(JSON.parse(late.text).checks.queue).toEqual({
      ok: false,
      detail: expect.stringMatching(/^oldest job due for 36\d\d s$/),
    });
  });
});

async function ask(url: string, token?: string) {
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(url, { headers });
  return { status: response.status, text: await response.text() };
}

describe('two workers at once', () => {
  test('do each job once', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 40; i++) ids.push(await write(ann, long(`word${i}`)));
    const workers = await Promise.all([startWorker(), startWorker()]);
    await untilDone();
    const done = await until('40 lines', () => {
      const lines = workers.flatMap(jobsOf);
      return lines.length >= 40 && lines;
    });
    expect(new Set(done.map(({ jobId }) => jobId)).size).toBe(40);
    expect(done.map(({ outcome, attempt }) => [outcome, attempt])).toEqual(
      ids.map(() => ['succeeded', 1]),
    );
  });
});

describe('a worker that is asked to stop', () => {
  test('finishes the job it is at, takes no other, and ends with status 0', async () => {
    const id = await write(ann, long('zeppelin'));
    const worker = await startBusyWorker(id);
    worker.process.kill('SIGTERM');
    await worker.process.line(({ msg }) => msg === 'closing');
    const later = await write(zoe, long('balloon'));
    await worker.letGo();
    expect(await worker.process.ended).toEqual({ code: 0, signal: null });
    expect(await search(ann, 'zeppelin')).toEqual([id]);
    expect(await search(zoe, 'balloon')).not.toContain(later);
    expect(await locked()).toBe(0);
  });

  test('returns the job that does not end in time, for the next worker', async () => {
    const id = await write(ann, long('zeppelin'));
    const worker = await startBusyWorker(id, { SHUTDOWN_GRACE_MS: '500' });
    worker.process.kill('SIGTERM');
    await worker.process.line(({ phase }) => phase === 'jobs');
    expect(await locked()).toBe(0);
    await worker.letGo();
    await worker.process.ended;
    await startWorker();
    await untilDone();
    expect(await search(ann, 'zeppelin')).toEqual([id]);
  });

  test('ends at once at a second signal, and the job is done by the next', async () => {
    const id = await write(ann, long('zeppelin'));
    const quick = { WORKER_HEARTBEAT_MS: '100', WORKER_DEAD_AFTER_MS: '1000' };
    const worker = await startBusyWorker(id, { ...quick, SHUTDOWN_GRACE_MS: '20000' });
    worker.process.kill('SIGTERM');
    await worker.process.line(({ msg }) => msg === 'closing');
    worker.process.kill('SIGINT');
    expect(await worker.process.ended).toEqual({ code: 1, signal: null });
    await worker.letGo();
    await startWorker(quick);
    await untilDone();
    expect(await search(ann, 'zeppelin')).toEqual([id]);
  });

  test('ends at once when it has nothing to do', async () => {
    const worker = await startWorker();
    worker.kill('SIGINT');
    expect(await worker.ended).toEqual({ code: 0, signal: null });
  });

  test('ends when that comes while it starts', async () => {
    const lock = await database.superuser.connect();
    await lock.query('begin; lock table graphile_worker.migrations in access exclusive mode');
    const worker = launch();
    await untilHanging();
    worker.kill('SIGTERM');
    await worker.line(({ msg }) => msg === 'closing');
    await lock.query('commit');
    lock.release();
    expect(await worker.ended).toEqual({ code: 0, signal: null });
  });

  test('ends while it still waits for its database', async () => {
    const worker = closedAfter(
      startProgram('worker/main.ts', {
        DATABASE_WORKER_URL: 'postgres://nobody:secret@127.0.0.1:1/nothing',
      }),
    );
    await worker.line(({ msg }) => msg === 'not ready');
    worker.kill('SIGTERM');
    expect(await worker.ended).toEqual({ code: 0, signal: null });
    expect(JSON.stringify(worker.lines)).not.toContain('secret');
  });
});

test('a worker whose port is taken says so, and which setting to change', async () => {
  const squatter = createServer().listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  closedAfter({ close: async () => void squatter.close() });
  const { port } = squatter.address() as AddressInfo;
  const worker = launch({ WORKER_PORT: String(port) });
  const { err } = await worker.line(({ level }) => level === 'fatal');
  expect(err).toMatchObject({
    message: `Cannot listen on 127.0.0.1:${port}. Is another program using it? Set WORKER_PORT or HOST to another.`,
  });
  expect((await worker.ended).code).toBe(1);
});

test('a worker without a database says which setting is missing', async () => {
  const { code, text } = await runProgram('worker/main.ts', {});
  expect(code).toBe(1);
  expect(text).toContain('DATABASE_WORKER_URL');
});

/** A body that a write indexes only in part: the word stands beyond the first 20 000 characters. */
function long(word: string): string {
  return `${'lorem '.repeat(3_500)} ${word}`;
}

function closedAfter<Opened extends { close(): Promise<void> }>(what: Opened): Opened {
  opened.push(what);
  return what;
}

function launch(settings: Settings = {}): Program {
  return closedAfter(
    startProgram('worker/main.ts', {
      DATABASE_WORKER_URL: database.workerUrl,
      WORKER_PORT: '0',
      ...settings,
    }),
  );
}

async function startWorker(settings?: Settings): Promise<Program> {
  const worker = launch(settings);
  await worker.line(({ msg }) => msg === 'ready');
  return worker;
}

/** Starts a worker that hangs in the job of a document until it is let go. */
async function startBusyWorker(id: string, settings?: Settings) {
  const lock = await database.superuser.connect();
  await lock.query('begin');
  await lock.query('select from app_public.documents where id = $1 for update', [id]);
  let letGo = async () => {
    letGo = async () => {};
    await lock.query('commit');
    lock.release();
  };
  closedAfter({ close: () => letGo() });
  const worker = await startWorker(settings);
  await untilHanging();
  return { process: worker, letGo: () => letGo() };
}

/** Waits until a worker waits for a lock of this file's database. */
async function untilHanging(): Promise<void> {
  await until('a worker that hangs', async () => {
    const { rowCount } = await database.superuser.query(
      `select from pg_stat_activity
       where datname = current_database() and application_name = 'rowhouse-worker' and wait_event_type = 'Lock'`,
    );
    return rowCount === 1;
  });
}

type Caller = typeof ann;

/** Runs work as a request of the caller would, and commits. */
async function as<Result>(
  caller: Caller,
  work: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await database.api.connect();
  try {
    await client.query('begin');
    const settings = pgSettings({ orgRole: 'member', permissions: [], ...caller }, 'test');
    await client.query(
      'select set_config(name, value, true) from jsonb_each_text($1) as setting (name, value)',
      [JSON.stringify(settings)],
    );
    return await work(client);
  } finally {
    await client.query('commit');
    client.release();
  }
}

async function write(caller: Caller, body: string): Promise<string> {
  const { rows } = await as(caller, (client) =>
    client.query(
      "insert into app_public.documents (title, body) values ('Long', $1) returning id",
      [body],
    ),
  );
  return rows[0].id;
}

async function search(caller: Caller, query: string): Promise<string[]> {
  const { rows } = await as(caller, (client) =>
    client.query('select id from app_public.search_documents($1)', [query]),
  );
  return rows.map(({ id }) => id);
}

function untilDone(): Promise<true> {
  return until('an empty queue', async () => {
    const { rowCount } = await database.superuser.query(
      'select from graphile_worker._private_jobs',
    );
    return rowCount === 0;
  });
}

async function locked(): Promise<number> {
  const { rowCount } = await database.superuser.query(
    'select from graphile_worker._private_jobs where locked_at is not null',
  );
  return rowCount ?? 0;
}

function jobsOf(worker: Program) {
  return worker.lines.filter(isJobLine);
}
