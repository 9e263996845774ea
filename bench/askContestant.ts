import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Question, Usage } from './contestants/remote.ts';

/** Asks the process of a contestant, by its preload; questions are asked one after the other. */
export async function askContestant(
  child: ChildProcess,
  question: Extract<Question, { ask: 'usage' }>,
): Promise<Usage>;
export async function askContestant(child: ChildProcess, question: Question): Promise<unknown>;
export async function askContestant(child: ChildProcess, question: Question): Promise<unknown> {
  const answered = once(child, 'message');
  child.send(question);
  const [answer] = await answered;
  return answer;
}
