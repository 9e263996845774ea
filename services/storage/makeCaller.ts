import { S3ServiceException } from '@aws-sdk/client-s3';
import {
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
  isBrokenCircuitError,
  noop,
  retry,
  wrap,
} from 'cockatiel';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { StorageError } from './StorageError.ts';

/** Calls the store: in time, again where that may help, and not at all while it is down. */
export type Call = <Result>(
  work: (signal: AbortSignal) => Promise<Result>,
  options?: CallOptions,
) => Promise<Result>;

/** How one call differs. */
type CallOptions = {
  /** Whoever waits for it. */
  signal?: AbortSignal | undefined;
  /** False for what must not happen twice. */
  mayRepeat?: boolean;
  /**
   * For one try, of what takes the store long. Such a call goes past the breaker: all others
   * would wait for it where it is the one that finds out whether the store is back.
   */
  longTimeoutMs?: number;
};

/** The limits of calls. */
type CallerOptions = {
  /** For one try. */
  timeoutMs: number;
  /** For all tries together; unlimited where absent. */
  deadlineMs?: number | undefined;
  /** Told when the store begins to count as down, and when it is back. */
  onBreaker?: ((isOpen: boolean) => void) | undefined;
};

/** Tries after the first. */
const maxRetries = 2;
/** After so many failures in a row the store counts as down. */
const breaksAfter = 8;
/** While it is down it is asked no more often than this. */
const asksAgainMs = 2_000;
/** Retries that may be spent at once, and what each success earns: one in ten. */
const budget = { most: 10, earned: 0.1 };

/**
 * Makes what calls the store.
 *
 * @throws from calls: StorageError where the store said no, RowhouseError `UNAVAILABLE`
 * where it is away, slow or out of order.
 */
export function makeCaller({ timeoutMs, deadlineMs, onBreaker }: CallerOptions): Call {
  let retriesLeft = budget.most;
  const mayRetry = (error: unknown): boolean => {
    if (!isPassing(error) || retriesLeft < 1) return false;
    retriesLeft -= 1;
    return true;
  };
  const breaker = circuitBreaker(handleWhen(isPassing), {
    breaker: new ConsecutiveBreaker(breaksAfter),
    halfOpenAfter: asksAgainMs,
  });
  let isOpen = false;
  const tell = (isOpenNow: boolean) => {
    // It breaks again each time that the store is asked whether it is back.
    if (isOpen !== isOpenNow) onBreaker?.(isOpenNow);
    isOpen = isOpenNow;
  };
  breaker.onBreak(() => tell(true));
  breaker.onReset(() => tell(false));
  const again = retry(handleWhen(mayRetry), {
    maxAttempts: maxRetries,
    backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 1_000 }),
  });
  const repeated = wrap(again, breaker);
  const policyFor = (mayRepeat: boolean, isLong: boolean) => {
    if (isLong) return mayRepeat ? again : noop;
    return mayRepeat ? repeated : breaker;
  };

  return async (work, { signal, mayRepeat = true, longTimeoutMs } = {}) => {
    const outer = [signal, deadlineMs === undefined ? undefined : AbortSignal.timeout(deadlineMs)];
    const given = outer.filter((each) => each !== undefined);
    const limitMs = longTimeoutMs ?? timeoutMs;
    const policy = policyFor(mayRepeat, longTimeoutMs !== undefined);
    try {
      const result = await policy.execute(
        () => {
          for (const each of given) each.throwIfAborted();
          return work(AbortSignal.any([...given, AbortSignal.timeout(limitMs)]));
        },
        given.length > 0 ? AbortSignal.any(given) : undefined,
      );
      retriesLeft = Math.min(budget.most, retriesLeft + budget.earned);
      return result;
    } catch (error) {
      signal?.throwIfAborted();
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
  if (isBrokenCircuitError(error)) return false;
  if (!(error instanceof S3ServiceException)) return true;
  const status = error.$metadata.httpStatusCode ?? 0;
  const isBusy = status === 429 || status === 408 || error.name === 'SlowDown';
  // An answer without a body, to HEAD, does not say RequestTimeTooSkewed.
  const isClockSet = 'clockSkewCorrected' in error.$metadata;
  return (
    isBusy || isClockSet || status >= 500 || status < 400 || error.name === 'RequestTimeTooSkewed'
  );
}
