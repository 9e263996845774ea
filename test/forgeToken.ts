import { sign } from 'node:crypto';

/** A part of a forged token: a value, or the exact text where the text is the point. */
export type ForgedPart = object | string;

/** Signs any header and payload with RS256, without a library that would object to them. */
export function forgeToken(header: ForgedPart, payload: ForgedPart, privatePem: string): string {
  const input = `${encodePart(header)}.${encodePart(payload)}`;
  return `${input}.${sign('sha256', Buffer.from(input), privatePem).toString('base64url')}`;
}

/** A part as base64url. */
export function encodePart(part: ForgedPart): string {
  const text = typeof part === 'string' ? part : JSON.stringify(part);
  return Buffer.from(text).toString('base64url');
}
