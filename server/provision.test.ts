import { describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import type { Claims } from '../db/claims.ts';
import { makeProvision } from './provision.ts';

const claims: Claims = {
  userId: 'user_ann',
  sessionId: null,
  orgId: 'org_acme',
  isPersonal: false,
  orgRole: 'member',
  orgSlug: 'acme',
  permissions: [],
  email: null,
  name: null,
  actorId: null,
  expiresAtMs: 0,
};

/** A pool that answers when it is told to, and knows what it was asked. */
function fakePool() {
  const asked: unknown[][] = [];
  let answer: () => Promise<unknown> = async () => ({ rows: [] });
  const pool = {
    query(_sql: string, values: unknown[]) {
      asked.push(values);
      return answer();
    },
  } as unknown as Pool;
  return { pool, asked, answerWith: (next: typeof answer) => (answer = next) };
}

describe('provisioning', () => {
  test('asks once while a token says nothing new, also for requests that come at once', async () => {
    const { pool, asked } = fakePool();
    const provision = makeProvision(pool);
    await Promise.all([provision(claims), provision({ ...claims }), provision(claims)]);
    await provision({ ...claims, sessionId: 'sess_2', expiresAtMs: 7 });
    expect(asked).toEqual([['user_ann', null, null, 'org_acme', 'acme', 'member']]);
  });

  test.each([
    ['another user', { userId: 'user_bob' }],
    ['another organization', { orgId: 'org_globex' }],
    ['another role', { orgRole: 'admin' }],
    ['a name', { name: 'Ann' }],
    ['an address', { email: 'ann@example.com' }],
    ['another short name', { orgSlug: 'acme-2' }],
  ])('asks again for %s', async (_, news) => {
    const { pool, asked } = fakePool();
    const provision = makeProvision(pool);
    await provision(claims);
    await provision({ ...claims, ...news });
    expect(asked).toHaveLength(2);
  });

  test('asks again after five minutes, in case a row was lost', async () => {
    const { pool, asked } = fakePool();
    let nowMs = 0;
    const provision = makeProvision(pool, () => nowMs);
    await provision(claims);
    nowMs = 299_999;
    await provision(claims);
    expect(asked).toHaveLength(1);
    nowMs = 300_000;
    await provision(claims);
    expect(asked).toHaveLength(2);
  });

  test('tells a failure to all who wait for it, and tries again for the next', async () => {
    const { pool, asked, answerWith } = fakePool();
    const provision = makeProvision(pool);
    answerWith(async () => {
      throw new Error('gone');
    });
    const both = await Promise.allSettled([provision(claims), provision(claims)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    answerWith(async () => ({ rows: [] }));
    await provision(claims);
    expect(asked).toHaveLength(2);
  });

  test('says in the personal space that there is no role', async () => {
    const { pool, asked } = fakePool();
    await makeProvision(pool)({ ...claims, orgId: 'user_ann', orgRole: '', orgSlug: null });
    expect(asked).toEqual([['user_ann', null, null, 'user_ann', null, null]]);
  });

  test('forgets the oldest of very many', async () => {
    const { pool, asked } = fakePool();
    const provision = makeProvision(pool);
    for (let i = 0; i <= 10_000; i++) await provision({ ...claims, userId: `user_${i}` });
    await provision({ ...claims, userId: 'user_10000' });
    expect(asked).toHaveLength(10_001);
    await provision({ ...claims, userId: 'user_0' });
    expect(asked).toHaveLength(10_002);
  });
});
