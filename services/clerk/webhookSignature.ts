import { createHmac, timingSafeEqual } from 'node:crypto';

/** Why a delivery is not believed. For logs and metrics only. */
export type SignatureFault = 'missing-header' | 'timestamp' | 'signature';

/** The three headers that Svix, which delivers for Clerk, signs by. */
export type SvixHeaders = {
  id: string | undefined;
  /** Seconds since 1970. */
  timestamp: string | undefined;
  /** Signatures separated by spaces, each with its version: `v1,<base64>`. */
  signature: string | undefined;
};

/** How far the clock of the sender and ours may be apart, and how long a delivery may be replayed. */
const toleranceMs = 5 * 60_000;

/**
 * Whether a webhook was sent by who knows the secret, over exactly these bytes and not long ago.
 *
 * @param secret `whsec_` and the key in base64.
 * @returns undefined if so, else what is wrong.
 */
export function faultOfSignature(
  secret: string,
  { id, timestamp, signature }: SvixHeaders,
  body: Buffer,
  nowMs: number,
): SignatureFault | undefined {
  if (!id || !timestamp || !signature) return 'missing-header';
  if (!/^[\x21-\x7e]{1,255}$/.test(id) || !/^\d{1,12}$/.test(timestamp)) return 'missing-header';
  if (Math.abs(nowMs - Number(timestamp) * 1000) > toleranceMs) return 'timestamp';
  const expected = Buffer.from(signWebhook(secret, id, timestamp, body));
  // All are compared, so that the time tells neither which matched nor how much of one.
  const matches = signature.split(' ').map((given) => isEqual(Buffer.from(given), expected));
  return matches.includes(true) ? undefined : 'signature';
}

/** The signature of a delivery: `v1,<base64>`. */
export function signWebhook(
  secret: string,
  id: string,
  timestamp: string,
  body: Buffer | string,
): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body);
  return `v1,${mac.digest('base64')}`;
}

function isEqual(given: Buffer, expected: Buffer): boolean {
  return given.length === expected.length && timingSafeEqual(given, expected);
}
