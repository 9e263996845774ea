import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type JwksServer, openJwksServer } from '../jwksServer.ts';
import { makeTestKey, type TestKey } from '../signingKey.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';
import { attackedIssuer, attackedKeyId, goodToken } from '../tokenAttacks.ts';

/** An issuer that rotates its keys, is flooded and breaks, in the real time of a real API. */

let database: TestDatabase;
let server: JwksServer;
let api: TestApi;
let known: TestKey;

beforeAll(async () => {
  known = await makeTestKey(attackedKeyId);
  [database, server] = await Promise.all([openTestDatabase(), openJwksServer(known.publicJwk)]);
  api = await startApi(database, { CLERK_ISSUER: attackedIssuer, CLERK_JWKS_URL: server.url });
});
afterAll(async () => {
  await Promise.all([api.close(), server.close()]);
  await database.close();
});

/** How long two downloads are apart, and some time for the slow. */
const withinMs = 40_000;

const tokenOf = (ours: TestKey) =>
  goodToken(
    { now: Math.floor(Date.now() / 1000), ours },
    { jti: String(Math.random()) },
    ours.keyId,
  );
const status = async (ours: TestKey) =>
  (await sendGraphql(api.url, tokenOf(ours), { query: '{ me { id } }' })).status;

test('a new key is accepted within 30 s, under a flood of unknown ones, which cost one download in 30 s', async () => {
  expect(await status(known)).toBe(200);
  const [next, unknown] = await Promise.all([makeTestKey('ins_2'), makeTestKey('ins_3')]);
  const startedMs = performance.now();
  server.publish(known.publicJwk, next.publicJwk);
  await until(
    'the new key to be accepted',
    async () => {
      await Promise.all(Array.from({ length: 20 }, () => status(unknown)));
      return (await status(next)) === 200;
    },
    withinMs,
  );
  const seconds = (performance.now() - startedMs) / 1000;
  console.info(`accepted after ${seconds.toFixed(1)} s, downloads: ${server.requestCount()}`);
  // The one at the start, and the one that brought the key.
  expect(server.requestCount()).toBe(2);
  expect([await status(known), await status(unknown)]).toEqual([200, 401]);
}, 120_000);

test.each<[string, () => void]>([
  ['a page', () => server.respond((_, answer) => answer.end('<html>Maintenance</html>'))],
  ['ten megabytes', () => server.respond((_, answer) => answer.end('x'.repeat(10_000_000)))],
  ['silence', () => server.respond(() => {})],
])(
  '%s in place of keys keeps nobody out who has a known key',
  async (_, misbehave) => {
    misbehave();
    const before = server.requestCount();
    const unknown = await makeTestKey('ins_4');
    const seen = new Set<number>();
    await until(
      'a download',
      async () => {
        expect(await status(known)).toBe(200);
        seen.add(await status(unknown));
        return server.requestCount() > before;
      },
      withinMs,
    );
    expect([...seen]).toEqual([401]);
    expect(await status(known)).toBe(200);
    await until('the failure in the log', () =>
      api.logs.find(({ msg }) => msg === 'keys of the issuer not to be had'),
    );
    expect((await fetch(`${api.url}/readyz`)).status).toBe(200);
  },
  120_000,
);
