import type { Claims } from '../db/claims.ts';
import type { Generations } from './generations.ts';
import type { Uploads } from './uploads.ts';

declare global {
  namespace Grafast {
    /** What plans may read of a request. */
    interface Context {
      /** The verified token. */
      claims: Claims;
      requestId: string;
      /** Absent where no bucket is configured. */
      uploads?: Uploads | undefined;
      /** Absent where no AI service is configured. */
      generations?: Generations | undefined;
      /** What an organization's generations may cost in a month, in millionths, where it has no budget of its own. */
      aiBudgetMicros: number;
    }
  }
}
