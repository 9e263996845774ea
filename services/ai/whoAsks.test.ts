import { expect, test } from '@jest/globals';
import { makeWhoAsks } from './whoAsks.ts';

test('the service is told organizations by their id, and people and their personal spaces by a pseudonym', () => {
  const whoAsks = makeWhoAsks('k'.repeat(32));
  expect(whoAsks('org_acme', 'user_alice')).toEqual({
    orgId: 'org_acme',
    userId: expect.stringMatching(/^[0-9a-f]{16}$/),
  });
  expect(whoAsks('user_alice', 'user_alice').orgId).toMatch(/^personal-[0-9a-f]{16}$/);
});

test('processes say the same, also without a key of their own', () => {
  for (const key of [undefined, 'k'.repeat(32)]) {
    expect(makeWhoAsks(key)('user_alice', 'user_alice')).toEqual(
      makeWhoAsks(key)('user_alice', 'user_alice'),
    );
  }
  expect(makeWhoAsks()('user_alice', '')).not.toEqual(
    makeWhoAsks('k'.repeat(32))('user_alice', ''),
  );
});
