import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type Fleet, openFleet } from './fleet.ts';
import { waitOfNewcomer } from './flood.ts';

/** What one organization's flood does to another's job. */

let fleet: Fleet;

beforeAll(async () => {
  fleet = await openFleet();
});
afterEach(() => fleet.clear());
afterAll(() => fleet.close());

test.each([
  [2_000, 'short', 1],
  [2_000, 'long', 60_000],
])(
  'behind %i %s jobs of one organization, the only job of another starts within 2 s',
  async (flood, _, floodMs) => {
    expect(await waitOfNewcomer(fleet, { flood, floodMs })).toBeLessThan(2_000);
  },
);

test('organizations with jobs waiting are served in turns', async () => {
  await fleet.add(
    'test__effect',
    Array.from({ length: 30 }, () => ({})),
  );
  await fleet.add(
    'test__effect',
    Array.from({ length: 10 }, () => ({})),
    { orgId: 'org_globex' },
  );
  await fleet.start({ WORKER_CONCURRENCY: '1' });
  await fleet.untilDone();
  const order = fleet
    .ledger()
    .filter(({ what }) => what === 'began')
    .map(({ orgId }) => orgId);
  // The second is through when as many of the first have been served.
  expect(order.lastIndexOf('org_globex')).toBeLessThanOrEqual(20);
});

test('an organization that always has a job waiting is not overtaken by newcomers for ever', async () => {
  const { superuser } = fleet.database;
  // It has come far in its turns, and the queue with it.
  await fleet.add(
    'test__effect',
    Array.from({ length: 50 }, () => ({})),
  );
  await superuser.query('delete from graphile_worker._private_jobs where priority < 40');
  await superuser.query(
    "insert into app_private.workers (id, host, version) values ('one', '', '')",
  );
  await superuser.query("select app_private.sweep('one', '10 s')");
  await fleet.add('test__effect', [{}], { orgId: 'org_globex' });
  const { rows } = await superuser.query(
    "select priority from graphile_worker._private_jobs where payload ->> 'orgId' = 'org_globex'",
  );
  expect(rows).toEqual([{ priority: 40 }]);
});

test('before turns run out they are given anew, in the order they have', async () => {
  const { superuser } = fleet.database;
  await fleet.add(
    'test__effect',
    Array.from({ length: 5 }, () => ({})),
  );
  await fleet.add(
    'test__effect',
    Array.from({ length: 3 }, () => ({})),
    { orgId: 'org_globex' },
  );
  const order = async () =>
    (
      await superuser.query(
        'select id from graphile_worker._private_jobs order by priority, run_at, id',
      )
    ).rows;
  await superuser.query('update graphile_worker._private_jobs set priority = priority + 32000');
  const before = await order();
  await superuser.query(
    "insert into app_private.workers (id, host, version) values ('one', '', '')",
  );
  await superuser.query("select app_private.sweep('one', '10 s')");
  expect(await order()).toEqual(before);
  const { rows } = await superuser.query(
    'select min(priority), max(priority) from graphile_worker._private_jobs',
  );
  expect(rows).toEqual([{ min: 0, max: 4 }]);
});
