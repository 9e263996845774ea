import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { signToken, type TokenContent } from '../../dev/signToken.ts';
import { type JwksServer, openJwksServer } from '../../test/jwksServer.ts';
import { makeTestKey, type TestKey } from '../../test/signingKey.ts';
import { makeTokenVerifier, type TokenVerifierOptions } from './verifyToken.ts';

const issuer = 'https://clerk.example.com';
const startMs = 1_800_000_000_000;

let one: TestKey;
let two: TestKey;
let server: JwksServer;
let nowMs: number;

beforeAll(async () => {
  [one, two] = await Promise.all([makeTestKey('one'), makeTestKey('two')]);
});

beforeEach(async () => {
  server = await openJwksServer(one.publicJwk);
  nowMs = startMs;
});

afterEach(() => server.close());

function openVerifier(options: Partial<TokenVerifierOptions> = {}) {
  const clock = () => nowMs;
  const keyCaching = { nowMs: clock };
  return makeTokenVerifier({ issuer, jwksUrl: server.url, nowMs: clock, keyCaching, ...options });
}

async function bearer(content: Partial<TokenContent> = {}, key = one): Promise<string> {
  return `Bearer ${await signToken({ user: 'user_ann', ...content, key, issuer, nowMs: startMs })}`;
}

const refused = (cause: string) => expect.objectContaining({ code: 'UNAUTHENTICATED', cause });

describe('a token of the issuer says who asks', () => {
  const content = {
    org: 'org_Acme_1',
    role: 'org:admin',
    permissions: ['org:docs:manage', 'org:audit:read'],
    email: 'ann@example.com',
    name: 'Ann',
    actor: 'user_support',
  };

  test.each([1, 2] as const)('in version %d of the format', async (version) => {
    expect(await openVerifier().verify(await bearer({ ...content, version }))).toEqual({
      userId: 'user_ann',
      sessionId: expect.stringMatching(/^sess_/),
      orgId: 'org_Acme_1',
      isPersonal: false,
      orgRole: 'admin',
      orgSlug: 'acme-1',
      permissions: ['org:docs:manage', 'org:audit:read'],
      email: 'ann@example.com',
      name: 'Ann',
      actorId: 'user_support',
      firstFactorAtMs: startMs,
      secondFactorAtMs: null,
      expiresAtMs: startMs + 3_600_000,
    });
  });

  test.each([1, 2] as const)('in the personal space, in version %d', async (version) => {
    const claims = await openVerifier().verify(await bearer({ version }));
    expect(claims).toMatchObject({ orgId: 'user_ann', isPersonal: true, orgRole: '' });
  });

  test('with a key from the configuration, without a network', async () => {
    const verifier = openVerifier({ jwtKey: one.publicPem });
    await verifier.ready();
    expect(await verifier.verify(await bearer())).toMatchObject({ userId: 'user_ann' });
    await expect(verifier.verify(await bearer({}, two))).rejects.toEqual(refused('signature'));
    expect(server.requestCount()).toBe(0);
  });
});

describe('time', () => {
  test('may differ by under 5 seconds after the expiry', async () => {
    const token = await bearer({ ttlSeconds: 60 });
    nowMs = startMs + 64_999;
    expect(await openVerifier().verify(token)).toMatchObject({ userId: 'user_ann' });
    nowMs = startMs + 65_000;
    await expect(openVerifier().verify(token)).rejects.toEqual(refused('expired'));
  });

  test('may differ by 5 seconds before the issue', async () => {
    const token = await bearer();
    nowMs = startMs - 5_000;
    expect(await openVerifier().verify(token)).toMatchObject({ userId: 'user_ann' });
    nowMs = startMs - 5_001;
    await expect(openVerifier().verify(token)).rejects.toEqual(refused('not-yet-valid'));
  });
});

describe('where origins are configured', () => {
  const authorizedParties = ['https://app.example.com', 'https://admin.example.com'];

  test('a token of one of them is accepted', async () => {
    const token = await bearer({ azp: 'https://admin.example.com' });
    expect(await openVerifier({ authorizedParties }).verify(token)).toBeDefined();
  });

  test.each([undefined, '', 'https://evil.example.com', 'https://app.example.com/'])(
    'a token of %p is refused',
    async (azp) => {
      const token = await bearer({ azp });
      const verifying = openVerifier({ authorizedParties }).verify(token);
      await expect(verifying).rejects.toEqual(refused('authorized-party'));
    },
  );

  test('and where none are, any is accepted', async () => {
    const token = await bearer({ azp: 'https://any.example.com' });
    expect(await openVerifier({ authorizedParties: [] }).verify(token)).toBeDefined();
  });
});

test('a configured audience is required', async () => {
  const verifying = openVerifier({ audience: 'rowhouse' }).verify(await bearer());
  await expect(verifying).rejects.toEqual(refused('audience'));
});

describe('a verified token', () => {
  test('is remembered', async () => {
    const verifier = openVerifier();
    const token = await bearer();
    expect(await verifier.verify(token)).toBe(await verifier.verify(token));
  });

  test('is forgotten when it expires', async () => {
    const verifier = openVerifier();
    const token = await bearer({ ttlSeconds: 60 });
    await verifier.verify(token);
    nowMs += 65_000;
    await expect(verifier.verify(token)).rejects.toEqual(refused('expired'));
  });

  test('is refused once the issuer has dropped its key', async () => {
    const verifier = openVerifier();
    const token = await bearer();
    await verifier.verify(token);
    server.publish(two.publicJwk);
    nowMs += 10 * 60_000;
    await expect(verifier.verify(token)).rejects.toEqual(refused('unknown-key'));
  });

  test('stays remembered when the issuer publishes the same key again', async () => {
    const verifier = openVerifier();
    const token = await bearer();
    const claims = await verifier.verify(token);
    nowMs += 10 * 60_000;
    await verifier.verify(await bearer({ user: 'user_bob' }));
    expect(server.requestCount()).toBe(2);
    expect(await verifier.verify(token)).toBe(claims);
  });

  test('keeps working through an outage, 5 minutes past the age of the keys', async () => {
    const verifier = openVerifier();
    const token = await bearer();
    await verifier.verify(token);
    server.respond((_request, response) => response.writeHead(503).end());
    nowMs += 15 * 60_000 - 1;
    expect(await verifier.verify(token)).toMatchObject({ userId: 'user_ann' });
    expect(await verifier.verify(await bearer({ user: 'user_bob' }))).toBeDefined();
    nowMs += 1;
    await expect(verifier.verify(token)).rejects.toEqual(refused('keys-unavailable'));
  });

  test('is not remembered when it was refused', async () => {
    const verifier = openVerifier();
    const token = await bearer({}, two);
    await expect(verifier.verify(token)).rejects.toEqual(refused('unknown-key'));
    server.publish(two.publicJwk);
    nowMs += 30_000;
    expect(await verifier.verify(token)).toMatchObject({ userId: 'user_ann' });
  });
});

describe('while the issuer was never reached', () => {
  test('a well-formed token is answered with UNAVAILABLE, and works as soon as it can', async () => {
    server.respond((_request, response) => response.writeHead(503).end());
    const verifier = openVerifier();
    const token = await bearer();
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(verifier.ready()).rejects.toThrow('no key of the issuer can be used');
    server.publish(one.publicJwk);
    nowMs += 2_000;
    await verifier.ready();
    expect(await verifier.verify(token)).toMatchObject({ userId: 'user_ann' });
  });

  test('anything else is refused as ever', async () => {
    server.respond((_request, response) => response.writeHead(503).end());
    await expect(openVerifier().verify('Bearer x')).rejects.toEqual(refused('malformed'));
    expect(server.requestCount()).toBe(0);
  });
});

test('a verifier without any source of keys is not made', () => {
  expect(() => makeTokenVerifier({ issuer })).toThrow('needs a JWKS URL or a public key');
});
