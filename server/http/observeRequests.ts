import type { RequestHandler } from 'express';
import type { Pseudonym } from '../../platform/logging.ts';
import type { Observe } from '../../platform/observer.ts';
import { stateOf } from './requestState.ts';

/** Gives each request its id and reports how it ended, also when the client went away. */
export function observeRequests(observe: Observe, pseudonym: Pseudonym): RequestHandler {
  return (request, response, next) => {
    const state = stateOf(request);
    response.setHeader('X-Request-Id', state.requestId);
    response.once('close', () => {
      if (!response.writableFinished) state.leaving.abort();
      const { claims } = state;
      observe({
        type: 'requestFinished',
        requestId: state.requestId,
        method: request.method,
        route: state.route,
        // nginx's word for a client that left before the answer.
        status: response.writableFinished ? response.statusCode : 499,
        durationMs: Math.round((performance.now() - state.startedMs) * 100) / 100,
        operationName: state.operationName,
        operationType: state.operationType,
        errorCode: state.errorCode,
        userHash: claims && pseudonym(claims.userId),
        orgHash: claims && pseudonym(claims.orgId),
      });
    });
    next();
  };
}

/** Names the route for logs and metrics. */
export function route(name: string): RequestHandler {
  return (request, _response, next) => {
    stateOf(request).route = name;
    next();
  };
}
