import type { Pseudonym } from '../../platform/logging.ts';
import type { Observe } from '../../platform/observer.ts';
import { stateOf } from './requestState.ts';
import { pathOf, type Stage } from './stages.ts';

/**
 * Gives each request its id and its route, and reports how it ended, also when the
 * client went away.
 *
 * @param routes paths by which logs and metrics know a request; all others are `other`.
 */
export function observeRequests(
  observe: Observe,
  pseudonym: Pseudonym,
  routes: readonly string[],
): Stage {
  return (request, response, next) => {
    const state = stateOf(request);
    const path = pathOf(request);
    if (routes.includes(path)) state.route = path;
    response.setHeader('X-Request-Id', state.requestId);
    response.once('close', () => {
      if (!response.writableFinished) state.leaving.abort();
      const { claims } = state;
      observe({
        type: 'requestFinished',
        requestId: state.requestId,
        method: request.method ?? '',
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
