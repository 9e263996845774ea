import { type Logger, pino } from 'pino';
import type { Config } from '../platform/config/settings.ts';
import { makeLogger } from '../platform/logging.ts';

/** How long a line may wait for others to be written with. */
const flushMs = 50;
const bufferBytes = 16 * 1024 * 1024;

/**
 * Makes the logger of a worker. Its lines leave together, a few times a second: a
 * worker does thousands of small jobs a second, and to write the line of each by
 * itself costs as much as the job. A process that is killed takes the last 50 ms along.
 */
export function openWorkerLog(config: Pick<Config, 'logLevel'>): Logger {
  const stdout = pino.destination({
    dest: 1,
    sync: false,
    minLength: 16_000,
    maxLength: bufferBytes,
  });
  setInterval(() => stdout.flush(), flushMs).unref();
  // Without its flushSync, which blocks the process where nobody reads stdout any more.
  const destination = {
    write: (line: string) => void stdout.write(line),
    flush: (done?: (error?: Error) => void) => stdout.flush(done),
  };
  return makeLogger(config, destination);
}
