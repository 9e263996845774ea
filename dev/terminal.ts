import type { LifecycleLog } from '../platform/lifecycle.ts';
import type { LogLine } from './childProcess.ts';

/** Says one thing to whoever looks at the terminal. */
export function say(message: string): void {
  process.stdout.write(`${message}\n`);
}

/** What the stack shows of its parts' logs: requests, jobs and trouble. */
export function show(part: string, line: LogLine): void {
  const text = summary(line);
  if (text) say(`${part.padEnd(6)} ${text}`);
}

/** A lifecycle's log for people: only what went wrong. */
export const lifecycleLog: LifecycleLog = {
  info() {},
  error: (fields, message) => say(`${message}: ${describe(fields)}`),
  fatal: (fields, message) => say(`${message}: ${describe(fields)}`),
};

function summary(line: LogLine): string | undefined {
  const { level, msg, method, route, status, durationMs, operationName, errorCode, task, outcome } =
    line;
  if (msg === 'request') {
    const what = [method, route, operationName].filter(Boolean).join(' ');
    return `${what} ${status} ${durationMs} ms${errorCode ? ` ${errorCode}` : ''}`;
  }
  if (msg === 'job') return `${task} ${outcome} ${durationMs} ms`;
  if (level === 'info' || level === 'debug' || level === 'trace') return undefined;
  return [level, msg, line.console, line.phase, line.err && describe(line)]
    .filter(Boolean)
    .join(' ');
}

function describe(fields: object): string {
  const { err } = fields as { err?: { message?: string; cause?: { message?: string } } };
  const cause = err?.cause?.message;
  return [err?.message ?? JSON.stringify(fields), cause && `(${cause})`].filter(Boolean).join(' ');
}
