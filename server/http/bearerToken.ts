import { createHash, timingSafeEqual } from 'node:crypto';
import { sendError } from './sendError.ts';
import type { Stage } from './stages.ts';

/** Asks for a fixed bearer token; for none where there is none to ask for. */
export function bearerToken(token: string | undefined): Stage {
  const expected = token === undefined ? undefined : digest(`Bearer ${token}`);
  return (request, response, next) => {
    // Digests have one length, so the comparison takes the same time for every guess.
    const given = digest(request.headers.authorization ?? '');
    if (expected && !timingSafeEqual(expected, given)) sendError(response, 'UNAUTHENTICATED');
    else next();
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
