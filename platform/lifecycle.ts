/** The part of a logger that a lifecycle calls. */
export type LifecycleLog = {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
  /** Calls back when what was logged so far is written. */
  flush?(done: () => void): void;
};

/** What a process opened, and how it ends. */
export type Lifecycle = {
  /**
   * Says that something is open and how to close it. What was opened last closes
   * first. A closer gets at most `timeoutMs` (default 5 s). What is opened while
   * the process closes is closed as well.
   */
  opened(name: string, close: () => unknown, timeoutMs?: number): void;
  /**
   * Closes everything, each phase timed and logged; a closer that fails or hangs
   * does not stop the rest. Later calls return the same promise.
   * @throws {AggregateError} at the end, with all that failed.
   */
  close(reason: string): Promise<void>;
  /**
   * Ends the process: on the first signal by closing, on another at once with
   * status 1; on an error that nobody caught by closing, with status 1. Where the
   * log cannot be written any more, it kills itself instead.
   */
  onSignals(signals?: readonly NodeJS.Signals[]): void;
};

/** What `makeLifecycle` needs. */
type LifecycleOptions = {
  log: LifecycleLog;
  /** For all closers together. After it the rest is only told to close. Default 23.5 s. */
  deadlineMs?: number;
};

type Opened = { name: string; close: () => unknown; timeoutMs: number };

/** One Ctrl-C can arrive twice: from the terminal, and passed on by npm. */
const sameKeyPressMs = 200;

/** Makes the lifecycle of a process. */
export function makeLifecycle({ log, deadlineMs = 23_500 }: LifecycleOptions): Lifecycle {
  const stack: Opened[] = [];
  const failures: Error[] = [];
  let closing: Promise<void> | undefined;
  let isClosed = false;

  function opened(name: string, close: () => unknown, timeoutMs = 5000): void {
    const phase = { name, close, timeoutMs };
    if (isClosed) void closePhase(phase, timeoutMs);
    else stack.push(phase);
  }

  function close(reason: string): Promise<void> {
    closing ??= closeAll(reason);
    return closing;
  }

  async function closeAll(reason: string): Promise<void> {
    const startedMs = performance.now();
    log.info({ reason }, 'closing');
    for (let phase = stack.pop(); phase !== undefined; phase = stack.pop()) {
      await closePhase(phase, startedMs + deadlineMs - performance.now());
    }
    isClosed = true;
    log.info({ reason, durationMs: since(startedMs), failures: failures.length }, 'closed');
    if (failures.length > 0) {
      throw new AggregateError(failures, failures.map(({ message }) => message).join('; '));
    }
  }

  async function closePhase(phase: Opened, leftMs: number): Promise<void> {
    const startedMs = performance.now();
    try {
      await within(Math.min(phase.timeoutMs, leftMs), phase.close);
      log.info({ phase: phase.name, durationMs: since(startedMs) }, 'closed phase');
    } catch (error) {
      failures.push(new Error(`could not close ${phase.name}`, { cause: error }));
      const fields = { phase: phase.name, durationMs: since(startedMs), err: error };
      log.error(fields, 'could not close phase');
    }
  }

  function onSignals(signals: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT']): void {
    let first: { signal: NodeJS.Signals; atMs: number } | undefined;
    const receive = (signal: NodeJS.Signals) => {
      const atMs = performance.now();
      if (first === undefined) {
        first = { signal, atMs };
        void end(signal, 0);
      } else if (signal !== first.signal || atMs - first.atMs > sameKeyPressMs) {
        void leave(1, 50);
      }
    };
    for (const signal of signals) process.on(signal, receive);

    const crash = (reason: string) => (error: unknown) => {
      log.fatal({ err: error }, reason);
      void end(reason, 1);
    };
    process.on('uncaughtException', crash('uncaught exception'));
    process.on('unhandledRejection', crash('unhandled rejection'));
  }

  let exitCode = 0;
  async function end(reason: string, code: 0 | 1): Promise<void> {
    exitCode = Math.max(exitCode, code);
    await close(reason).catch(() => {
      exitCode = 1;
    });
    await leave(exitCode, 1000);
  }

  /** Leaves when the log is written, or cannot be. */
  async function leave(code: number, flushWithinMs: number): Promise<void> {
    try {
      await within(flushWithinMs, () => new Promise<void>((done) => flush(log, done)));
      process.exit(code);
    } catch {
      // Nobody reads stdout any more: an ordinary exit would wait for it for ever.
      process.kill(process.pid, 'SIGKILL');
    }
  }

  return { opened, close, onSignals };
}

/** Runs `work`, and rejects when it takes longer than `limitMs`. Nothing stops the work itself. */
async function within(limitMs: number, work: () => unknown): Promise<void> {
  const timer = Promise.withResolvers<never>();
  const timeout = setTimeout(
    () => timer.reject(new Error(`took longer than ${Math.max(0, Math.round(limitMs))} ms`)),
    Math.max(0, limitMs),
  );
  try {
    await Promise.race([(async () => work())(), timer.promise]);
  } finally {
    clearTimeout(timeout);
  }
}

function flush(log: LifecycleLog, done: () => void): void {
  if (log.flush === undefined) done();
  else log.flush(done);
}

function since(startedMs: number): number {
  return Math.round(performance.now() - startedMs);
}
