import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Program } from '../support/program.ts';
import { until } from '../support/until.ts';
import { type Fleet, openFleet } from './fleet.ts';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await openFleet();
});
beforeEach(async () => {
  // A worker of yesterday knew the crontab; the heartbeat of one that died then is due to go.
  await fleet.database.superuser.query(
    `insert into graphile_worker._private_known_crontabs (identifier, known_since, last_execution)
     values ('queue__purge', now() - interval '2 days', now() - interval '10 hours')
     on conflict (identifier) do update set last_execution = excluded.last_execution;
     insert into app_private.workers (id, host, version, dead_at) values ('old', '', '', now() - interval '2 days')`,
  );
});
afterEach(() => fleet.clear());
afterAll(() => fleet.close());

const untilPurged = () =>
  until('the purge', async () => {
    const { rowCount } = await fleet.database.superuser.query(
      "select from app_private.workers where id = 'old'",
    );
    return rowCount === 0;
  });

const purgesOf = (workers: readonly Program[]) =>
  workers.flatMap(({ lines }) =>
    lines.filter(({ msg, task }) => msg === 'job' && task === 'queue__purge'),
  );

test('runs by the clock that were missed while no worker was there are caught up by one', async () => {
  const workers = await Promise.all([fleet.start(), fleet.start()]);
  await untilPurged();
  await fleet.untilDone();
  await until('its line', () => purgesOf(workers).length > 0);
  expect(purgesOf(workers)).toMatchObject([{ outcome: 'succeeded' }]);
});

test('workers whose clocks are wrong by hours do jobs, bury nobody, and keep no run by the clock from the others', async () => {
  const wrongBy = (hours: number) => ({
    NODE_OPTIONS: `--import=${new URL('./wrongClock.ts', import.meta.url).href}`,
    TEST_CLOCK_MS: String(hours * 3_600_000),
  });
  const wrong = await Promise.all([fleet.start(wrongBy(3)), fleet.start(wrongBy(-30))]);
  const jobs = await fleet.add(
    'test__effect',
    Array.from({ length: 10 }, () => ({ ms: 200 })),
  );
  await fleet.untilDone();
  const effects = await fleet.effects();
  expect(effects.map(({ job_id, number }) => [job_id, number]).sort()).toEqual(
    jobs.map((id) => [id, 1]).sort(),
  );
  expect(wrong[0]?.lines[0]?.time).not.toBe(wrong[1]?.lines[0]?.time);
  const { rows } = await fleet.database.superuser.query(
    `select (select max(last_execution) <= now() + interval '1 minute' from graphile_worker._private_known_crontabs) as is_past,
       (select count(*)::integer from app_private.workers where dead_at is not null and id <> 'old') as buried`,
  );
  expect(rows).toEqual([{ is_past: true, buried: 0 }]);
  await fleet.start();
  await untilPurged();
});
