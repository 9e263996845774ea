import { S3ServiceException } from '@aws-sdk/client-s3';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { isDown, makeTries, type RunOptions } from '../calls/makeTries.ts';
import { StorageError } from './StorageError.ts';

/** Calls the store: in time, again where that may help, and not at all while it is down. */
export type Call = <Result>(
  work: (signal: AbortSignal) => Promise<Result>,
  options?: Pick<RunOptions, 'signal' | 'mayRepeat'>,
) => Promise<Result>;

/** The limits of calls. */
type CallerOptions = {
  /** For one try. */
  timeoutMs: number;
  /** For all tries together; unlimited where absent. */
  deadlineMs?: number | undefined;
};

/** After so many failures in a row the store counts as down. */
const breaksAfter = 8;
/** While it is down it is asked no more often than this. */
const asksAgainMs = 2_000;

/**
 * Makes what calls the store.
 *
 * @throws from calls: StorageError where the store said no, RowhouseError `UNAVAILABLE`
 * where it is away, slow or out of order.
 */
export function makeCaller({ timeoutMs, deadlineMs }: CallerOptions): Call {
  const isFailure = isPassing;
  const tries = makeTries({ timeoutMs, deadlineMs, breaksAfter, asksAgainMs, isFailure });
  return async (work, options = {}) => {
    try {
      return await tries.run(work, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      throw told(error);
    }
  };
}

function told(error: unknown): Error {
  const kind = isPassing(error) ? undefined : refusalOf(error);
  return kind ? new StorageError(kind, error) : new RowhouseError('UNAVAILABLE', { cause: error });
}

function refusalOf(error: unknown): StorageError['kind'] | undefined {
  if (!(error instanceof S3ServiceException)) return undefined;
  const status = error.$metadata.httpStatusCode ?? 0;
  if (status === 404) return 'missing';
  if (status === 412 || status === 409) return 'changed';
  return status >= 400 && status < 500 ? 'refused' : undefined;
}

/** Whether the same may work a moment later. A clock that was off has been set by the answer. */
function isPassing(error: unknown): boolean {
  if (isDown(error)) return false;
  if (!(error instanceof S3ServiceException)) return true;
  const status = error.$metadata.httpStatusCode ?? 0;
  const isBusy = status === 429 || status === 408 || error.name === 'SlowDown';
  return isBusy || status >= 500 || status < 400 || error.name === 'RequestTimeTooSkewed';
}
