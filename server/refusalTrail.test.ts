import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { asLogin } from '../db/scope/asLogin.ts';
import { openTestDatabase, type TestDatabase } from '../test/support/database.ts';
import { makeRefusalTrail, type Refusal } from './refusalTrail.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

let failures: unknown[];
let nowMs: number;
beforeEach(() => {
  failures = [];
  nowMs = 0;
});

const open = () =>
  makeRefusalTrail(
    asLogin(database.api),
    (error) => failures.push(error),
    () => nowMs,
  );

const refusalOf = (userId: string, more: Partial<Refusal> = {}): Refusal => ({
  caller: { userId, orgId: 'org_acme', actorId: null },
  operation: 'updateDocument',
  row: { table: 'documents', rowId: 'x' },
  code: 'NOT_FOUND',
  requestId: 'request',
  traceId: '',
  ...more,
});

const eventsOf = async (userId: string) =>
  (
    await database.superuser.query(
      'select * from app_public.audit_events where actor_id = $1 order by id',
      [userId],
    )
  ).rows;

test('a refusal is an event with what was asked', async () => {
  const trail = open();
  const caller = { userId: 'user_a', orgId: 'org_acme', actorId: 'user_support' };
  trail.record(refusalOf('user_a', { caller, traceId: 'a'.repeat(32) }));
  trail.record(refusalOf('user_a', { row: null, code: 'FORBIDDEN', operation: 'o'.repeat(500) }));
  await trail.flush();
  expect(await eventsOf('user_a')).toMatchObject([
    {
      org_id: 'org_acme',
      action: 'REFUSED',
      source: 'REQUEST',
      impersonator_id: 'user_support',
      operation: 'updateDocument',
      table_name: 'documents',
      row_id: 'x',
      error_code: 'NOT_FOUND',
      request_id: 'request',
      trace_id: 'a'.repeat(32),
      new_values: null,
    },
    { operation: 'o'.repeat(100), table_name: null, row_id: null, trace_id: null },
  ]);
});

test('of a flood some are written, the rest are counted in the next, and others are not kept from theirs', async () => {
  const trail = open();
  for (let n = 0; n < 5_000; n++) trail.record(refusalOf('user_flood'));
  trail.record(refusalOf('user_quiet'));
  await trail.flush();
  expect(await eventsOf('user_flood')).toHaveLength(20);
  expect(await eventsOf('user_quiet')).toHaveLength(1);
  nowMs += 5_000;
  trail.record(refusalOf('user_flood'));
  trail.record(refusalOf('user_flood'));
  await trail.flush();
  expect((await eventsOf('user_flood')).at(-1)).toMatchObject({ new_values: { left_out: 4_980 } });
  expect(await eventsOf('user_flood')).toHaveLength(21);
});

test('one that cannot be written is told, and the next is written', async () => {
  const trail = open();
  const broken = refusalOf('user_b', { requestId: 'a\0b' });
  trail.record(broken);
  trail.record(refusalOf('user_b'));
  await trail.flush();
  expect(failures).toMatchObject([{ code: '22021' }]);
  expect(await eventsOf('user_b')).toHaveLength(1);
});
