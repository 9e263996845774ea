import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { stateOf } from './requestState.ts';

function requestWith(headers: IncomingMessage['headers']): IncomingMessage {
  return Object.assign(new IncomingMessage(new Socket()), { headers });
}

const uuid = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/;

test('a request has one state, and another request another', () => {
  const [one, two] = [requestWith({}), requestWith({})];
  expect(stateOf(one)).toBe(stateOf(one));
  expect(stateOf(one)).not.toBe(stateOf(two));
  expect(stateOf(one).requestId).toMatch(uuid);
  expect(stateOf(one).requestId).not.toBe(stateOf(two).requestId);
});

test('nothing is known of a request at first', () => {
  expect(stateOf(requestWith({}))).toMatchObject({
    route: 'other',
    claims: null,
    operationName: null,
    operationType: null,
    errorCode: null,
    isUnavailable: false,
    mayBeDone: false,
  });
});

test.each(['a', 'A1_b.c:d-e', '0'.repeat(128)])('the id %s is taken over', (id) => {
  expect(stateOf(requestWith({ 'x-request-id': id })).requestId).toBe(id);
});

test.each(['', ' ', 'a b', 'a\nb', 'a\n', 'é', 'a,b', '0'.repeat(129), '<b>', '"'])(
  'the id %j is not',
  (id) => {
    expect(stateOf(requestWith({ 'x-request-id': id })).requestId).toMatch(uuid);
  },
);

const traceId = '0af7651916cd43dd8448eb211c80319c';

test.each([`00-${traceId}-b7ad6b7169203331-01`, `cc-${traceId}-b7ad6b7169203331-00-more`])(
  'the trace of %s is known',
  (traceparent) => {
    expect(stateOf(requestWith({ traceparent })).traceId).toBe(traceId);
  },
);

test.each([
  undefined,
  '',
  traceId,
  `ff-${traceId}-b7ad6b7169203331-01`,
  `00-${traceId.toUpperCase()}-b7ad6b7169203331-01`,
  `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId}-b7ad6b7169203331-01x`,
  `00-${traceId}'-b7ad6b7169203331-01`,
])('%s names none, and one begins', (traceparent) => {
  const begun = stateOf(requestWith({ traceparent })).traceId;
  expect(begun).toMatch(/^[0-9a-f]{32}$/);
  expect(begun).not.toBe(traceId);
});
