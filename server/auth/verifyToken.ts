import { hash } from 'node:crypto';
import { errors, type JWTPayload, jwtVerify } from 'jose';
import type { Claims } from '../../db/claims.ts';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { parseClaims } from './claims.ts';
import {
  type KeysEvent,
  KeysUnavailableError,
  makePublishedKeys,
  makeStaticKeys,
  type PublishedKeysOptions,
  type VerificationKey,
  type VerificationKeys,
} from './keys.ts';
import { refusal } from './refusal.ts';
import { makeTokenCache } from './tokenCache.ts';
import { readBearer, readKeyId, refuseDuplicateClaims } from './tokenShape.ts';

/** What a session token must satisfy, and where its keys come from: one of `jwksUrl`, `jwtKey`. */
export type TokenVerifierOptions = {
  /** `iss`, exactly. */
  issuer: string;
  /** Where the issuer publishes its keys. */
  jwksUrl?: string | undefined;
  /** The issuer's public key in PEM form: no network is used, and `jwksUrl` is not read. */
  jwtKey?: string | undefined;
  /** Required in `aud` where given. Clerk's session tokens have none unless a template sets it. */
  audience?: string | undefined;
  /** Origins allowed in `azp`. Where the list is not empty, a token without `azp` is refused. */
  authorizedParties?: readonly string[];
  /** Verified tokens remembered; 10 000 by default, about a kilobyte each. */
  cacheSize?: number;
  /** The time in milliseconds since 1970. */
  nowMs?: () => number;
  /** What happened to the issuer's keys. Must not throw. */
  onEvent?: (event: KeysEvent) => void;
  /** Overrides of how published keys are cached. */
  keyCaching?: Omit<PublishedKeysOptions, 'url' | 'onEvent'>;
};

/** Turns Authorization headers into claims. */
export type TokenVerifier = {
  /**
   * The claims of the session token in an Authorization header.
   *
   * @throws RowhouseError `UNAUTHENTICATED` with a `TokenRefusal` as its cause; `UNAVAILABLE`
   * while no key of the issuer was ever loaded, since then nothing can be said of any token.
   */
  verify(authorization: string | undefined): Promise<Claims>;
  /** Resolves once tokens can be verified. @throws KeysUnavailableError with the cause. */
  ready(): Promise<void>;
};

/** Clocks of issuer and server may differ by this much. Clerk's own SDK allows the same. */
const clockToleranceSeconds = 5;

/**
 * A verifier of Clerk session tokens: RS256 only, keys of the issuer only, one shape only.
 *
 * What is verified is remembered until the token expires or the issuer drops its key, so a token
 * costs one signature check and a request with a known token waits for nothing.
 *
 * @throws TypeError if there is neither a URL nor a usable key.
 */
export function makeTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { nowMs = Date.now } = options;
  const keys = makeKeys(options);
  const cache = makeTokenCache<Verified>(options.cacheSize ?? 10_000);

  async function verify(authorization: string | undefined): Promise<Claims> {
    const token = readBearer(authorization);
    const digest = hash('sha256', token, 'base64url');
    const known = cache.get(digest, nowMs());
    if (known && keys.current(known.keyId) === known.key) return known.claims;

    const keyId = readKeyId(token);
    const key = await findKey(keys, keyId);
    const payload = await checkSignature(token, key, options, nowMs());
    refuseDuplicateClaims(token);
    checkIssuedAt(payload, nowMs());
    checkAuthorizedParty(payload, options.authorizedParties ?? []);
    const claims = parseClaims(payload);
    cache.set(digest, { claims, keyId, key }, claims.expiresAtMs + clockToleranceSeconds * 1000);
    return claims;
  }

  return { verify, ready: keys.ready };
}

/** Claims that were verified, and with which key. */
type Verified = { claims: Claims; keyId: string | undefined; key: VerificationKey };

function makeKeys({ jwtKey, jwksUrl, onEvent, keyCaching }: TokenVerifierOptions) {
  if (jwtKey) return makeStaticKeys(jwtKey);
  if (!jwksUrl) throw new TypeError('a token verifier needs a JWKS URL or a public key');
  return makePublishedKeys({ ...keyCaching, url: jwksUrl, ...(onEvent ? { onEvent } : {}) });
}

async function findKey(
  keys: VerificationKeys,
  keyId: string | undefined,
): Promise<VerificationKey> {
  const key = await keys.find(keyId).catch((error: unknown) => {
    if (!(error instanceof KeysUnavailableError)) throw error;
    if (error.wereLoaded) throw refusal('keys-unavailable');
    throw new RowhouseError('UNAVAILABLE', { cause: error });
  });
  if (key === undefined) throw refusal('unknown-key');
  return key;
}

async function checkSignature(
  token: string,
  key: VerificationKey,
  { issuer, audience }: TokenVerifierOptions,
  nowMs: number,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['RS256'],
      issuer,
      ...(audience ? { audience } : {}),
      requiredClaims: ['exp', 'iat', 'sub'],
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(nowMs),
    });
    return payload;
  } catch (error) {
    throw asRefusal(error);
  }
}

/** Names jose's error by the registry of refusals; what is no error of jose's stays what it is. */
function asRefusal(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return refusal('expired');
  if (error instanceof errors.JWSSignatureVerificationFailed) return refusal('signature');
  if (error instanceof errors.JOSEAlgNotAllowed) return refusal('algorithm');
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'iss') return refusal('issuer');
    if (error.claim === 'aud') return refusal('audience');
    if (error.claim === 'nbf' && error.reason === 'check_failed') return refusal('not-yet-valid');
    return refusal('claims');
  }
  return error instanceof errors.JOSEError ? refusal('malformed') : error;
}

/** jose looks at `iat` only where a maximum age is asked for. */
function checkIssuedAt({ iat }: JWTPayload, nowMs: number): void {
  if (iat !== undefined && iat > Math.floor(nowMs / 1000) + clockToleranceSeconds) {
    throw refusal('not-yet-valid');
  }
}

function checkAuthorizedParty({ azp }: JWTPayload, allowed: readonly string[]): void {
  if (allowed.length === 0) return;
  if (typeof azp !== 'string' || !allowed.includes(azp)) throw refusal('authorized-party');
}
