import { expect, test } from '@jest/globals';
import { faultOfSignature, signWebhook } from './webhookSignature.ts';

/** The example that the specification of Standard Webhooks publishes. */
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const timestamp = '1614265330';
const body = Buffer.from('{"test": 2432232314}');
const signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
const sentMs = Number(timestamp) * 1000;

test('signs as the specification does', () => {
  expect(signWebhook(secret, id, timestamp, body)).toBe(signature);
  expect(faultOfSignature(secret, { id, timestamp, signature }, body, sentMs)).toBeUndefined();
});

test.each([
  [0, undefined],
  [300_000, undefined],
  [300_001, 'timestamp'],
  [-300_000, undefined],
  [-300_001, 'timestamp'],
])('a signature that is %d ms old: %s', (ageMs, fault) => {
  const headers = { id, timestamp, signature };
  expect(faultOfSignature(secret, headers, body, sentMs + ageMs)).toBe(fault);
});

test.each([
  ['another version', signature.replace('v1', 'v1a')],
  ['a part of it', signature.slice(0, -4)],
  ['more than it', `${signature}A`],
  ['in another case', signature.toLowerCase()],
  ['nothing', 'v1,'],
  ['what is longer in bytes than in characters', 'é'.repeat(signature.length)],
])('%s is no signature', (_, given) => {
  const headers = { id, timestamp, signature: given };
  expect(faultOfSignature(secret, headers, body, sentMs)).toBe('signature');
});
