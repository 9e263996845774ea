import { stateOf } from './requestState.ts';
import { sendError } from './sendError.ts';
import type { Stage } from './stages.ts';

/**
 * Refuses a request whose `X-Expected-Org` names another organization than its token: a page that
 * was opened for one organization must not write to another, to which a second tab has switched.
 * The personal space goes by the user's id. Without the header nothing is expected.
 */
export const expectedOrg: Stage = (request, response, next) => {
  const expected = request.headers['x-expected-org'];
  if (expected === undefined || expected === stateOf(request).claims?.orgId) return next();
  sendError(response, 'CONFLICT', 'The token is for another organization than `X-Expected-Org`.');
};
