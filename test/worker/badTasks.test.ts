import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Program } from '../support/program.ts';
import { until } from '../support/until.ts';
import { type Fleet, openFleet, readAttempt } from './fleet.ts';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await openFleet();
});
afterAll(() => fleet.close());

/** Adds a job that misbehaves among ones that do not, and returns what the queue says of it once it failed. */
async function misbehave(how: string) {
  const [bad = ''] = await fleet.add('test__misbehave', [{ how }]);
  await untilDoneByOthers();
  return until('the end of the bad one', async () => {
    const { rows } = await fleet.database.superuser.query(
      'select id, attempts, max_attempts, last_error, locked_by from graphile_worker._private_jobs where id = $1 and last_error is not null',
      [bad],
    );
    return rows[0];
  });
}

/** Adds jobs that do their work, and waits until each did, once. */
async function untilDoneByOthers(count = 5): Promise<void> {
  const good = await fleet.add(
    'test__effect',
    Array.from({ length: count }, () => ({ ms: 5 })),
  );
  const mine = async () =>
    (await fleet.effects()).map(({ job_id }) => job_id).filter((id) => good.includes(id));
  await until('the good jobs', async () => (await mine()).length >= count);
  expect((await mine()).sort()).toEqual([...good].sort());
}

/** Connections of workers that run a statement, or are in a transaction. */
async function busyConnections(): Promise<number> {
  const { rowCount } = await fleet.database.superuser.query(
    `select from pg_stat_activity where datname = current_database()
     and application_name = 'rowhouse-worker' and state <> 'idle'`,
  );
  return rowCount ?? 0;
}

const heardBy = (what: string, jobId: string) =>
  until(what, () =>
    fleet.ledger().some((each) => each.what === what && readAttempt(each.attempt).jobId === jobId),
  );

describe('in one process, a task harms no other job, and its own says why it failed, when it', () => {
  let worker: Program;
  beforeAll(async () => {
    worker = await fleet.start({ WORKER_CONCURRENCY: '2', DATABASE_POOL_SIZE: '1' });
  });
  afterAll(() => fleet.clear());

  const lineOf = (jobId: string) =>
    worker.line((line) => line.msg === 'job' && line.jobId === jobId);

  test.each([
    ['throw', 'INTERNAL: secret of the inside'],
    ['throw coded', 'CONFLICT: This conflicts with what is already there.'],
    ['throw nothing', 'INTERNAL: undefined'],
  ])('%ss', async (how, lastError) => {
    const { id, ...job } = await misbehave(how);
    expect(job).toEqual({ attempts: 1, max_attempts: 25, last_error: lastError, locked_by: null });
    expect(await lineOf(id)).toMatchObject({ outcome: 'failed', attempt: 1 });
  });

  test('gets a payload that does not fit: it fails at once and for good', async () => {
    const { id, ...job } = await misbehave('dance');
    expect(job).toMatchObject({ attempts: 1, max_attempts: 1, locked_by: null });
    expect(job.last_error).toMatch(/^BAD_USER_INPUT: .*how/s);
    expect(await lineOf(id)).toMatchObject({ outcome: 'dead' });
  });

  test('hangs: it is left behind at its time limit, and hears of it', async () => {
    const job = await misbehave('hang');
    expect(job.last_error).toMatch(/^TIMEOUT: /);
    await heardBy('aborted', job.id);
  });

  test.each([
    ['a connection', 'hold'],
    ['its job', 'hold its job'],
  ])(
    'holds %s in a statement that does not end: that is ended too, and the job tried again',
    async (_, how) => {
      const job = await misbehave(how);
      expect(job).toMatchObject({ last_error: expect.stringMatching(/^TIMEOUT: /), attempts: 1 });
      await until('no connection at work', async () => (await busyConnections()) === 0);
    },
  );

  test('leaks more connections than there are', async () => {
    await fleet.add(
      'test__misbehave',
      Array.from({ length: 5 }, () => ({ how: 'leak' })),
    );
    await untilDoneByOthers();
  });

  test('leaves a promise behind that is rejected later', async () => {
    const [job = ''] = await fleet.add('test__misbehave', [{ how: 'reject later' }]);
    await heardBy('heard', job);
    await untilDoneByOthers();
  });

  test('and after all that it ends as it is asked to', async () => {
    worker.kill('SIGTERM');
    expect(await worker.ended).toEqual({ code: 0, signal: null });
  });
});

describe('a task that takes its process along harms no other job, when it', () => {
  afterEach(() => fleet.clear());

  test('exits: the others are done by the next, and it becomes a dead letter', async () => {
    const others = await fleet.add(
      'test__effect',
      Array.from({ length: 4 }, () => ({ firstMs: 60_000 })),
    );
    await fleet.add('test__misbehave', [{ how: 'exit' }], { maxAttempts: 1 });
    // It may be gone before it has told that it is ready.
    const worker = fleet.launch();
    expect(await worker.ended).toEqual({ code: 3, signal: null });
    await fleet.start();
    const letter = await until('the dead letter', async () => {
      const { rows } = await fleet.database.superuser.query(
        'select task, error_code, attempts from app_public.dead_letters',
      );
      return rows[0];
    });
    expect(letter).toEqual({ task: 'test__misbehave', error_code: 'INTERRUPTED', attempts: 1 });
    await until('the others', async () => (await fleet.effects()).length === others.length);
  });

  test('blocks the event loop: its jobs go to others, and its process is ended', async () => {
    const blocked = await fleet.start();
    const others = await fleet.add('test__effect', [{ firstMs: 60_000 }]);
    await until('the other job to run', () => fleet.ledger().length > 0);
    await fleet.add('test__misbehave', [{ how: 'block' }], { maxAttempts: 1 });
    await until('the loop to be blocked', () => fleet.ledger().length > 1);
    await fleet.start();
    await until('the other job', async () => (await fleet.effects()).length === 1);
    expect((await fleet.effects()).map(({ job_id }) => job_id)).toEqual(others);
    expect(await blocked.ended).toEqual({ code: null, signal: 'SIGKILL' });
    expect(blocked.lines).toContainEqual(expect.objectContaining({ msg: 'event loop blocked' }));
  });
});
