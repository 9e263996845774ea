import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { until } from '../support/until.ts';
import { type Fleet, openFleet } from './fleet.ts';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await openFleet();
});
afterEach(() => fleet.clear());
afterAll(() => fleet.close());

test('runs by the clock that were missed while no worker was there are caught up by one', async () => {
  const { superuser } = fleet.database;
  // A worker of yesterday knew the crontab; the heartbeat of one that died then is due to go.
  await superuser.query(
    `insert into graphile_worker._private_known_crontabs (identifier, known_since, last_execution)
     values ('queue__purge', now() - interval '2 days', now() - interval '10 hours')`,
  );
  await superuser.query(
    "insert into app_private.workers (id, host, version, dead_at) values ('old', '', '', now() - interval '2 days')",
  );
  const workers = await Promise.all([fleet.start(), fleet.start()]);
  await until('the purge', async () => {
    const { rowCount } = await superuser.query("select from app_private.workers where id = 'old'");
    return rowCount === 0;
  });
  await fleet.untilDone();
  const runs = await until('its line', () => {
    const lines = workers.flatMap(({ lines }) =>
      lines.filter(({ msg, task }) => msg === 'job' && task === 'queue__purge'),
    );
    return lines.length > 0 && lines;
  });
  expect(runs).toMatchObject([{ outcome: 'succeeded' }]);
});
