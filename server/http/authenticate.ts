import { RowhouseError } from '../../platform/errors/registry.ts';
import type { Observe } from '../../platform/observer.ts';
import type { TokenVerifier } from '../auth/verifyToken.ts';
import type { Provision } from '../provision.ts';
import { stateOf } from './requestState.ts';
import { sendError } from './sendError.ts';
import type { Stage } from './stages.ts';

/**
 * Lets in whoever has a valid token, and makes sure that the user, organization
 * and membership it names exist. Only the Authorization header counts.
 */
export function authenticate(
  verifier: Pick<TokenVerifier, 'verify'>,
  provision: Provision,
  observe: Observe,
): Stage {
  return async (request, response, next) => {
    const state = stateOf(request);
    try {
      state.claims = await verifier.verify(request.headers.authorization);
    } catch (error) {
      if (!(error instanceof RowhouseError) || error.code !== 'UNAUTHENTICATED') throw error;
      observe({ type: 'requestRefused', requestId: state.requestId, cause: String(error.cause) });
      return sendError(response, 'UNAUTHENTICATED');
    }
    await provision(state.claims);
    next();
  };
}
