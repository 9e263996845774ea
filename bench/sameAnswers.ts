import { deepStrictEqual } from 'node:assert';
import type { BenchCaller } from './callers.ts';
import type { RunningContestant } from './openContestant.ts';
import type { Operation } from './operations.ts';

/** Checks that all contestants answer alike, as they come. */
export type SameAnswers = {
  /** @throws where a contestant answers a caller otherwise than the first did. */
  check(running: RunningContestant): Promise<void>;
};

/** Makes the check of some operations for some callers. */
export function makeSameAnswers(
  operations: readonly Operation[],
  callers: readonly BenchCaller[],
): SameAnswers {
  const known = new Map<string, { title: string; answer: unknown }>();
  return {
    async check(running) {
      const { title } = running.contestant;
      for (const operation of operations) {
        for (const caller of callers) {
          const answer = normalize(await running.ask(operation, caller));
          assertMeaningful(operation, answer);
          const key = `${operation.name} ${caller.userId} ${caller.orgId}`;
          const first = known.get(key);
          if (!first) known.set(key, { title, answer });
          else assertSame(answer, first.answer, `${title} and ${first.title} answer ${key} apart`);
        }
      }
    },
  };
}

function assertSame(answer: unknown, expected: unknown, message: string): void {
  try {
    deepStrictEqual(answer, expected);
  } catch (cause) {
    throw new Error(message, { cause });
  }
}

/** Two contestants that both answer null would agree as well. */
function assertMeaningful({ name }: Operation, answer: unknown): void {
  const { data, errors } = answer as { data?: Record<string, unknown>; errors?: unknown };
  const field = data && Object.values(data)[0];
  if (errors || !field) throw new Error(`${name} was answered with ${JSON.stringify(answer)}`);
}

/** Each contestant writes cursors in its own way, and what is created is new each time. */
function normalize(answer: unknown): unknown {
  const isCreated = JSON.stringify(answer).startsWith('{"data":{"createDocument"');
  return JSON.parse(JSON.stringify(answer), (key, value) => {
    if (key === 'cursor' || key === 'endCursor') return typeof value;
    if (key === 'createdAt') return isCreated ? typeof value : Date.parse(value);
    if (key === 'id' && isCreated) return typeof value;
    return value;
  });
}
