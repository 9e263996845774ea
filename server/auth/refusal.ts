import { RowhouseError } from '../../platform/errors/registry.ts';

/**
 * Why a request was not let in. For logs and metrics only: the caller gets the same bytes for each.
 */
export type TokenRefusal =
  /** No Authorization header. */
  | 'missing'
  /** Not a bearer token of three canonical base64url parts under 8 KB with a plain JOSE header. */
  | 'malformed'
  /** Signed, or said to be signed, with anything but RS256. */
  | 'algorithm'
  /** The issuer publishes no key of this id. */
  | 'unknown-key'
  /** The signature does not match. */
  | 'signature'
  | 'expired'
  /** `nbf` or `iat` lies in the future. */
  | 'not-yet-valid'
  | 'issuer'
  | 'audience'
  /** `azp` is not one of the configured origins. */
  | 'authorized-party'
  /** The session has still to choose an organization. */
  | 'pending'
  /** Signed by the issuer, but not a session token that Rowhouse understands. */
  | 'claims'
  /** The issuer's keys cannot be had. */
  | 'keys-unavailable';

/** The error for a refused token: `UNAUTHENTICATED`, with the reason as its cause. */
export function refusal(reason: TokenRefusal): RowhouseError {
  return new RowhouseError('UNAUTHENTICATED', { cause: reason });
}
