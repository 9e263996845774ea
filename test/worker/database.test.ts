import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { openBreakableDatabase } from '../support/breakableDatabase.ts';
import type { Program } from '../support/program.ts';
import { until } from '../support/until.ts';
import { type Fleet, openFleet } from './fleet.ts';
import { type OwnCluster, openOwnCluster } from './ownCluster.ts';

/** What happens to jobs when the database does badly. */

let cluster: OwnCluster;
let fleet: Fleet;

beforeAll(async () => {
  cluster = await openOwnCluster();
  fleet = await openFleet(cluster);
}, 60_000);
afterEach(() => fleet.clear());
afterAll(() => fleet.close());

const isAlive = (worker: Program) =>
  Promise.race([worker.ended.then(() => false), Promise.resolve(true)]);

async function expectEachOnce(jobs: readonly string[]): Promise<void> {
  const effects = await fleet.effects();
  expect(effects.map(({ job_id }) => job_id).sort()).toEqual([...jobs].sort());
}

test('Postgres restarts under load: each effect once, no worker restarts, none is declared dead', async () => {
  // Long enough to be declared dead on a slow machine, which is not what is looked at here.
  const patient = { WORKER_DEAD_AFTER_MS: '2500' };
  const workers = await Promise.all([fleet.start(patient), fleet.start(patient)]);
  const jobs = await fleet.add(
    'test__effect',
    Array.from({ length: 150 }, () => ({ ms: 30 })),
  );
  for (let i = 1; i <= 2; i += 1) {
    await until('some effects', async () => (await fleet.effects()).length >= i * 40, 30_000);
    await cluster.restart();
  }
  await fleet.untilDone(60_000);
  await expectEachOnce(jobs);
  for (const worker of workers) {
    expect(await isAlive(worker)).toBe(true);
    expect(worker.lines).not.toContainEqual(
      expect.objectContaining({ msg: 'this worker was declared dead; starting anew' }),
    );
  }
}, 120_000);

test('connections are ended all the time: each effect once, no worker restarts', async () => {
  const workers = await Promise.all([fleet.start(), fleet.start()]);
  const jobs = await fleet.add(
    'test__effect',
    Array.from({ length: 100 }, () => ({ ms: 20 })),
  );
  await endConnections(1_500);
  await fleet.untilDone(60_000);
  await expectEachOnce(jobs);
  for (const worker of workers) expect(await isAlive(worker)).toBe(true);
}, 120_000);

test('an end that finds no database is written when it is back, by the same attempt', async () => {
  const way = await openBreakableDatabase(cluster.workerUrl);
  try {
    // Nobody is declared dead, and no job returned, while this lasts.
    const worker = await fleet.start({
      DATABASE_WORKER_URL: way.url,
      WORKER_DEAD_AFTER_MS: '60000',
    });
    const [job] = await fleet.add('test__effect', [{ ms: 100 }]);
    await until('the job to run', () => fleet.ledger().length > 0);
    await way.cut();
    await worker.line(({ msg }) => msg === 'no heartbeat');
    expect(await fleet.effects()).toEqual([]);
    await way.mend();
    await fleet.untilDone();
    expect(await fleet.effects()).toEqual([{ job_id: job, number: 1 }]);
  } finally {
    await fleet.clear();
    await way.close();
  }
});

test('a transaction of a stopped process does not keep its job', async () => {
  const sleeper = await fleet.start({ WORKER_CONCURRENCY: '1' });
  const lock = await cluster.superuser.connect();
  await lock.query('begin; lock table app_private.test_effects');
  const [job] = await fleet.add('test__effect', [{}]);
  // Its transaction has entered the attempt and waits for the lock.
  await until('the transaction', async () => {
    const { rowCount } = await cluster.superuser.query(
      "select from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'rowhouse-worker'",
    );
    return rowCount === 1;
  });
  sleeper.kill('SIGSTOP');
  await lock.query('commit');
  lock.release();
  await fleet.start();
  await fleet.untilDone();
  await expectEachOnce([String(job)]);
  sleeper.kill('SIGCONT');
  await sleeper.line(({ msg }) => msg === 'this worker was declared dead; starting anew');
  await expectEachOnce([String(job)]);
}, 60_000);

/** Ends ten connections of workers a second. */
async function endConnections(forMs: number): Promise<void> {
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    await cluster.superuser.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name like 'rowhouse-worker%' order by random() limit 1`,
    );
    await sleep(50);
  }
}
