import { createHmac, randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { format } from 'node:util';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Config } from './config/settings.ts';
import { serializeError } from './errors/serializeError.ts';

/** What waits for a slow reader of stdout at most; beyond it lines are dropped. */
const bufferBytes = 16 * 1024 * 1024;

/** Lines leave together: as many as fill this, or what has come within the delay. */
const writeBytes = 8_192;
const lineDelayMs = 50;

/** Keys whose value is never written, at the top of a line and where headers are logged. */
const secretKeys = ['authorization', 'cookie', 'password', 'token', 'secret'];
const headerPaths = ['headers', 'req.headers', 'request.headers'];

/**
 * Makes the logger of a process: one JSON object a line, on stdout.
 *
 * Lines are written asynchronously, so that a slow reader does not stop requests;
 * `flush` calls back when they are out, and an ordinary exit writes the rest.
 * @param destination in place of stdout.
 */
export function makeLogger(
  config: Pick<Config, 'logLevel'>,
  destination: DestinationStream = openStdout(),
): Logger {
  return pino(
    {
      level: config.logLevel,
      base: null,
      timestamp: makeTimestamp(),
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError },
      // Exact paths cost nothing on the lines they do not match; a wildcard costs as much as the line.
      redact: [
        ...secretKeys,
        ...headerPaths.flatMap((path) => secretKeys.map((key) => `${path}.${key}`)),
      ],
    },
    destination,
  );
}

/** The time of a line, in ISO 8601; spelled out once for all lines of a millisecond. */
function makeTimestamp(): () => string {
  let lastMs = 0;
  let text = '';
  return () => {
    const nowMs = Date.now();
    if (nowMs !== lastMs) {
      lastMs = nowMs;
      text = `,"time":"${new Date(nowMs).toISOString()}"`;
    }
    return text;
  };
}

/** Turns the id of a user or an organization into 16 hex digits that only the key links to it. */
export type Pseudonym = (id: string) => string;

/**
 * Makes the pseudonyms of a key (HMAC-SHA256).
 * @param given none: a random one, so that pseudonyms link within this process only.
 * @param cacheSize ids kept in memory; callers come back.
 */
export function makePseudonym(given: string | undefined, cacheSize = 10_000): Pseudonym {
  const key = given ?? randomBytes(32);
  const known = new Map<string, string>();
  return (id) => {
    const cached = known.get(id);
    if (cached !== undefined) return cached;
    const hash = createHmac('sha256', key).update(id).digest('hex').slice(0, 16);
    if (known.size >= cacheSize) known.clear();
    known.set(id, hash);
    return hash;
  };
}

/** What a library may say at once; beyond it the line is cut. */
const maxConsoleLength = 4_000;

/**
 * Makes lines of the log of what libraries write to the console: Grafast reports
 * broken plans there. Of ours nothing does.
 */
export function logConsole(log: Pick<Logger, 'warn'>): void {
  const write = (...args: unknown[]) =>
    log.warn({ console: format(...args).slice(0, maxConsoleLength) }, 'console');
  Object.assign(console, { log: write, info: write, warn: write, error: write, dir: write });
}

function openStdout(): DestinationStream & { flush(done?: (error?: Error) => void): void } {
  // A write for each line would cost a busy process more than the line itself.
  const stdout = pino.destination({
    dest: 1,
    sync: false,
    minLength: writeBytes,
    periodicFlush: lineDelayMs,
    maxLength: bufferBytes,
  });
  // pino calls it as the process exits.
  stdout.flushSync = () => writeRest(stdout as unknown as Unwritten);
  // Without its flushSync, which pino calls after a fatal line: where nobody reads stdout any more
  // it blocks the process for ever. Whoever ends a process waits for `flush`, for a while.
  return {
    write: (line) => void stdout.write(line),
    flush: (done) => stdout.flush(done),
  };
}

/** What pino's stream has not handed to the system yet: the text under way, unless a write has it, and what follows. */
type Unwritten = { _writing: boolean; _writingBuf: string; _bufs: string[] };

/** How long a reader that does not keep up may hold a process that exits. */
const restWithinMs = 1_000;

/**
 * Writes what is left, at once, as the stream's own flushSync does; but that one never
 * gives up where nobody reads any more, and the process would not end.
 */
function writeRest({ _writing, _writingBuf, _bufs }: Unwritten): void {
  let rest = Buffer.from((_writing ? '' : _writingBuf) + _bufs.join(''));
  const untilMs = performance.now() + restWithinMs;
  while (rest.length > 0 && performance.now() < untilMs) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}
