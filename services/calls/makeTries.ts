import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
  isBrokenCircuitError,
  retry,
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
  /**
   * For one try, of what takes the other side long. Such work goes past the breaker: all other
   * would be refused for as long, were it the one that finds out whether the other side is back.
   */
  longTimeoutMs?: number | undefined;
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
  /** Whether an error came of this side, and says nothing about the other. By default none does. */
  isOurs?(error: unknown): boolean;
  /** Whether the same may work a moment later. By default so after each failure. */
  mayPass?(error: unknown): boolean;
  /** How long the other side asked to be left alone. */
  askedPauseMs?(error: unknown): number | undefined;
  /** A try failed; `again` tells whether another follows. */
  onFailedTry?(error: unknown, again: boolean): void;
  /** The other side counts as down, or does no more. */
  onDown?: ((isDown: boolean) => void) | undefined;
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
  const isOurs = (error: unknown) =>
    error instanceof NobodyWaits || options.isOurs?.(error) === true;
  let retriesLeft = budget.most;
  let askAgainAtMs = 0;

  const isAsking = () => breaker.state === CircuitState.HalfOpen;
  // What asks whether the other side is back and learns nothing must not count as a yes.
  const counts = (error: unknown) => (isOurs(error) ? isAsking() : isFailure(error));
  const breaker = circuitBreaker(handleWhen(counts), {
    breaker: new ConsecutiveBreaker(options.breaksAfter),
    halfOpenAfter: asksAgainMs,
  });
  let wasDown = false;
  const tell = (isDownNow: boolean) => {
    // It breaks again each time that the other side is asked whether it is back.
    if (wasDown !== isDownNow) options.onDown?.(isDownNow);
    wasDown = isDownNow;
  };
  breaker.onBreak(() => {
    askAgainAtMs = Date.now() + asksAgainMs;
    tell(true);
  });
  breaker.onReset(() => tell(false));

  /** Tries again, within the budget and the deadline of one piece of work. */
  const makeRetry = (endsAtMs: number) => {
    let retries = 0;
    let pauseMs = 0;
    const mayRetry = (error: unknown) => {
      if (isOurs(error) || isDown(error)) return false;
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
    async run(
      work,
      { signal, mayRepeat = true, deadlineMs = options.deadlineMs, longTimeoutMs } = {},
    ) {
      signal?.throwIfAborted();
      const limitMs = longTimeoutMs ?? timeoutMs;
      const deadline = deadlineMs === undefined ? undefined : AbortSignal.timeout(deadlineMs);
      const endsAtMs =
        deadlineMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + deadlineMs;
      const outer = [signal, deadline].filter((each) => each !== undefined);
      const tryOnce = async () => {
        for (const each of outer) each.throwIfAborted();
        const beganMs = performance.now();
        const limits = [...outer, AbortSignal.timeout(limitMs)];
        try {
          // Whether the work heeds them or not: a connection that hangs may not.
          return await orAborted(work(AbortSignal.any(limits)), limits);
        } catch (error) {
          const isHardlyTried = deadline?.aborted && performance.now() - beganMs < limitMs / 4;
          throw signal?.aborted || isHardlyTried ? new NobodyWaits() : error;
        }
      };
      const once = () => {
        if (longTimeoutMs !== undefined) return tryOnce();
        // One asks whether the other side is back, and nobody waits for what it hears.
        if (isAsking()) throw new BrokenCircuitError();
        return breaker.execute(tryOnce);
      };
      const tried = mayRepeat ? makeRetry(endsAtMs).execute(once) : once();
      const result = await orAborted(tried, outer);
      retriesLeft = Math.min(budget.most, retriesLeft + budget.earned);
      return result;
    },
    isClosedToWork() {
      if (isAsking()) return true;
      return breaker.state === CircuitState.Open && Date.now() < askAgainAtMs;
    },
  };
}

/** Whoever wanted the work is gone, or gave it next to no time: that says nothing about the other side. */
class NobodyWaits extends Error {
  override readonly name = 'NobodyWaits';
}

/** Ends with the first signal, whatever the work does about it. */
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
