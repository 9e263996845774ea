import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Program } from '../support/program.ts';
import { until } from '../support/until.ts';
import { type Fleet, openFleet } from './fleet.ts';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await openFleet();
});
afterEach(() => fleet.clear());
afterAll(() => fleet.close());

/** Runs a job that misbehaves among ones that do not, and returns what the queue says of it then. */
async function misbehave(how: string, maxAttempts = 25) {
  const worker = await fleet.start({ WORKER_CONCURRENCY: '2' });
  const [bad = ''] = await fleet.add('test__misbehave', [{ how }], { maxAttempts });
  const good = await fleet.add(
    'test__effect',
    Array.from({ length: 10 }, () => ({ ms: 20 })),
  );
  await until('the good jobs', async () => (await fleet.effects()).length === good.length, 20_000);
  const job = await until('the end of the bad one', async () => {
    const { rows } = await fleet.database.superuser.query(
      'select attempts, max_attempts, last_error, locked_by from graphile_worker._private_jobs where id = $1 and last_error is not null',
      [bad],
    );
    return rows[0];
  });
  return { worker, job };
}

async function idleConnections(): Promise<number> {
  const { rowCount } = await fleet.database.superuser.query(
    `select from pg_stat_activity where datname = current_database()
     and application_name = 'rowhouse-worker' and (state <> 'idle' or query like '%pg_sleep%')`,
  );
  return rowCount ?? 0;
}

const finished = (worker: Program) =>
  worker.line(({ msg, task }) => msg === 'job' && task === 'test__misbehave');

describe('a task harms no other job, and its own says why it failed, when it', () => {
  test.each([
    ['throw', 'INTERNAL: secret of the inside'],
    ['throw coded', 'CONFLICT: This conflicts with what is already there.'],
    ['throw nothing', 'INTERNAL: undefined'],
  ])('%ss', async (how, lastError) => {
    const { worker, job } = await misbehave(how);
    expect(job).toEqual({ attempts: 1, max_attempts: 25, last_error: lastError, locked_by: null });
    expect(await finished(worker)).toMatchObject({ outcome: 'failed', attempt: 1 });
  });

  test('gets a payload that does not fit: it fails at once and for good', async () => {
    const { worker, job } = await misbehave('dance');
    expect(job).toMatchObject({ attempts: 1, max_attempts: 1, locked_by: null });
    expect(job.last_error).toMatch(/^BAD_USER_INPUT: .*how/s);
    expect(await finished(worker)).toMatchObject({ outcome: 'dead' });
  });

  test('hangs: it is left behind at its time limit, and hears of it', async () => {
    const { job } = await misbehave('hang');
    expect(job.last_error).toMatch(/^TIMEOUT: /);
    expect(fleet.ledger().map(({ what }) => what)).toContain('aborted');
  });

  test('holds a connection in a statement that does not end: both are ended', async () => {
    const { job } = await misbehave('hold');
    expect(job.last_error).toMatch(/^TIMEOUT: /);
    await until('no connection at work', async () => (await idleConnections()) === 0);
  });

  test('leaks connections', async () => {
    const worker = await fleet.start({ WORKER_CONCURRENCY: '1', DATABASE_POOL_SIZE: '3' });
    await fleet.add(
      'test__misbehave',
      Array.from({ length: 5 }, () => ({ how: 'leak' })),
    );
    const good = await fleet.add('test__effect', [{}]);
    await fleet.untilDone();
    expect((await fleet.effects()).map(({ job_id }) => job_id)).toEqual(good);
    worker.kill('SIGTERM');
    expect(await worker.ended).toEqual({ code: 0, signal: null });
  });

  test('leaves a promise behind that is rejected later', async () => {
    const worker = await fleet.start();
    await fleet.add('test__misbehave', [{ how: 'reject later' }]);
    await fleet.untilDone();
    await until('the rejection', () => fleet.ledger().some(({ what }) => what === 'heard'));
    await fleet.add('test__effect', [{}]);
    await fleet.untilDone();
    worker.kill('SIGTERM');
    expect(await worker.ended).toEqual({ code: 0, signal: null });
  });

  test('exits the process: the others are done by the next, and it becomes a dead letter', async () => {
    const others = await fleet.add(
      'test__effect',
      Array.from({ length: 4 }, () => ({ ms: 200 })),
    );
    await fleet.add('test__misbehave', [{ how: 'exit' }], { maxAttempts: 2 });
    for (let i = 0; i < 2; i += 1) {
      const worker = await fleet.start();
      expect(await worker.ended).toEqual({ code: 3, signal: null });
    }
    await fleet.start();
    const letter = await until('the dead letter', async () => {
      const { rows } = await fleet.database.superuser.query(
        'select task, error_code, attempts from app_public.dead_letters',
      );
      return rows[0];
    });
    expect(letter).toEqual({ task: 'test__misbehave', error_code: 'INTERRUPTED', attempts: 2 });
    await until('the others', async () => (await fleet.effects()).length === others.length);
  });

  test('blocks the event loop: its jobs go to others, and its process is ended', async () => {
    const blocked = await fleet.start();
    const others = await fleet.add('test__effect', [{ ms: 1_000 }]);
    await until('the other job to run', () => fleet.ledger().length > 0);
    await fleet.add('test__misbehave', [{ how: 'block' }], { maxAttempts: 1 });
    await until('the loop to be blocked', () => fleet.ledger().length > 1);
    await fleet.start();
    await until('the other job', async () => (await fleet.effects()).length === 1, 15_000);
    expect((await fleet.effects()).map(({ job_id }) => job_id)).toEqual(others);
    expect(await blocked.ended).toEqual({ code: null, signal: 'SIGKILL' });
    expect(blocked.lines).toContainEqual(expect.objectContaining({ msg: 'event loop blocked' }));
  });
});
