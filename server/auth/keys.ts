import { createPublicKey, type KeyObject } from 'node:crypto';
import type { CryptoKey } from 'jose';
import { fetchKeySet, type KeySet, KeySetError, type KeySetFailure } from './keySet.ts';

/** A key to check signatures with. */
export type VerificationKey = CryptoKey | KeyObject;

/** The issuer's public keys, wherever they come from. */
export type VerificationKeys = {
  /**
   * The key of this id if it can be used now, without waiting; undefined says to ask `find`.
   * May start a download in the background.
   */
  current(keyId: string | undefined): VerificationKey | undefined;
  /**
   * The key of this id, after a download where one is due and allowed; undefined if there is none.
   * @throws KeysUnavailableError if no key at all can be used.
   */
  find(keyId: string | undefined): Promise<VerificationKey | undefined>;
  /** Resolves once keys can be used. @throws KeysUnavailableError with the cause. */
  ready(): Promise<void>;
};

/** What happened to the issuer's keys, for metrics and logs. */
export type KeysEvent =
  | { type: 'keysLoaded'; keyCount: number; durationMs: number }
  /** Keys held so far stay in use; `keysAgeMs` is their age, null where there are none. */
  | {
      type: 'keysUnreachable';
      reason: KeySetFailure;
      durationMs: number;
      keysAgeMs: number | null;
    };

/** No key can be used: none was ever loaded, or those held are older than an outage may make them. */
export class KeysUnavailableError extends Error {
  /** Whether there were keys before. */
  readonly wereLoaded: boolean;
  constructor(wereLoaded: boolean, cause: unknown) {
    super('no key of the issuer can be used', { cause });
    this.name = 'KeysUnavailableError';
    this.wereLoaded = wereLoaded;
  }
}

/**
 * One key from the configuration, for every key id, without a network.
 *
 * @throws TypeError if the text is not an RSA public key of at least 2048 bits in PEM form.
 */
export function makeStaticKeys(pem: string): VerificationKeys {
  const key = readPublicKey(pem);
  return { current: () => key, find: async () => key, ready: async () => {} };
}

/** How a published key set is cached. All but the URL have defaults. */
export type PublishedKeysOptions = {
  url: string;
  /** Keys older than this are downloaded before they are used again. Past half, in the background. */
  maxAgeMs?: number;
  /** How much older keys may grow while the issuer cannot be reached. */
  maxStaleMs?: number;
  /** At most one download for tokens in this time, whatever key ids they name. */
  cooldownMs?: number;
  /** The same for `ready`, while there are no keys: nothing a token says brings this one about. */
  readyCooldownMs?: number;
  timeoutMs?: number;
  maxBytes?: number;
  /** A clock in milliseconds that never goes back. */
  nowMs?: () => number;
  /** Must not throw. */
  onEvent?: (event: KeysEvent) => void;
};

/**
 * The keys an issuer publishes as a JSON Web Key Set.
 *
 * jose's own remote set forgets its keys when they are too old and the issuer is away; Clerk's
 * downloads for every unknown key id. Here an outage shorter than `maxStaleMs` past the cache's age
 * goes unnoticed, and no flood of tokens causes more than one download per `cooldownMs`.
 */
export function makePublishedKeys({
  url,
  maxAgeMs = 10 * 60_000,
  maxStaleMs = 5 * 60_000,
  cooldownMs = 30_000,
  readyCooldownMs = 2_000,
  timeoutMs = 5_000,
  maxBytes = 256 * 1024,
  nowMs = () => performance.now(),
  onEvent = () => {},
}: PublishedKeysOptions): VerificationKeys {
  let held: { keys: KeySet; loadedAtMs: number } | undefined;
  let failure: KeySetError | undefined;
  let attemptedAtMs = Number.NEGATIVE_INFINITY;
  let download: Promise<void> | undefined;

  const ageMs = () => (held ? nowMs() - held.loadedAtMs : Number.POSITIVE_INFINITY);
  const usable = () => (ageMs() < maxAgeMs + maxStaleMs ? held?.keys : undefined);

  /** Joins the download under way, or starts one unless the last is too recent. Never rejects. */
  function refresh(minIntervalMs: number): Promise<void> {
    if (download === undefined && nowMs() - attemptedAtMs >= minIntervalMs) {
      attemptedAtMs = nowMs();
      download = load(attemptedAtMs);
    }
    return download ?? Promise.resolve();
  }

  async function load(startedAtMs: number): Promise<void> {
    try {
      const keys = await fetchKeySet(url, { timeoutMs, maxBytes });
      held = { keys: withKnownKeys(keys, held?.keys), loadedAtMs: startedAtMs };
      failure = undefined;
    } catch (error) {
      failure = error instanceof KeySetError ? error : new KeySetError('network', error);
    }
    download = undefined;
    const durationMs = nowMs() - startedAtMs;
    if (failure === undefined) {
      onEvent({ type: 'keysLoaded', keyCount: held?.keys.size ?? 0, durationMs });
    } else {
      const keysAgeMs = held ? ageMs() : null;
      onEvent({ type: 'keysUnreachable', reason: failure.reason, durationMs, keysAgeMs });
    }
  }

  function current(keyId: string | undefined): VerificationKey | undefined {
    const age = ageMs();
    if (age >= maxAgeMs / 2) void refresh(cooldownMs);
    // Old keys are used without waiting only once the issuer is known to be away.
    if (keyId === undefined || (age >= maxAgeMs && failure === undefined)) return undefined;
    return usable()?.get(keyId)?.key;
  }

  async function find(keyId: string | undefined): Promise<VerificationKey | undefined> {
    const key = current(keyId);
    if (key !== undefined) return key;
    // A token that names no key is no reason to look for one.
    if (keyId !== undefined) await refresh(cooldownMs);
    return keyId === undefined ? undefined : requireKeys().get(keyId)?.key;
  }

  function requireKeys(): KeySet {
    const keys = usable();
    if (keys === undefined) throw new KeysUnavailableError(held !== undefined, failure);
    return keys;
  }

  async function ready(): Promise<void> {
    if (usable() === undefined) await refresh(readyCooldownMs);
    requireKeys();
  }

  return { current, find, ready };
}

/** Keeps the identity of keys that did not change, so that what was verified with them stays so. */
function withKnownKeys(next: KeySet, previous: KeySet | undefined): KeySet {
  const entries = [...next].map(([keyId, key]) => {
    const known = previous?.get(keyId);
    return [keyId, known?.material === key.material ? known : key] as const;
  });
  return new Map(entries);
}

function readPublicKey(pem: string): KeyObject {
  // Environment files often carry the line ends of a PEM text as two characters.
  const text = pem.replaceAll('\\n', '\n').trim();
  const key = text.startsWith('-----BEGIN PUBLIC KEY-----') ? parsePem(text) : undefined;
  const bits = key?.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key?.asymmetricKeyType !== 'rsa' || bits < 2048) {
    throw new TypeError('not an RSA public key of at least 2048 bits in PEM form');
  }
  return key;
}

function parsePem(text: string): KeyObject | undefined {
  try {
    return createPublicKey(text);
  } catch {
    return undefined;
  }
}
