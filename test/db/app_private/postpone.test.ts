import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, jobOf, over, takeJob } from '../attempts.ts';
import { provisionAll } from '../callers.ts';

/** Jobs that could not begin. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

async function postpone(attempt: string, pauseMs = 0): Promise<boolean> {
  return asWorker(database, async (client) => {
    const { rows } = await client.query('select app_private.postpone_attempt($1, $2) as told', [
      attempt,
      pauseMs,
    ]);
    return rows[0].told;
  });
}

/** Seconds until a job is due. */
async function dueIn(jobId: string): Promise<number> {
  const { rows } = await database.superuser.query(
    'select extract(epoch from run_at - now())::float8 as seconds from graphile_worker._private_jobs where id = $1',
    [jobId],
  );
  return rows[0].seconds;
}

const grow = (jobId: string, age: string) =>
  database.superuser.query(
    'update graphile_worker._private_jobs set created_at = now() - $2::interval where id = $1',
    [jobId, age],
  );

test('a job that is postponed was not tried, and the attempt is over', async () => {
  const id = await addJob(database, 'test');
  const attempt = await takeJob(database, id);
  expect(await postpone(attempt)).toBe(true);
  expect(await jobOf(database, id)).toMatchObject({
    attempts: 0,
    locked_by: null,
    last_error: null,
  });
  await expect(postpone(attempt)).rejects.toMatchObject(over);
  const next = await takeJob(database, id);
  expect(next).not.toBe(attempt);
  await expect(postpone(attempt)).rejects.toMatchObject(over);
  expect(await postpone(next)).toBe(true);
});

test('it comes later the older it is, and no sooner than was asked', async () => {
  const id = await addJob(database, 'test');
  const dueAfter = async (age: string, pauseMs: number) => {
    await grow(id, age);
    await postpone(await takeJob(database, id), pauseMs);
    return dueIn(id);
  };
  // From the time that it has to, to half as much again; less what the test took.
  for (const [age, pauseMs, seconds] of [
    ['0', 0, 1],
    ['0', 30_000, 30],
    ['100 s', 0, 25],
    ['1 h', 0, 60],
    ['1 h', 90_000, 90],
  ] as const) {
    const due = await dueAfter(age, pauseMs);
    expect({ age, pauseMs, isInTime: due > seconds - 1 && due <= seconds * 1.5 }).toEqual({
      age,
      pauseMs,
      isInTime: true,
    });
  }
});

test('after a day it is to fail like others', async () => {
  const id = await addJob(database, 'test');
  const attempt = await takeJob(database, id);
  await grow(id, '25 h');
  expect(await postpone(attempt)).toBe(false);
  expect(await jobOf(database, id)).toMatchObject({ attempts: 1, locked_by: 'test-worker' });
});
