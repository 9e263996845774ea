import type { Held, IsStep } from './pausing.ts';

/** Steps of some work, by name, at which a process that does it can be killed. */

/** A step that can be held on one of several ways. */
export type NamedStep<Way extends string> = {
  name: string;
  way: Way;
  where: Held;
  /** `mark` stands in what belongs to the work, such as the id of its row; '' where there is no other work. */
  isIt: (mark: string) => IsStep;
};

/** A statement. */
export const sql =
  (text: string) =>
  (mark: string): IsStep =>
  (step) =>
    step.includes(text) && step.includes(mark);

/** The end of the transaction in which that was written. */
export const commit =
  (text: string) =>
  (mark: string): IsStep =>
  (step, before) =>
    /commit\0/.test(step) && before.includes(text) && before.includes(mark);

/** A request over HTTP. */
export const request =
  (pattern: RegExp) =>
  (mark: string): IsStep =>
  (step) =>
    pattern.test(step) && step.includes(mark);

/** Waits for a step to be held. */
export function inTime(held: Promise<void>, name: string): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`Nobody came to the step "${name}".`)), 30_000);
  return Promise.race([held, promise]).finally(() => clearTimeout(timer));
}
