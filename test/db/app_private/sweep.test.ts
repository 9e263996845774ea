import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, jobOf, takeJob } from '../attempts.ts';
import { provisionAll } from '../callers.ts';

/** Who is declared dead, and which jobs go back to the queue. */

let database: TestDatabase;
let job: string;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.superuser.query(
    'delete from graphile_worker._private_jobs; delete from app_private.workers',
  );
  // Its heartbeat is still to come, so that no slow machine makes it late.
  await register('judge', '-1 hour');
  job = await addJob(database, 'test');
});

/** A worker whose last heartbeat was so long ago. */
const register = (id: string, ago: string) =>
  database.superuser.query(
    `insert into app_private.workers (id, host, version, beat_at)
     values ($1, '', '', now() - $2::interval)`,
    [id, ago],
  );

/** Postgres has been running for longer than that, and heartbeats here are older. */
const deadAfter = '100 milliseconds';

async function sweep(after = deadAfter, by = 'judge') {
  const { rows } = await asWorker(database, (client) =>
    client.query('select * from app_private.sweep($1, $2)', [by, after]),
  );
  return rows[0];
}

const beat = async (id: string, held: string[] = []) =>
  (
    await asWorker(database, (client) =>
      client.query('select app_private.beat($1, $2, $3) as is_alive', [id, held, deadAfter]),
    )
  ).rows[0].is_alive;

const holderOf = async (id = job) => (await jobOf(database, id)).locked_by;

/** As if the job had been taken so long ago. */
const age = (by: string) =>
  database.superuser.query(
    'update graphile_worker._private_jobs set locked_at = now() - $1::interval',
    [by],
  );

describe('a sweep', () => {
  test('returns the jobs of a worker that was silent for too long, and of no other', async () => {
    const kept = await addJob(database, 'test', { key: 'kept' });
    await register('silent', '5 minutes');
    await register('alive', '-1 hour');
    await takeJob(database, job, 'silent');
    await takeJob(database, kept, 'alive');
    expect(await sweep()).toEqual({ workers: 1, jobs: 1 });
    expect([await holderOf(), await holderOf(kept)]).toEqual([null, 'alive']);
    expect(await jobOf(database, job)).toMatchObject({ is_available: true, attempts: 1 });
    // Whoever was declared dead hears of it, once and for all.
    expect([await beat('silent'), await beat('silent'), await beat('alive')]).toEqual([
      false,
      false,
      true,
    ]);
  });

  test('declares nobody dead right after Postgres started, when all heartbeats are old', async () => {
    await register('silent', '5 days');
    await takeJob(database, job, 'silent');
    expect(await sweep('1 day')).toEqual({ workers: 0, jobs: 0 });
    expect(await holderOf()).toBe('silent');
  });

  test('declares nobody dead where who sweeps was away for as long itself', async () => {
    await register('late', '5 minutes');
    await register('silent', '5 minutes');
    await takeJob(database, job, 'silent');
    expect(await beat('late')).toBe(true);
    await database.superuser.query(
      "update app_private.workers set late_at = late_at + interval '1 hour' where id = 'late'",
    );
    expect(await sweep(deadAfter, 'late')).toEqual({ workers: 0, jobs: 0 });
    expect(await sweep()).toEqual({ workers: 1, jobs: 1 });
  });

  test('is made by one at a time', async () => {
    await register('silent', '5 minutes');
    await takeJob(database, job, 'silent');
    await asWorker(database, async (other) => {
      await other.query('begin');
      await other.query('select app_private.sweep($1, $2)', ['judge', deadAfter]);
      expect(await sweep()).toEqual({ workers: 0, jobs: 0 });
      await other.query('rollback');
    });
    expect(await sweep()).toEqual({ workers: 1, jobs: 1 });
  });

  test('does not take a job that is just being ended, nor wait for it', async () => {
    await register('silent', '5 minutes');
    const attempt = await takeJob(database, job, 'silent');
    await asWorker(
      database,
      async (ending) => {
        await ending.query('begin');
        await ending.query('select app_private.index_document($1, uuidv7())', [attempt]);
        expect(await sweep()).toEqual({ workers: 1, jobs: 0 });
        await ending.query('select app_private.complete_attempt($1)', [attempt]);
        await ending.query('commit');
      },
      'silent',
    );
    expect(await sweep()).toEqual({ workers: 0, jobs: 0 });
    expect(await jobOf(database, job)).toBeUndefined();
  });

  test('returns what a dead worker took afterwards, and what no known worker holds', async () => {
    await register('silent', '5 minutes');
    await sweep();
    await takeJob(database, job, 'silent');
    expect(await sweep()).toEqual({ workers: 0, jobs: 1 });
    // Who took it in this moment may still register.
    const client = await database.superuser.connect();
    await client.query('begin');
    await client.query(
      "update graphile_worker._private_jobs set locked_by = 'unheard of', locked_at = now()",
    );
    const { rows } = await client.query('select jobs from app_private.sweep($1, $2)', [
      'judge',
      deadAfter,
    ]);
    await client.query('rollback');
    client.release();
    expect(rows).toEqual([{ jobs: 0 }]);
    await takeJob(database, job, 'unheard of');
    await age('5 minutes');
    expect((await sweep()).jobs).toBe(1);
    expect(await holderOf()).toBeNull();
  });

  test('does not declare dead who sweeps, however old its last heartbeat', async () => {
    await register('slow', '5 minutes');
    expect(await sweep(deadAfter, 'slow')).toEqual({ workers: 0, jobs: 0 });
    expect(await sweep()).toEqual({ workers: 1, jobs: 0 });
  });

  describe('with a queue by name', () => {
    let queued: string;
    beforeEach(async () => {
      const { rows } = await database.superuser.query(
        `select app_private.enqueue('test', uuidv7(), queue_name => 'one by one') as id
         from set_config('jwt.org_id', 'org_acme', true)`,
      );
      queued = rows[0].id;
      await register('silent', '5 minutes');
      await register('alive', '-1 hour');
    });
    const hold = (by: string) =>
      database.superuser.query(
        "update graphile_worker._private_job_queues set locked_by = $1, locked_at = now() - interval '5 minutes'",
        [by],
      );
    const held = async () =>
      (
        await database.superuser.query(
          'select locked_by, is_available from graphile_worker._private_job_queues',
        )
      ).rows;
    const free = [{ locked_by: null, is_available: true }];

    test('frees it together with the job of a dead worker', async () => {
      await takeJob(database, queued, 'silent');
      await hold('silent');
      expect((await sweep()).jobs).toBe(1);
      expect(await held()).toEqual(free);
    });

    test('frees it where a dead worker holds none of its jobs any more', async () => {
      await hold('silent');
      expect((await sweep()).jobs).toBe(0);
      expect(await held()).toEqual(free);
    });

    test('leaves it with a worker that lives', async () => {
      await hold('alive');
      await sweep();
      expect(await held()).toMatchObject([{ locked_by: 'alive' }]);
    });

    test('leaves it as long as the job of the dead worker is just being ended', async () => {
      await takeJob(database, queued, 'silent');
      await hold('silent');
      await asWorker(
        database,
        async (ending) => {
          await ending.query('begin');
          await ending.query('select from graphile_worker._private_jobs where id = $1 for update', [
            queued,
          ]);
          expect((await sweep()).jobs).toBe(0);
          expect(await held()).toMatchObject([{ locked_by: 'silent' }]);
          await ending.query('rollback');
        },
        'silent',
      );
    });
  });

  test('lets a job that has killed its process wait, longer each time from the third attempt', async () => {
    await register('silent', '5 minutes');
    await sweep();
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      await takeJob(database, job, 'silent');
      await sweep();
      const { rows } = await database.superuser.query(
        `select round(extract(epoch from greatest(run_at - now(), '0'))) as wait
         from graphile_worker._private_jobs`,
      );
      waits.push(Number(rows[0].wait));
    }
    expect(waits).toEqual([0, 0, 2, 4, 8]);
  });
});

describe('a heartbeat', () => {
  test('returns a job of which its worker never heard, and keeps those it is at', async () => {
    await register('alive', '-1 hour');
    const held = await addJob(database, 'test', { key: 'held' });
    await takeJob(database, job, 'alive');
    await takeJob(database, held, 'alive');
    await age('0');
    expect(await beat('alive', [held])).toBe(true);
    await age('5 minutes');
    expect(await beat('alive', [held])).toBe(true);
    expect([await holderOf(), await holderOf(held)]).toEqual([null, 'alive']);
  });

  test('keeps a job that was taken just now: the answer may be on its way', async () => {
    await register('alive', '-1 hour');
    await takeJob(database, job, 'alive');
    await age('-1 minute');
    await beat('alive');
    expect(await holderOf()).toBe('alive');
  });
});

test('purge_queue forgets workers that died a day ago, unless they hold a job still', async () => {
  await register('dead', '2 days');
  await register('dead with a job', '2 days');
  await register('dead lately', '2 days');
  await database.superuser.query(
    `update app_private.workers set dead_at = now() - case id when 'dead lately' then interval '1 hour' else '2 days' end
     where id like 'dead%'`,
  );
  await takeJob(database, job, 'dead with a job');
  const attempt = await takeJob(database, await addJob(database, 'test', { key: 'purge' }));
  await asWorker(database, (client) =>
    client.query('select app_private.purge_queue($1)', [attempt]),
  );
  const { rows } = await database.superuser.query('select id from app_private.workers order by 1');
  expect(rows.map(({ id }) => id)).toEqual(['dead lately', 'dead with a job', 'judge']);
});
