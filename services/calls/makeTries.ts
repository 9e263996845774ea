import {
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
  isBrokenCircuitError,
  retry,
  wrap,
} from 'cockatiel';

/** Does work of the outside world: in time, again where that may help, and not at all while it is down. */
export type Tries = {
  /**
   * @throws what the last try threw, or the reason of the signal; a `TimeoutError` where the
   * time was over; what `isDown` knows where it was not tried.
   */
  run<Result>(
    work: (signal: AbortSignal) => Promise<Result>,
    options?: RunOptions,
  ): Promise<Result>;
  /** Whether work would be refused right now without being tried. */
  isClosedToWork(): boolean;
};

/** How one piece of work differs. */
export type RunOptions = {
  /** Whoever waits for it. */
  signal?: AbortSignal | undefined;
  /** False for what must not happen twice. */
  mayRepeat?: boolean;
  /** For all tries together, where not what all work has. */
  deadlineMs?: number | undefined;
};

/** The limits, and what failures mean. */
export type TriesOptions = {
  /** For one try. */
  timeoutMs: number;
  /** For all tries together; unlimited where absent. */
  deadlineMs?: number | undefined;
  /** After so many failures in a row the other side counts as down. */
  breaksAfter: number;
  /** While it is down it is tried no more often than this. */
  asksAgainMs: number;
  /** Whether an error is a failure of the other side, rather than a no to what was asked. */
  isFailure(error: unknown): boolean;
  /** Whether the same may work a moment later. By default so after each failure. */
  mayPass?(error: unknown): boolean;
  /** How long the other side asked to be left alone. */
  askedPauseMs?(error: unknown): number | undefined;
  /** A try failed; `again` tells whether another follows. */
  onFailedTry?(error: unknown, again: boolean): void;
  /** The other side counts as down, or does no more. */
  onDown?(isDown: boolean): void;
};

/** Tries after the first. */
const maxRetries = 2;
/** Retries that may be spent at once, and what each success earns: one in ten. */
const budget = { most: 10, earned: 0.1 };
/** The pause before the first retry, at most; four times as long before the next. */
const firstPauseMs = 100;

/** Whether work was refused because the other side is down. */
export const isDown = isBrokenCircuitError;

/** Makes what tries work, with one budget of retries and one breaker for all of it. */
export function makeTries(options: TriesOptions): Tries {
  const { timeoutMs, asksAgainMs, isFailure, mayPass = isFailure, askedPauseMs } = options;
  let retriesLeft = budget.most;
  let askAgainAtMs = 0;

  const breaker = circuitBreaker(
    handleWhen((error) => !(error instanceof NobodyWaits) && isFailure(error)),
    { breaker: new ConsecutiveBreaker(options.breaksAfter), halfOpenAfter: asksAgainMs },
  );
  breaker.onBreak(() => {
    askAgainAtMs = Date.now() + asksAgainMs;
    options.onDown?.(true);
  });
  breaker.onReset(() => options.onDown?.(false));

  /** Tries again, within the budget and the deadline of one piece of work. */
  const makeRetry = (endsAtMs: number) => {
    let retries = 0;
    let pauseMs = 0;
    const mayRetry = (error: unknown) => {
      if (error instanceof NobodyWaits || isDown(error)) return false;
      if (!isFailure(error) && !mayPass(error)) return false;
      pauseMs = Math.max(askedPauseMs?.(error) ?? 0, Math.random() * firstPauseMs * 4 ** retries);
      const hasTime = performance.now() + pauseMs < endsAtMs;
      const isUp = breaker.state === CircuitState.Closed;
      const hasRetries = retries < maxRetries && retriesLeft >= 1;
      const again = isUp && hasTime && hasRetries && mayPass(error);
      options.onFailedTry?.(error, again);
      if (!again) return false;
      retries += 1;
      retriesLeft -= 1;
      return true;
    };
    const backoff = new DelegateBackoff(() => pauseMs);
    return retry(handleWhen(mayRetry), { maxAttempts: maxRetries, backoff });
  };

  return {
    async run(work, { signal, mayRepeat = true, deadlineMs = options.deadlineMs } = {}) {
      signal?.throwIfAborted();
      const deadline = deadlineMs === undefined ? undefined : AbortSignal.timeout(deadlineMs);
      const endsAtMs =
        deadlineMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + deadlineMs;
      const outer = [signal, deadline].filter((each) => each !== undefined);
      const tryOnce = async () => {
        for (const each of outer) each.throwIfAborted();
        const beganMs = performance.now();
        try {
          return await work(AbortSignal.any([...outer, AbortSignal.timeout(timeoutMs)]));
        } catch (error) {
          const isHardlyTried = deadline?.aborted && performance.now() - beganMs < timeoutMs / 4;
          throw signal?.aborted || isHardlyTried ? new NobodyWaits() : error;
        }
      };
      const policy = mayRepeat ? wrap(makeRetry(endsAtMs), breaker) : breaker;
      const result = await orAborted(policy.execute(tryOnce), outer);
      retriesLeft = Math.min(budget.most, retriesLeft + budget.earned);
      return result;
    },
    isClosedToWork() {
      if (breaker.state === CircuitState.HalfOpen) return true;
      return breaker.state === CircuitState.Open && Date.now() < askAgainAtMs;
    },
  };
}

/** Whoever wanted the work is gone, or gave it next to no time: that says nothing about the other side. */
class NobodyWaits extends Error {
  override readonly name = 'NobodyWaits';
}

/** Ends with the first signal, even in a pause or behind the try that finds out whether all is well again. */
async function orAborted<Result>(
  work: Promise<Result>,
  signals: readonly AbortSignal[],
): Promise<Result> {
  const any = AbortSignal.any([...signals]);
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(any.reason);
    any.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } catch (error) {
    any.throwIfAborted();
    throw error;
  } finally {
    any.removeEventListener('abort', onAbort);
  }
}
