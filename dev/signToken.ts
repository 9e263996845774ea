import { randomBytes, randomUUID } from 'node:crypto';
import { type CryptoKey, type JWTPayload, SignJWT } from 'jose';

/** What to say in a token, as Clerk would. */
export type TokenContent = {
  /** `sub`. */
  user: string;
  /** The active organization; without one the token is for the personal space. */
  org?: string | undefined;
  /** `member` by default; `org:member` says the same. Only with `org`. */
  role?: string | undefined;
  /** Custom permissions such as `org:docs:manage`. Only with `org`. */
  permissions?: readonly string[] | undefined;
  email?: string | undefined;
  name?: string | undefined;
  /** The origin the session is used from; absent unless given. */
  azp?: string | undefined;
  /** Minutes since the first and the second factor were given; -1 for never. `[0, -1]` by default. */
  factorAges?: readonly [number, number] | undefined;
  /** The user who impersonates `user`. */
  actor?: string | undefined;
  /** 3600 by default. Clerk's own tokens live for 60 seconds. */
  ttlSeconds?: number | undefined;
  /** The version of Clerk's token format, 2 by default. */
  version?: 1 | 2 | undefined;
};

/** The key a token is signed with. */
export type PrivateSigningKey = { keyId: string; privateKey: CryptoKey };

/** Signs a session token in the format of Clerk's, version 2 or 1. */
export async function signToken({
  key,
  issuer,
  nowMs = Date.now(),
  ...content
}: TokenContent & {
  key: PrivateSigningKey;
  issuer: string;
  nowMs?: number;
}): Promise<string> {
  return new SignJWT(claimsOf(content, issuer, Math.floor(nowMs / 1000)))
    .setProtectedHeader({ alg: 'RS256', kid: key.keyId, typ: 'JWT' })
    .sign(key.privateKey);
}

/**
 * Packs permissions as Clerk's version 2 does: the features, the names, and for each feature a mask
 * of its names as a decimal number. The inverse of the API's `decodePermissions`.
 */
export function encodePermissions(permissions: readonly string[]): {
  fea: string;
  per: string;
  fpm: string;
} {
  const pairs = permissions.map((permission) => permission.split(':').slice(1));
  const features = [...new Set(pairs.map(([feature = '']) => feature))];
  const names = [...new Set(pairs.map(([, name = '']) => name))];
  const masks = features.map((feature) =>
    names.reduce((mask, name, bit) => {
      const isGranted = permissions.includes(`org:${feature}:${name}`);
      return isGranted ? mask | (1n << BigInt(bit)) : mask;
    }, 0n),
  );
  return {
    fea: features.map((feature) => `o:${feature}`).join(','),
    per: names.join(','),
    fpm: masks.join(','),
  };
}

function claimsOf(content: TokenContent, iss: string, iat: number): JWTPayload {
  const { user: sub, email, name, azp, actor, ttlSeconds = 3600, version = 2 } = content;
  const { factorAges = [0, -1] } = content;
  const organization = version === 2 ? organizationV2(content) : organizationV1(content);
  const sid = `sess_${randomBytes(14).toString('hex')}`;
  return {
    ...(azp === undefined ? {} : { azp }),
    exp: iat + ttlSeconds,
    fva: factorAges,
    iat,
    iss,
    jti: randomUUID().replaceAll('-', ''),
    nbf: iat - 10,
    sid,
    sts: 'active',
    sub,
    ...(version === 2 ? { v: 2 } : {}),
    ...organization,
    ...(email === undefined ? {} : { email }),
    ...(name === undefined ? {} : { name }),
    ...(actor === undefined ? {} : { act: { iss, sid: `${sid}_actor`, sub: actor } }),
  };
}

function organizationV2({ org: id, role = 'member', permissions = [] }: TokenContent): JWTPayload {
  if (id === undefined) return {};
  const o = { id, slg: slugOf(id), rol: role.replace(/^org:/, '') };
  if (permissions.length === 0) return { o };
  const { fea, per, fpm } = encodePermissions(permissions);
  return { fea, o: { ...o, per, fpm } };
}

function organizationV1({ org, role = 'member', permissions = [] }: TokenContent): JWTPayload {
  if (org === undefined) return {};
  return {
    org_id: org,
    org_permissions: permissions,
    org_role: `org:${role.replace(/^org:/, '')}`,
    org_slug: slugOf(org),
  };
}

/** `org_Acme_2` → `acme-2`. */
function slugOf(org: string): string {
  const words = org
    .replace(/^org_/, '')
    .toLowerCase()
    .match(/[a-z0-9]+/g);
  return words?.join('-') ?? 'organization';
}
