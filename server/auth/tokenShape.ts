import { z } from 'zod';
import { keyIdPattern } from './keySet.ts';
import { refusal } from './refusal.ts';

/**
 * What an Authorization header says after `Bearer `, at most 8 KB. Not looked at any further, so
 * that a token that was verified before costs nothing more.
 *
 * @throws RowhouseError `UNAUTHENTICATED`, with cause `missing` or `malformed`.
 */
export function readBearer(authorization: string | undefined): string {
  if (authorization === undefined || authorization === '') throw refusal('missing');
  // HTTP's names of schemes have no case.
  const token = /^bearer /i.test(authorization) ? authorization.slice('Bearer '.length) : '';
  if (token === '' || token.length > maxTokenLength) throw refusal('malformed');
  return token;
}

/**
 * The key id that a token names, if it has the one shape a session token can have: three canonical
 * base64url parts, and a header that asks for nothing but RS256.
 *
 * @throws RowhouseError `UNAUTHENTICATED`, with cause `malformed` or `algorithm`.
 */
export function readKeyId(token: string): string | undefined {
  const parts = token.split('.');
  if (parts.length !== 3 || !parts.every(isCanonicalBase64url)) throw refusal('malformed');
  const parsed = headerSchema.safeParse(readObject(partOf(token, 0)));
  if (!parsed.success) throw refusal('malformed');
  if (parsed.data.alg !== 'RS256') throw refusal('algorithm');
  return parsed.data.kid;
}

/**
 * Refuses a payload that says anything twice: parsers differ in which of two they believe.
 *
 * @throws RowhouseError `UNAUTHENTICATED`, with cause `malformed`.
 */
export function refuseDuplicateClaims(token: string): void {
  readObject(partOf(token, 1));
}

const maxTokenLength = 8 * 1024;

/** Parameters that would change what is checked, or bring their own key. */
const forbidden = ['crit', 'b64', 'zip', 'enc', 'jwk', 'jku', 'x5u', 'x5c'];

const headerSchema = z
  .looseObject({
    alg: z.string(),
    kid: z.string().regex(keyIdPattern).optional(),
    typ: z.literal('JWT').optional(),
  })
  .refine((header) => forbidden.every((name) => !Object.hasOwn(header, name)));

/** Only one text stands for given bytes: spare bits and padding would give a token many spellings. */
function isCanonicalBase64url(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part;
}

function partOf(token: string, index: 0 | 1): string {
  return Buffer.from(token.split('.')[index] ?? '', 'base64url').toString('utf8');
}

function readObject(text: string): object {
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refusal('malformed');
  }
  // In valid JSON quotes only enclose strings, and only a key is followed by a colon.
  const strings = text.match(/"(?:[^"\\]|\\.)*"(?:\s*:)?/g) ?? [];
  const written = strings.filter((string) => string.endsWith(':'));
  if (written.length !== countKeys(value)) throw refusal('malformed');
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refusal('malformed');
  }
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inside = Object.values(value).reduce<number>((sum, item) => sum + countKeys(item), 0);
  return Array.isArray(value) ? inside : inside + Object.keys(value).length;
}
