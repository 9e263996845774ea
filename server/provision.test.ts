import { describe, expect, test } from '@jest/globals';
import type { Claims } from '../db/claims.ts';
import type { Login } from '../db/scope/asLogin.ts';
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
  firstFactorAtMs: null,
  secondFactorAtMs: null,
  expiresAtMs: 0,
};

/** A login that answers when it is told to, and knows what it was asked. */
function fakeLogin() {
  const asked: unknown[][] = [];
  let answer: () => Promise<unknown> = async () => ({ rows: [] });
  const login = {
    query(_sql: string, values: unknown[]) {
      asked.push(values);
      return answer();
    },
  } as unknown as Login;
  return { login, asked, answerWith: (next: typeof answer) => (answer = next) };
}

describe('provisioning', () => {
  test('asks once while a token says nothing new, also for requests that come at once', async () => {
    const { login, asked } = fakeLogin();
    const provision = makeProvision(login);
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
    const { login, asked } = fakeLogin();
    const provision = makeProvision(login);
    await provision(claims);
    await provision({ ...claims, ...news });
    expect(asked).toHaveLength(2);
  });

  test('asks again after five minutes, in case a row was lost', async () => {
    const { login, asked } = fakeLogin();
    let nowMs = 0;
    const provision = makeProvision(login, () => nowMs);
    await provision(claims);
    nowMs = 299_999;
    await provision(claims);
    expect(asked).toHaveLength(1);
    nowMs = 300_000;
    await provision(claims);
    expect(asked).toHaveLength(2);
  });

  test('tells a failure to all who wait for it, and tries again for the next', async () => {
    const { login, asked, answerWith } = fakeLogin();
    const provision = makeProvision(login);
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
    const { login, asked } = fakeLogin();
    await makeProvision(login)({ ...claims, orgId: 'user_ann', orgRole: '', orgSlug: null });
    expect(asked).toEqual([['user_ann', null, null, 'user_ann', null, null]]);
  });

  test('forgets the oldest of very many', async () => {
    const { login, asked } = fakeLogin();
    const provision = makeProvision(login);
    for (let i = 0; i <= 10_000; i++) await provision({ ...claims, userId: `user_${i}` });
    await provision({ ...claims, userId: 'user_10000' });
    expect(asked).toHaveLength(10_001);
    await provision({ ...claims, userId: 'user_0' });
    expect(asked).toHaveLength(10_002);
  });
});
