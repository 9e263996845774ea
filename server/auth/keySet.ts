import { type CryptoKey, importJWK } from 'jose';
import { z } from 'zod';

/** A public key that may sign session tokens, with the text that tells it from any other. */
type SigningKey = { material: string; key: CryptoKey };

/** The issuer's usable keys by key id. */
export type KeySet = ReadonlyMap<string, SigningKey>;

/** Why a key set could not be had. */
export type KeySetFailure =
  | 'timeout'
  | 'network'
  /** Any status but 200. */
  | 'status'
  | 'too-large'
  /** Not a JSON Web Key Set. */
  | 'not-a-key-set'
  /** A JSON Web Key Set without one RS256 key of at least 2048 bits. */
  | 'no-usable-key';

/** A key set could not be had: `reason` says why, `cause` holds the first error if there was one. */
export class KeySetError extends Error {
  readonly reason: KeySetFailure;
  constructor(reason: KeySetFailure, cause?: unknown) {
    super(`the issuer's keys could not be read: ${reason}`, { cause });
    this.name = 'KeySetError';
    this.reason = reason;
  }
}

/**
 * Downloads a JSON Web Key Set and imports the keys that may sign RS256; others are passed over.
 *
 * @throws KeySetError after at most `timeoutMs`, having read at most `maxBytes` and a chunk.
 */
export async function fetchKeySet(
  url: string,
  limits: { timeoutMs: number; maxBytes: number },
): Promise<KeySet> {
  const keys = await importKeys(parseKeySet(await download(url, limits)));
  if (keys.size === 0) throw new KeySetError('no-usable-key');
  return keys;
}

async function download(
  url: string,
  { timeoutMs, maxBytes }: { timeoutMs: number; maxBytes: number },
): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const headers = { accept: 'application/json' };
    const response = await fetch(url, { headers, redirect: 'error', signal });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new KeySetError('status');
    }
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response.body ?? []) {
      bytes += chunk.byteLength;
      // Leaving the loop cancels the body, and with it the download.
      if (bytes > maxBytes) throw new KeySetError('too-large');
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    if (error instanceof KeySetError) throw error;
    throw new KeySetError(signal.aborted ? 'timeout' : 'network', error);
  }
}

const keySetSchema = z.object({ keys: z.array(z.unknown()).max(100) });

/** The ids a token's header may name. */
export const keyIdPattern = /^[A-Za-z0-9_.:-]{1,128}$/;

const keySchema = z.object({
  kty: z.literal('RSA'),
  kid: z.string().regex(keyIdPattern),
  n: z.string(),
  e: z.string(),
  use: z.literal('sig').optional(),
  alg: z.literal('RS256').optional(),
});

function parseKeySet(text: string): z.output<typeof keySchema>[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new KeySetError('not-a-key-set', error);
  }
  const keySet = keySetSchema.safeParse(document);
  if (!keySet.success) throw new KeySetError('not-a-key-set', keySet.error);
  return keySet.data.keys.flatMap((candidate) => {
    const parsed = keySchema.safeParse(candidate);
    return parsed.success ? [parsed.data] : [];
  });
}

async function importKeys(jwks: z.output<typeof keySchema>[]): Promise<KeySet> {
  const keys = new Map<string, SigningKey>();
  for (const { kid, n, e } of jwks) {
    const key = await importKey(n, e);
    if (key !== undefined) keys.set(kid, { material: `${n}.${e}`, key });
  }
  return keys;
}

async function importKey(n: string, e: string): Promise<CryptoKey | undefined> {
  try {
    const key = await importJWK({ kty: 'RSA', n, e }, 'RS256');
    return 'algorithm' in key && modulusBits(key) >= 2048 ? key : undefined;
  } catch {
    // A key that cannot be imported signs nothing; the others still count.
    return undefined;
  }
}

function modulusBits({ algorithm }: CryptoKey): number {
  return 'modulusLength' in algorithm ? Number(algorithm.modulusLength) : 0;
}
