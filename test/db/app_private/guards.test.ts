import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Client } from 'pg';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, over, takeJob, workerId } from '../attempts.ts';
import { connected, provisionAll } from '../callers.ts';

/** Guards that other guards stand behind, each by itself: where one is gone, the next would hide it. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

/** As the owner of the functions would run, under a worker's name. */
const asOwnerFor = <Result>(id: string, work: (client: Client) => Promise<Result>) =>
  connected(database.ownerUrl, async (client) => {
    await client.query("select set_config('app.worker_id', $1, false)", [id]);
    return work(client);
  });

describe.each(['enter_attempt', 'enter_organization'])('%s', (enter) => {
  test('is for whoever holds the attempt, and for this attempt', async () => {
    const attempt = await takeJob(database, await addJob(database, 'documents__index'));
    const call = (asked: string, id = workerId) =>
      asOwnerFor(id, (client) => client.query(`select app_private.${enter}($1)`, [asked]));
    await expect(call(attempt)).resolves.toBeDefined();
    await expect(call(attempt, 'another-worker')).rejects.toMatchObject(over);
    await expect(call(attempt, '')).rejects.toMatchObject(over);
    const [id, revision, number] = attempt.slice(1, -1).split(',').map(Number);
    for (const other of [
      `(${Number(id) + 1},${revision},${number})`,
      `(${id},${Number(revision) + 1},${number})`,
      `(${id},${revision},${Number(number) + 1})`,
    ]) {
      await expect(call(other)).rejects.toMatchObject(over);
    }
  });
});

test('a worker that ends takes along its own row', async () => {
  await asWorker(database, async (client) => {
    for (const id of ['first', 'second']) {
      await client.query("select app_private.register_worker($1, 'host', '1')", [id]);
    }
    await client.query("select app_private.end_worker('first')");
  });
  const { rows } = await database.superuser.query('select id from app_private.workers');
  expect(rows).toEqual([{ id: 'second' }]);
});

test('a job needs an organization', async () => {
  await expect(
    asOwnerFor('', (client) =>
      client.query("select app_private.enqueue('documents__index', uuidv7())"),
    ),
  ).rejects.toMatchObject({ code: 'RW403' });
});

test('nobody becomes a member of the personal space of another', async () => {
  await database.provision({ userId: 'user_alice', orgId: 'user_alice' });
  await expect(
    database.provision({ userId: 'user_eve', orgId: 'user_alice' }),
  ).rejects.toMatchObject({ code: 'RW403' });
  const { rows } = await database.superuser.query(
    "select user_id from app_public.memberships where org_id = 'user_alice'",
  );
  expect(rows).toEqual([{ user_id: 'user_alice' }]);
});
