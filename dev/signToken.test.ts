import { beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { makeTestKey, type TestKey } from '../test/signingKey.ts';
import { encodePermissions, signToken, type TokenContent } from './signToken.ts';

const issuer = 'http://127.0.0.1:4000';
let key: TestKey;

beforeAll(async () => {
  key = await makeTestKey('ins_1');
});

const sign = (content: Partial<TokenContent>) =>
  signToken({ user: 'user_ann', ...content, key, issuer, nowMs: 1_800_000_000_999 });

const session = {
  exp: 1_800_003_600,
  fva: [0, -1],
  iat: 1_800_000_000,
  iss: issuer,
  jti: expect.stringMatching(/^[0-9a-f]{32}$/),
  nbf: 1_799_999_990,
  sid: expect.stringMatching(/^sess_[0-9a-f]{28}$/),
  sts: 'active',
  sub: 'user_ann',
};

describe("signs tokens in Clerk's format", () => {
  test('with its key id in the header', async () => {
    expect(decodeProtectedHeader(await sign({}))).toEqual({
      alg: 'RS256',
      kid: 'ins_1',
      typ: 'JWT',
    });
  });

  test('version 2, with an organization and permissions', async () => {
    const permissions = ['org:docs:manage', 'org:docs:read', 'org:audit:read'];
    expect(decodeJwt(await sign({ org: 'org_acme', role: 'org:admin', permissions }))).toEqual({
      ...session,
      v: 2,
      fea: 'o:docs,o:audit',
      o: { id: 'org_acme', slg: 'acme', rol: 'admin', per: 'manage,read', fpm: '3,2' },
    });
  });

  test('version 2, as a member without permissions', async () => {
    expect(decodeJwt(await sign({ org: 'org_acme' }))).toEqual({
      ...session,
      v: 2,
      o: { id: 'org_acme', slg: 'acme', rol: 'member' },
    });
  });

  test('version 2, without an organization', async () => {
    expect(decodeJwt(await sign({}))).toEqual({ ...session, v: 2 });
  });

  test('version 1, with an organization and permissions', async () => {
    const permissions = ['org:docs:manage'];
    const token = await sign({ version: 1, org: 'org_acme', role: 'admin', permissions });
    expect(decodeJwt(token)).toEqual({
      ...session,
      org_id: 'org_acme',
      org_permissions: permissions,
      org_role: 'org:admin',
      org_slug: 'acme',
    });
  });

  test('with origin, custom claims, impersonator and lifetime where asked for', async () => {
    const azp = 'http://localhost:8080';
    const extra = { azp, email: 'a@example.com', name: 'Ann', actor: 'user_bob', ttlSeconds: 60 };
    expect(decodeJwt(await sign(extra))).toEqual({
      ...session,
      v: 2,
      azp,
      email: 'a@example.com',
      name: 'Ann',
      act: { iss: issuer, sid: expect.stringMatching(/^sess_/), sub: 'user_bob' },
      exp: 1_800_000_060,
    });
  });
});

test.each([
  ['org_acme', 'acme'],
  ['org_Acme__2', 'acme-2'],
  ['acme', 'acme'],
  ['org_', 'organization'],
])('derives the slug of %s', async (org, slug) => {
  expect(decodeJwt(await sign({ org }))).toMatchObject({ o: { slg: slug } });
});

test('packs nothing as nothing', () => {
  expect(encodePermissions([])).toEqual({ fea: '', per: '', fpm: '' });
});
