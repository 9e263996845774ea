import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import type { PgClient, WithPgClient } from 'postgraphile/@dataplan/pg';
import type { GraphQLError } from 'postgraphile/graphql';
import { addGoldenRows } from '../../graphql/rows.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { makeOperations, type RunOperation } from '../../support/operations.ts';
import { makeRecordingPool, type RecordingPool } from '../../support/recordingPool.ts';
import { signingOnly } from '../../support/signingOnly.ts';
import { openTcpProxy, type TcpProxy } from '../../support/tcpProxy.ts';
import { adaptors, openTestPool, query, reading, writing } from './playground.ts';

/**
 * How often the network is crossed and back. It takes a while, so what travels
 * together is together: round trips are counted, and no clock is asked.
 */

const goldenFolder = join(import.meta.dirname, '../../graphql');
const goldenCases = globSync('*/*.graphql', { cwd: goldenFolder }).sort();

let database: TestDatabase;
let proxy: TcpProxy;
let pool: Pool;
let recording: RecordingPool;
let run: RunOperation;

beforeAll(async () => {
  database = await openTestDatabase();
  await addGoldenRows(database);
  proxy = await openTcpProxy(database.apiUrl);
  pool = openTestPool({ apiUrl: proxy.url });
  recording = makeRecordingPool(pool);
  run = await makeOperations(recording.pool, { uploads: signingOnly });
  proxy.delayMs = 5;
});
afterAll(async () => {
  await pool.end();
  await proxy.close();
  await database.close();
});

/** Round trips of some work, and what it came to. */
async function counted<Result>(work: () => Promise<Result>) {
  proxy.takeRoundTrips();
  recording.take();
  const result = await work();
  // Until the connection is free again.
  (await pool.connect()).release();
  return { result, roundTrips: proxy.takeRoundTrips(), statements: recording.take().length };
}

describe('an operation of the API makes one round trip for each of its statements', () => {
  test.each(goldenCases)('%s', async (file) => {
    const source = readFileSync(join(goldenFolder, file), 'utf8');
    const header = (name: string) => source.match(new RegExp(`^# ${name}: (.*)$`, 'm'))?.[1];
    const caller = JSON.parse(header('caller') ?? '');
    const variables = JSON.parse(header('variables') ?? '{}');
    const { result, roundTrips, statements } = await counted(() => run(caller, source, variables));
    // A connection on which something failed has to show that it is clean: one more.
    const isRefused = statements > 0 && (result.errors ?? []).some(isOfDatabase);
    expect(roundTrips).toBe(statements + (isRefused ? 1 : 0));
  });

  test('one of them for “me”, for a page with owners and their documents, and for a new document', async () => {
    const caller = { userId: 'user_alice', orgId: 'org_acme' };
    for (const source of [
      '{ me { name } }',
      '{ documents(first: 20) { edges { node { title owner { name documents(first: 3) { edges { node { title } } } } } } } }',
      'mutation { createDocument(input: {document: {title: "New"}}) { document { id title } } }',
    ]) {
      const { result, roundTrips } = await counted(() => run(caller, source));
      expect(result.errors).toBeUndefined();
      expect(roundTrips).toBe(1);
    }
  });
});

/** Of a root field, and not what is said of a row that is not there. */
function isOfDatabase({ path, extensions }: Pick<GraphQLError, 'path' | 'extensions'>): boolean {
  return path?.length === 1 && extensions.code !== 'NOT_FOUND';
}

describe.each([
  ['the stock adaptor', { statement: 4, transaction: 7, nested: 9, failure: 4 }],
  // With the proof that the connection is clean.
  ['the scope', { statement: 1, transaction: 3, nested: 5, failure: 2 }],
])('with %s', (name, expected) => {
  let withPgClient: WithPgClient;
  beforeAll(async () => {
    const make = adaptors.find(([known]) => known === name)?.[1];
    if (!make) throw new Error(`No adaptor ${name}.`);
    withPgClient = make(pool);
    await query(withPgClient, writing, 'select 1');
  });
  const inTransaction = (work: (client: PgClient) => Promise<unknown>) => () =>
    withPgClient(writing, (client) => client.withTransaction(work));

  test(`a statement makes ${expected.statement}`, async () => {
    for (const settings of [reading, writing]) {
      const named = { text: 'select $1::int', values: [1], name: 'one' };
      for (const statement of [named, named, { text: 'select 1' }]) {
        const { roundTrips } = await counted(() =>
          withPgClient(settings, (client) => client.query(statement)),
        );
        expect(roundTrips).toBe(expected.statement);
      }
    }
  });

  test(`a transaction of two statements makes ${expected.transaction}`, async () => {
    const { roundTrips } = await counted(
      inTransaction(async (client) => {
        await client.query({ text: 'select 1' });
        await client.query({ text: 'select 2' });
      }),
    );
    expect(roundTrips).toBe(expected.transaction);
  });

  test(`a statement in a nested transaction makes ${expected.nested}`, async () => {
    const { roundTrips } = await counted(
      inTransaction(async (client) => {
        await client.query({ text: 'select 1' });
        await client.withTransaction((nested) => nested.query({ text: 'select 2' }));
      }),
    );
    expect(roundTrips).toBe(expected.nested);
  });

  test(`a statement that fails makes ${expected.failure}`, async () => {
    const { roundTrips } = await counted(() =>
      query(withPgClient, writing, 'select 1 / 0').catch(() => {}),
    );
    expect(roundTrips).toBe(expected.failure);
  });

  test('a transaction with nothing in it makes as few as it can', async () => {
    const { roundTrips } = await counted(inTransaction(async () => {}));
    expect(roundTrips).toBe(name === 'the scope' ? 0 : 5);
  });
});
