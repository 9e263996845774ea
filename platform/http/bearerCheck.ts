import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Makes the check of a fixed bearer token, which takes the same time for every
 * guess. Without a token nothing is asked for: every header passes.
 */
export function makeBearerCheck(
  token: string | undefined,
): (authorization: string | undefined) => boolean {
  if (token === undefined) return () => true;
  const expected = digest(`Bearer ${token}`);
  // HTTP's names of schemes have no case.
  return (authorization = '') =>
    timingSafeEqual(expected, digest(authorization.replace(/^bearer /i, 'Bearer ')));
}

/** All of one length, as the comparison needs. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
