import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { BenchCaller } from './callers.ts';
import type { Load, LoadRequest, LoadResult } from './load.ts';
import type { RunningContestant } from './openContestant.ts';
import { bodyOf, type Operation } from './operations.ts';

/** The other process, which makes the load. */
export type Loader = {
  pid: number;
  /** @throws where a request failed: its figures would be worth nothing. */
  run(load: Load): Promise<LoadResult>;
  close(): Promise<void>;
};

/** Starts the process that makes the load. */
export function openLoader(): Loader {
  const child = fork(fileURLToPath(new URL('./load.ts', import.meta.url)));
  return {
    pid: child.pid ?? 0,
    async run(load) {
      const answered = once(child, 'message');
      child.send(load);
      const [result] = (await answered) as [LoadResult];
      if (result.failed > 0) {
        throw new Error(`${result.failed} of ${result.answered + result.failed} requests failed.`);
      }
      return result;
    },
    async close() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}

/** The requests of an operation: one of each caller. */
export function requestsOf(
  { contestant }: Pick<RunningContestant, 'contestant'>,
  operation: Operation,
  callers: readonly BenchCaller[],
): LoadRequest[] {
  return callers.map((caller) => ({
    headers: { 'content-type': 'application/json', ...contestant.headers(caller) },
    body: bodyOf(operation, caller),
  }));
}
