import { S3ServiceException } from '@aws-sdk/client-s3';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { isDown, makeTries, type RunOptions } from '../calls/makeTries.ts';
import { StorageError } from './StorageError.ts';

/** Calls the store: in time, again where that may help, and not at all while it is down. */
export type Call = <Result>(
  work: (signal: AbortSignal) => Promise<Result>,
  options?: Pick<RunOptions, 'signal' | 'mayRepeat' | 'longTimeoutMs'> & {
    /** The one object that it is about. As long as calls about one alone fail, it is the object that is bad. */
    key?: string;
  },
) => Promise<Result>;

/** The limits of calls. */
type CallerOptions = {
  /** For one try. */
  timeoutMs: number;
  /** For all tries together; unlimited where absent. */
  deadlineMs?: number | undefined;
  /** Told when the store begins to count as down, and when it is back. */
  onBreaker?: ((isOpen: boolean) => void) | undefined;
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
export function makeCaller({ timeoutMs, deadlineMs, onBreaker }: CallerOptions): Call {
  // Keys that have failed since the last call that did not.
  const failing = new Set<string>();
  const ofOneObject = new WeakSet<object>();
  const tries = makeTries({
    timeoutMs,
    deadlineMs,
    breaksAfter,
    asksAgainMs,
    isFailure: (error) => isPassing(error) && !ofOneObject.has(error as object),
    mayPass: isPassing,
    onDown: onBreaker,
  });
  return async (work, { key, ...options } = {}) => {
    const watched = async (signal: AbortSignal) => {
      try {
        const result = await work(signal);
        failing.clear();
        return result;
      } catch (error) {
        if (key !== undefined && isPassing(error)) {
          failing.add(key);
          if (failing.size === 1) ofOneObject.add(error as object);
        }
        throw error;
      }
    };
    try {
      return await tries.run(watched, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      throw told(error);
    }
  };
}

function told(error: unknown): Error {
  if (isPassing(error) || !(error instanceof S3ServiceException)) {
    return new RowhouseError('UNAVAILABLE', { cause: error });
  }
  return new StorageError(refusalOf(error), error);
}

function refusalOf(error: S3ServiceException): StorageError['kind'] {
  const status = error.$metadata.httpStatusCode;
  if (status === 404) return 'missing';
  return status === 412 || status === 409 ? 'changed' : 'refused';
}

/** Whether the same may work a moment later. A clock that was off has been set by the answer. */
function isPassing(error: unknown): boolean {
  if (isDown(error)) return false;
  if (!(error instanceof S3ServiceException)) return true;
  const status = error.$metadata.httpStatusCode ?? 0;
  const isBusy = status === 429 || status === 408 || error.name === 'SlowDown';
  // It does not know such a call, and will not learn it.
  if (status === 501) return false;
  // An answer without a body, to HEAD, does not say RequestTimeTooSkewed.
  const isClockSet = 'clockSkewCorrected' in error.$metadata;
  return (
    isBusy || isClockSet || status >= 500 || status < 400 || error.name === 'RequestTimeTooSkewed'
  );
}
