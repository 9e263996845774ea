import { createPublicKey } from 'node:crypto';
import { isAbsolute, resolve } from 'node:path';
import { z } from 'zod';

/**
 * The kinds of value a setting can have: zod schemas from the text of an
 * environment variable to a typed value. Their description is what error
 * messages and docs/configuration.md call "allowed"; zod's own messages are not
 * shown, because they may quote the value.
 */

/** A zod schema that reads text. */
export type Kind<T = unknown> = z.ZodType<T, string>;

/** A whole number, both ends included. */
export function wholeNumber(min: number, max: number): Kind<number> {
  return z
    .string()
    .regex(/^\d{1,12}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max))
    .describe(`a whole number from ${min} to ${max}`);
}

/** `true`, `false`, `1` or `0`. */
export const flag: Kind<boolean> = z
  .enum(['true', 'false', '1', '0'])
  .transform((text) => text === 'true' || text === '1')
  .describe('`true`, `false`, `1` or `0`');

/** One of the words. */
export function oneOf<const W extends readonly [string, ...string[]]>(words: W): Kind<W[number]> {
  return z.enum(words).describe(words.map((word) => `\`${word}\``).join(', '));
}

/** A host name or an IP address to listen on. */
export const host: Kind<string> = z
  .string()
  .regex(/^[A-Za-z0-9.:_-]+$/)
  .describe('a host name or an IP address');

/** One word of visible characters, as it stands. */
export const word: Kind<string> = z
  .string()
  .regex(/^[\x21-\x7e]+$/)
  .describe('visible ASCII characters, no spaces');

/** A secret of at least `minLength` characters. */
export function secretText(minLength: number): Kind<string> {
  return z.string().min(minLength).describe(`at least ${minLength} characters`);
}

/** The signing secret of a webhook endpoint, as Svix gives it out. */
export const webhookSecret: Kind<string> = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]{22,}={0,2}$/)
  .describe('`whsec_` and at least 16 bytes in base64');

/** A secret of Clerk's Backend API. */
export const clerkSecretKey: Kind<string> = z
  .string()
  .regex(/^sk_(?:live|test)_[\x21-\x7e]+$/)
  .describe('`sk_live_…` or `sk_test_…`');

/** Words separated by commas; none at all is an empty list. */
export const wordList: Kind<string[]> = z
  .string()
  .transform(splitList)
  .pipe(z.array(word))
  .describe('words separated by commas');

/** Exact web origins separated by commas; none at all is an empty list. */
export const originList: Kind<string[]> = z
  .string()
  .transform(splitList)
  .pipe(z.array(z.string().refine(isOrigin)))
  .describe(
    'exact origins separated by commas, such as `https://app.example.com`: scheme and host in small letters, a port only if unusual, no path, no `*`',
  );

/** An http or https URL without user name and password, unchanged. */
export const httpUrl: Kind<string> = z
  .string()
  .refine((text) => {
    const url = URL.parse(text);
    const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
    return isWeb && url.username === '' && url.password === '';
  })
  .describe('an `https://` or `http://` URL without user name and password');

/** An amount with at most six decimals. The value is in millionths. */
export const decimalMicros: Kind<number> = z
  .string()
  .regex(/^\d{1,9}(?:\.\d{1,6})?$/)
  .transform((text) => Math.round(Number(text) * 1e6))
  .describe('an amount such as `10` or `0.25`, with at most six decimals');

/** What tokens of a model cost. A price for a million of them is also one in millionths for each. */
export type ModelPrice = {
  /** `provider/model`; a `*` at the end stands for any rest. */
  model: string;
  /** Of one token of the prompt, in millionths of the unit. */
  promptMicros: number;
  /** Of one token of the completion, in millionths of the unit. */
  completionMicros: number;
};

/** Prices of models separated by commas; none at all is an empty list. */
export const priceList: Kind<ModelPrice[]> = z
  .string()
  .transform(splitList)
  .pipe(
    z.array(
      z
        .string()
        .regex(/^(?:\*|[\w.:-]+\/[\w.:/@+-]*\*?)=\d{1,6}(?:\.\d{1,6})?:\d{1,6}(?:\.\d{1,6})?$/)
        .transform((text) => {
          const [model = '', prices = ''] = text.split('=');
          const [promptMicros = 0, completionMicros = 0] = prices.split(':').map(Number);
          return { model, promptMicros, completionMicros };
        }),
    ),
  )
  .describe(
    '`provider/model=prompt:completion` separated by commas, each price for a million tokens; a `*` at the end of `provider/model` stands for any rest, such as in `openai/*=2.5:10,*=1:1`',
  );

/** Media types separated by commas, without parameters; `image/*` stands for many. */
export const mediaTypeList: Kind<string[]> = z
  .string()
  .transform((text) => splitList(text.toLowerCase()))
  .pipe(z.array(z.string().regex(/^(?:\*|[a-z0-9][\w!#$&^.+-]*)\/(?:\*|[a-z0-9][\w!#$&^.+-]*)$/)))
  .describe('media types separated by commas, such as `image/png` or `image/*`');

/** Where a scanner listens: `tcp://host:port` or `unix:/path`. */
export const scannerUrl: Kind<string> = z
  .string()
  .regex(/^(?:tcp:\/\/[A-Za-z0-9._-]+:\d{1,5}|unix:\/.+)$/)
  .describe('`tcp://host:port` or `unix:/path/of/the/socket`');

/** A Postgres URL that names host and database, unchanged. */
export const postgresUrl: Kind<string> = z
  .string()
  .refine((text) => parsePostgresUrl(text) !== undefined)
  .describe(
    '`postgres://user:password@host:port/database`, special characters in user and password percent-encoded',
  );

/** An RSA public key in PEM; `\n` written as two characters is a line break. */
export const publicKeyPem: Kind<string> = z
  .string()
  .transform((text) => text.replaceAll('\\n', '\n'))
  .pipe(z.string().refine(isRsaPublicKey))
  .describe('an RSA public key in PEM, `-----BEGIN PUBLIC KEY-----` …; line breaks may be `\\n`');

/** A folder; a relative one starts at `root`. The value is absolute. */
export function folderFrom(root: string): Kind<string> {
  return z
    .string()
    .refine((text) => !text.includes('\0'))
    .transform((text) => (isAbsolute(text) ? text : resolve(root, text)))
    .describe('a folder, absolute or relative to the project');
}

/**
 * Reads a Postgres URL, strictly: an unescaped `/`, `?`, `#` or `@` in a password
 * moves the parts of a URL, and a part of the password would pass for the host
 * or the database. Undefined where anything is out of place.
 */
export function parsePostgresUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  if (url === null) return undefined;
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') return undefined;
  if (!/^[A-Za-z0-9.:[\]_-]+$/.test(url.hostname)) return undefined;
  if (!/^\/[^/@:]+$/.test(url.pathname)) return undefined;
  if (text.includes('#') || url.search.includes('@')) return undefined;
  return url;
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function isOrigin(text: string): boolean {
  // A star is a legal letter of a host to the URL parser.
  if (text.includes('*')) return false;
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === text;
}

function isRsaPublicKey(pem: string): boolean {
  // createPublicKey would also take a private key, which has no business here.
  if (!pem.trim().startsWith('-----BEGIN PUBLIC KEY-----')) return false;
  try {
    return createPublicKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    return false;
  }
}
