import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { errorCodes } from '../../platform/errors/registry.ts';
import { type JwksServer, openJwksServer } from '../../test/jwksServer.ts';
import { makeTestKey, type TestKey } from '../../test/signingKey.ts';
import {
  attackedIssuer,
  attackedKeyId,
  goodToken,
  makeTokenAttacks,
} from '../../test/tokenAttacks.ts';
import { makeTokenVerifier, type TokenVerifier } from './verifyToken.ts';

const startMs = 1_800_000_000_000;
const now = startMs / 1000 + 60;

let ours: TestKey;
let theirs: TestKey;
let server: JwksServer;
let verifier: TokenVerifier;
let nowMs: number;

beforeAll(async () => {
  [ours, theirs] = await Promise.all([makeTestKey(attackedKeyId), makeTestKey(attackedKeyId)]);
});

beforeEach(async () => {
  server = await openJwksServer(ours.publicJwk);
  nowMs = startMs;
  verifier = makeTokenVerifier({
    issuer: attackedIssuer,
    jwksUrl: server.url,
    nowMs: () => nowMs,
    keyCaching: { nowMs: () => nowMs },
  });
  await verifier.ready();
  // Past the pause between downloads: an attack that wants one could have it.
  nowMs += 60_000;
});

afterEach(() => server.close());

const attacks = makeTokenAttacks(() => ({ ours, theirs, now, jwksUrl: server.url }));

describe('refuses', () => {
  test.each(attacks)('%s (%s)', async (attack, reason, authorization) => {
    const before = server.requestCount();
    const error = await verifier.verify(authorization()).then(
      () => undefined,
      (refused: unknown) => refused,
    );
    expect(error).toMatchObject({
      code: 'UNAUTHENTICATED',
      message: errorCodes.UNAUTHENTICATED.message,
      cause: reason,
    });
    // Only a plausible key id may have the issuer asked, and only once in a while.
    const isPlausible = reason === 'unknown-key' && attack !== 'no key id';
    expect(server.requestCount() - before).toBe(isPlausible ? 1 : 0);
  });

  test('nothing of the issuer itself', async () => {
    expect(await verifier.verify(`Bearer ${goodToken({ now, ours })}`)).toMatchObject({
      userId: 'user_ann',
      orgId: 'org_1',
    });
  });
});
