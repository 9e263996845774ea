import cors from 'cors';
import type { Stage } from './stages.ts';

/** Lets pages of exactly these origins ask and read, without cookies; answers preflights. */
export function crossOrigin(origins: readonly string[]): Stage {
  const answer = cors({
    origin: [...origins],
    credentials: false,
    methods: ['POST'],
    allowedHeaders: [
      'authorization',
      'content-type',
      'x-request-id',
      'traceparent',
      'x-expected-org',
    ],
    exposedHeaders: ['x-request-id', 'retry-after', 'ratelimit', 'ratelimit-policy'],
    maxAge: 600,
  });
  return (request, response, next) => {
    // Caches must not hand the answer for one origin to another.
    response.setHeader('Vary', 'Origin, Accept-Encoding');
    if (request.headers.origin === undefined && request.method !== 'OPTIONS') next();
    else answer(request, response, next);
  };
}
