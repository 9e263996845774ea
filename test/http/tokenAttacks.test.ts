import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type JwksServer, openJwksServer } from '../jwksServer.ts';
import { makeTestKey, type TestKey } from '../signingKey.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Received, sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';
import { attackedIssuer, attackedKeyId, goodToken, makeTokenAttacks } from '../tokenAttacks.ts';

/** All that may be tried with a token, over HTTP, on an API that has its keys from a real server. */

let database: TestDatabase;
let api: TestApi;
let server: JwksServer;
let ours: TestKey;
let theirs: TestKey;

beforeAll(async () => {
  [ours, theirs] = await Promise.all([makeTestKey(attackedKeyId), makeTestKey(attackedKeyId)]);
  [database, server] = await Promise.all([openTestDatabase(), openJwksServer(ours.publicJwk)]);
  api = await startApi(database, { CLERK_ISSUER: attackedIssuer, CLERK_JWKS_URL: server.url });
  // So that the keys are there.
  expect((await ask(`Bearer ${good()}`)).status).toBe(200);
});
afterAll(async () => {
  await Promise.all([api.close(), server.close()]);
  await database.close();
});

const now = () => Math.floor(Date.now() / 1000);
const good = (changes = {}) => goodToken({ now: now(), ours }, changes);
const ask = (authorization: string | undefined) =>
  sendGraphql(
    api.url,
    null,
    { query: '{ viewer { role permissions impersonatorId user { name } } }' },
    { headers: authorization === undefined ? {} : { authorization } },
  );

/** Headers of more than 16 KB, which HTTP itself refuses. */
const tooLong = ['a megabyte', 'a key id of 64 kilobytes'];
/** Spaces and line ends around a header are no part of it. */
const ofHttp = ['a line end at the end', 'a space at the end', ...tooLong];
const attacks = makeTokenAttacks(() => ({ ours, theirs, now: now(), jwksUrl: server.url }));

test('every attack is refused with the same bytes, and costs no connection to the issuer', async () => {
  const before = server.requestCount();
  const refusal = comparable(await ask(undefined));
  expect(refusal.status).toBe(401);
  const sent = attacks.filter(([attack]) => !ofHttp.includes(attack));
  expect(sent.length).toBeGreaterThan(110);
  const reasons: string[] = ['missing'];
  for (const [attack, reason, authorization] of sent) {
    await until('a second that is young', () => Date.now() % 1000 < 800);
    const answer = { attack, ...comparable(await ask(authorization())) };
    expect(answer).toEqual({ attack, ...refusal });
    reasons.push(reason);
  }
  const causes = () =>
    api.logs.filter(({ msg }) => msg === 'request refused').map(({ cause }) => cause);
  await until('all causes in the log', () => causes().length >= reasons.length);
  expect(causes()).toEqual(reasons);
  // The unknown key ids among them may have one download in 30 s between them.
  expect(server.requestCount() - before).toBeLessThanOrEqual(1);
});

test('a token over the limit of all headers together is refused by HTTP, before anything else', async () => {
  const before = server.requestCount();
  const headers = attacks
    .filter(([attack]) => tooLong.includes(attack))
    .map(([, , authorization]) => authorization());
  for (const authorization of [...headers, `Bearer ${'a'.repeat(20_000)}`]) {
    // Of a megabyte the connection may be closed while it is still being sent.
    const outcome = await ask(authorization).then(
      ({ status }) => status,
      ({ code }: NodeJS.ErrnoException) => code,
    );
    expect([431, 'ECONNRESET', 'EPIPE']).toContain(outcome);
  }
  expect(server.requestCount()).toBe(before);
});

describe('a valid token is accepted', () => {
  const v1 = { v: undefined, o: undefined };
  const organization = { id: 'org_1', rol: 'admin', slg: 'one' };
  const big = 2n ** 60n;
  const accepted: [shape: string, changes: object, viewer: object][] = [
    ['of version 2', {}, { role: 'member', permissions: [] }],
    [
      'of version 2 with permissions',
      { fea: 'o:docs,u:beta,o:audit', o: { ...organization, per: 'manage,read', fpm: '3,2' } },
      { role: 'admin', permissions: ['org:docs:manage', 'org:docs:read', 'org:audit:read'] },
    ],
    [
      'of version 2 with a mask of more than 53 bits',
      {
        fea: 'o:docs',
        o: {
          ...organization,
          per: Array.from({ length: 61 }, (_, i) => `p${i}`).join(','),
          fpm: `${big + 1n}`,
        },
      },
      { role: 'admin', permissions: ['org:docs:p0', 'org:docs:p60'] },
    ],
    ['of version 2 without an organization', { o: undefined }, { role: null, permissions: [] }],
    [
      'of version 1',
      { ...v1, org_id: 'org_1', org_role: 'org:editor', org_permissions: ['org:docs:read'] },
      { role: 'editor', permissions: ['org:docs:read'] },
    ],
    [
      'of version 1 with a role without prefix',
      { ...v1, org_id: 'org_1', org_role: 'editor' },
      { role: 'editor', permissions: [] },
    ],
    ['of version 1 without an organization', v1, { role: null, permissions: [] }],
    [
      'of somebody who is impersonated',
      { act: { iss: 'x', sid: 's', sub: 'user_support' } },
      { role: 'member', permissions: [], impersonatorId: 'user_support' },
    ],
    ['with an audience that nobody asked for', { aud: 'x' }, { role: 'member', permissions: [] }],
  ];

  test.each(accepted)('%s', async (_, changes, viewer) => {
    expect(await viewerOf(good(changes))).toEqual({
      impersonatorId: null,
      ...viewer,
      user: { name: null },
    });
  });

  // Of the five that may be: a request may take long here.
  test('two seconds after its end', async () => {
    expect(await viewerOf(good({ exp: now() - 2 }))).toMatchObject({ role: 'member' });
  });

  async function viewerOf(accepted: string): Promise<unknown> {
    const { text } = await ask(`Bearer ${accepted}`);
    return JSON.parse(text).data?.viewer ?? text;
  }

  test.each(['bearer', 'BEARER'])('under the scheme %s', async (scheme) => {
    expect((await ask(`${scheme} ${good()}`)).status).toBe(200);
  });

  test('with the public key in the settings, without any network', async () => {
    const requests = server.requestCount();
    const offline = await startApi(database, {
      CLERK_ISSUER: attackedIssuer,
      CLERK_JWKS_URL: server.url,
      CLERK_JWT_KEY: ours.publicPem.replaceAll('\n', '\\n'),
    });
    try {
      const query = { query: '{ me { id } }' };
      expect((await sendGraphql(offline.url, good(), query)).status).toBe(200);
      const strange = goodToken({ now: now(), ours: theirs });
      expect((await sendGraphql(offline.url, strange, query)).status).toBe(401);
    } finally {
      await offline.close();
    }
    expect(server.requestCount()).toBe(requests);
  });
});

describe('the organization that a client expects', () => {
  const query = { query: '{ viewer { role } }' };
  const expecting = (header: string, changes = {}) =>
    sendGraphql(api.url, good(changes), query, { headers: { 'x-expected-org': header } });

  test('is let through where the token is for it', async () => {
    expect((await expecting('org_1')).status).toBe(200);
    expect((await expecting('user_ann', { o: undefined })).status).toBe(200);
  });

  test.each([
    ['another', 'org_2', {}],
    ['none', '', {}],
    ['two', 'org_1, org_1', {}],
    ['an organization, from the personal space', 'org_1', { o: undefined }],
  ])('is a conflict where it is %s', async (_, header, changes) => {
    const { status, text } = await expecting(header, changes);
    expect({ status, ...JSON.parse(text) }).toEqual({
      status: 409,
      errors: [
        {
          message: 'The token is for another organization than `X-Expected-Org`.',
          extensions: { code: 'CONFLICT', requestId: expect.any(String) },
        },
      ],
    });
  });
});

// Last: it ends the issuer.
describe('the issuer', () => {
  const fresh = () => ask(`Bearer ${good({ jti: String(Math.random()) })}`);
  const unknown = () => ask(attacks.find(([attack]) => attack === 'an unknown key id')?.[2]());

  test('is asked at most once in 30 s, whatever a flood of unknown key ids asks for', async () => {
    const before = server.requestCount();
    const flood = await Promise.all(Array.from({ length: 200 }, unknown));
    expect(new Set(flood.map(({ status }) => status))).toEqual(new Set([401]));
    expect(server.requestCount() - before).toBeLessThanOrEqual(1);
    expect((await fresh()).status).toBe(200);
  });

  test('leaves readiness green when it is gone, with the downloads counted', async () => {
    await server.close();
    expect((await fresh()).status).toBe(200);
    expect((await fetch(`${api.url}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`${api.url}/metrics`)).text();
    expect(metrics).toMatch(/^rowhouse_keys_downloads_total\{outcome="ok"\} 1$/m);
    expect(metrics).toMatch(/^rowhouse_keys_loaded \d{10}$/m);
    server = await openJwksServer();
  });
});

/** All of an answer but what tells one request from another. */
function comparable({ status, headers, text }: Received) {
  const { 'x-request-id': requestId, date, ...same } = headers;
  expect([requestId, date]).toEqual([expect.any(String), expect.any(String)]);
  return { status, headers: same, text };
}
