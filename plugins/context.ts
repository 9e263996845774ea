import type { Claims } from '../db/claims.ts';

declare global {
  namespace Grafast {
    /** What plans may read of a request. */
    interface Context {
      /** The verified token. */
      claims: Claims;
      requestId: string;
    }
  }
}
