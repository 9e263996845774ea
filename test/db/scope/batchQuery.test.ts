import { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { DatabaseError } from 'pg';
import { BatchQuery, type Connection } from '../../../db/scope/BatchQuery.ts';

/** A connection that notes what it is sent, and says what it is told to. */
function makeConnection() {
  const sent: string[] = [];
  const note = (what: string) => () => void sent.push(what);
  const emitter = new EventEmitter();
  const connection = Object.assign(emitter, {
    parsedStatements: {} as Record<string, string | undefined>,
    stream: { cork: note('cork'), uncork: note('uncork') },
    parse: ({ name }: { name: string }) => void sent.push(`parse ${name}`),
    bind: ({ statement }: { statement: string }) => void sent.push(`bind ${statement}`),
    describe: note('describe'),
    execute: note('execute'),
    close: ({ name }: { name: string }) => void sent.push(`close ${name}`),
    sync: note('sync'),
    sendCopyFail: note('copyFail'),
  });
  return { sent, connection: connection as unknown as Connection, emitter };
}

const statements = [
  { text: 'first', name: 'one' },
  { text: 'second', name: 'two' },
];
const fields = [{ name: 'n', dataTypeID: 25, format: 'text' }] as never;
const serverError = (code: string | undefined) =>
  Object.assign(new DatabaseError('refused', 1, 'error'), { code });

test('a batch is written at once, with one Sync, and what is prepared is not parsed', () => {
  const { sent, connection } = makeConnection();
  connection.parsedStatements = { one: 'first', old: 'gone' };
  const query = new BatchQuery(statements);
  query.forget = ['old'];
  query.submit(connection);
  expect(sent).toEqual([
    'cork',
    'close old',
    'bind one',
    'execute',
    'parse two',
    'bind two',
    'describe',
    'execute',
    'sync',
    'uncork',
  ]);
  expect(connection.parsedStatements).toEqual({ one: 'first' });
});

test('its name follows the statement under way, so that each is remembered as its own', () => {
  const query = new BatchQuery(statements);
  expect([query.name, query.text]).toEqual(['one', 'first']);
  query.handleCommandComplete({ text: 'SELECT 1' });
  expect([query.name, query.text]).toEqual(['two', 'second']);
});

test('the result is that of the last statement', async () => {
  const query = new BatchQuery(statements);
  query.handleDataRow({ fields: ['of the first'] });
  query.handleCommandComplete({ text: 'SELECT 1' });
  query.handleRowDescription({ fields });
  query.handleDataRow({ fields: ['of the second'] });
  query.handleCommandComplete({ text: 'SELECT 1' });
  query.handleReadyForQuery();
  expect(await query.result).toEqual({
    rows: [{ n: 'of the second' }],
    rowCount: 1,
    command: 'SELECT',
  });
  expect(query.isLost).toBe(false);
});

describe('the connection is lost', () => {
  test('when the server is ready before it has answered', async () => {
    const query = new BatchQuery(statements);
    query.handleCommandComplete({ text: 'SELECT 1' });
    query.handleRowDescription({ fields });
    query.handleDataRow({ fields: ['half of it'] });
    query.handleReadyForQuery();
    await expect(query.result).rejects.toThrow('lost step');
    expect(query.isLost).toBe(true);
  });

  test('when the error is not the server’s', async () => {
    const { connection } = makeConnection();
    const query = new BatchQuery(statements);
    query.handleError(new Error('socket hang up'), connection);
    await expect(query.result).rejects.toThrow('socket hang up');
    expect(query.isLost).toBe(true);
  });

  test('when what looks like an error of the server’s has no SQLSTATE', async () => {
    const { connection } = makeConnection();
    const query = new BatchQuery(statements);
    query.handleError(serverError(undefined), connection);
    await expect(query.result).rejects.toThrow('refused');
    expect(query.isLost).toBe(true);
  });

  test('when the server hangs up after its error', async () => {
    const { connection, emitter } = makeConnection();
    const query = new BatchQuery(statements);
    query.handleError(serverError('57P01'), connection);
    emitter.emit('end');
    await expect(query.result).rejects.toMatchObject({ code: '57P01' });
    expect(query.isLost).toBe(true);
  });

  test('when the clock runs out', async () => {
    const query = new BatchQuery(statements);
    query.callback(new Error('Query read timeout'));
    await expect(query.result).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(query.isLost).toBe(true);
  });
});

test('the connection is not lost when the server is ready again after its error', async () => {
  const { connection, emitter } = makeConnection();
  const query = new BatchQuery(statements);
  query.handleError(serverError('22012'), connection);
  emitter.emit('readyForQuery');
  await expect(query.result).rejects.toMatchObject({ code: '22012' });
  expect(query.isLost).toBe(false);
  expect(emitter.listenerCount('end')).toBe(0);
});

test.each([
  ['an answer', (query: BatchQuery) => query.handleReadyForQuery()],
  [
    'an error',
    (query: BatchQuery) => query.handleError(new Error('x'), makeConnection().connection),
  ],
])('%s stops the clock, once', async (_, settle) => {
  const query = new BatchQuery([{ text: 'only' }]);
  let stops = 0;
  const { callback } = query;
  // As node-postgres wraps it.
  query.callback = (error) => {
    stops += 1;
    callback(error);
  };
  query.handleRowDescription({ fields });
  query.handleCommandComplete({ text: 'SELECT 0' });
  settle(query);
  settle(query);
  await query.result.catch(() => {});
  expect(stops).toBe(1);
});
