import { makeBearerCheck } from '../../platform/http/bearerCheck.ts';
import { sendError } from './sendError.ts';
import type { Stage } from './stages.ts';

/** Asks for a fixed bearer token; for none where there is none to ask for. */
export function bearerToken(token: string | undefined): Stage {
  const isAllowed = makeBearerCheck(token);
  return (request, response, next) => {
    if (isAllowed(request.headers.authorization)) next();
    else sendError(response, 'UNAUTHENTICATED');
  };
}
