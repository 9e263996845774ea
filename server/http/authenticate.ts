import { RowhouseError } from '../../platform/errors/registry.ts';
import type { Observe } from '../../platform/observer.ts';
import type { TokenVerifier } from '../auth/verifyToken.ts';
import { toldByKind } from '../graphqlErrors.ts';
import type { Provision } from '../provision.ts';
import type { RefusalTrail } from '../refusalTrail.ts';
import { stateOf } from './requestState.ts';
import { sendError } from './sendError.ts';
import type { Stage } from './stages.ts';

/**
 * Lets in whoever has a valid token, and makes sure that the user, organization
 * and membership it names exist. Only the Authorization header counts.
 *
 * Who is no longer a member is refused here, before anything is read of what they ask:
 * the audit trail tells of it as an operation `request`.
 */
export function authenticate(
  verifier: Pick<TokenVerifier, 'verify'>,
  provision: Provision,
  observe: Observe,
  refusals: Pick<RefusalTrail, 'record'>,
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
    try {
      await provision(state.claims);
    } catch (error) {
      const { code } = toldByKind(error);
      if (code === 'FORBIDDEN') {
        const { claims: caller, requestId, traceId } = state;
        refusals.record({ caller, operation: 'request', row: null, code, requestId, traceId });
      }
      throw error;
    }
    next();
  };
}
