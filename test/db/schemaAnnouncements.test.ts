import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import { openPool } from '../../db/pool.ts';
import {
  makeSchemaAnnouncements,
  type SchemaAnnouncements,
} from '../../server/schemaAnnouncements.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let pool: Pool;
let announcements: SchemaAnnouncements;

beforeAll(async () => {
  database = await openTestDatabase();
});
beforeEach(() => {
  pool = openPool({
    connectionString: database.apiUrl,
    size: 2,
    applicationName: 'test-announcements',
    onConnectionError: () => {},
  });
  announcements = makeSchemaAnnouncements(pool);
});
afterEach(async () => {
  announcements.release();
  // Waits for the connection that listened.
  await pool.end();
});
afterAll(() => database.close());

test('what is announced is heard, also after the connection broke', async () => {
  const heard = announcements.subscribe('news');
  for (const which of ['first', 'second']) {
    const next = heard.next();
    await untilListening();
    await database.superuser.query("select pg_notify('news', $1)", [which]);
    expect(await next).toEqual({ done: false, value: which });
    const again = heard.next();
    await endListener();
    // Whatever was announced meanwhile.
    expect(await again).toEqual({ done: false, value: '' });
  }
  await heard.return(undefined);
});

test('what was to be heard ends with the release, and can be heard anew', async () => {
  const heard = announcements.subscribe('news');
  const next = heard.next();
  await untilListening();
  announcements.release();
  expect(await next).toEqual({ done: true, value: undefined });
  const more = announcements.subscribe('news');
  const another = more.next();
  await untilListening();
  await database.superuser.query("select pg_notify('news', 'more')");
  expect(await another).toEqual({ done: false, value: 'more' });
  await more.return(undefined);
});

/** After `listen` they look whether there is a schema. */
const listeners = `select pid from pg_stat_activity
  where datname = current_database() and application_name = 'test-announcements'
    and state = 'idle' and query like '%migration_level%'`;

async function untilListening(): Promise<void> {
  await until('somebody to listen', async () => {
    const { rowCount } = await database.superuser.query(listeners);
    return rowCount === 1;
  });
}

async function endListener(): Promise<void> {
  await untilListening();
  await database.superuser.query(`select pg_terminate_backend(pid, 5000) from (${listeners}) as l`);
}
