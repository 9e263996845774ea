import type { ServerResponse } from 'node:http';
import { type ErrorCode, errorCodes } from '../../platform/errors/registry.ts';
import { sendJson } from '../../platform/http/sendJson.ts';
import type { Observe } from '../../platform/observer.ts';
import { toldByKind } from '../graphqlErrors.ts';
import { stateOf } from './requestState.ts';
import type { OnError } from './stages.ts';

/** What `Retry-After` says with a 503, in seconds. */
export const retryAfterSeconds = '2';

/**
 * Answers a whole request with an error of the registry, in GraphQL's shape.
 *
 * @param message in place of the registry's; the client reads it.
 *
 * A 401 carries no request id in its body: it is the same bytes for every cause.
 */
export function sendError(
  response: ServerResponse,
  code: ErrorCode,
  message: string = errorCodes[code].message,
): void {
  const { status } = errorCodes[code];
  const state = stateOf(response.req);
  state.errorCode = code;
  if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
  if (status === 503) response.setHeader('Retry-After', retryAfterSeconds);
  const extensions = status === 401 ? { code } : { code, requestId: state.requestId };
  sendJson(response, status, { errors: [{ message, extensions }] });
}

/** What a stage threw becomes an answer with a code. */
export function answerErrors(observe: Observe): OnError {
  return (error, request, response) => {
    const { code, message } = toldByKind(error);
    const { requestId } = stateOf(request);
    if (code === 'INTERNAL' || code === 'UNAVAILABLE') {
      observe({ type: 'errorMasked', requestId, error });
    }
    if (response.headersSent) response.destroy();
    else sendError(response, code, message);
  };
}
