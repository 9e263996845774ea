import type { ContestantKey } from './contestants.ts';
import type { OperationName } from './operations.ts';

/** A ratio that the product promises. */
export type Goal = {
  contestant: ContestantKey;
  operation: OperationName;
  against: 'plain' | 'handwritten';
  /** The other's CPU per request divided by ours: at least this. */
  atLeast: number;
};

/** What `npm run bench` is there to show. */
export const goals: readonly Goal[] = [
  { contestant: 'shipped', operation: 'Me', against: 'plain', atLeast: 1.5 },
  { contestant: 'shipped', operation: 'Page', against: 'plain', atLeast: 1.3 },
  { contestant: 'shipped', operation: 'Nested', against: 'plain', atLeast: 1.1 },
  { contestant: 'bare', operation: 'Me', against: 'plain', atLeast: 2.2 },
  { contestant: 'bare', operation: 'Page', against: 'plain', atLeast: 1.6 },
  { contestant: 'bare', operation: 'Nested', against: 'plain', atLeast: 1.4 },
  { contestant: 'bare', operation: 'Me', against: 'handwritten', atLeast: 0.8 },
  { contestant: 'bare', operation: 'Page', against: 'handwritten', atLeast: 0.8 },
  { contestant: 'bare', operation: 'Nested', against: 'handwritten', atLeast: 0.8 },
];

/** The most memory the shipped API may have resident, in megabytes. */
export const maxRssMb = 350;
/** The longest the shipped API may take from its start to its first answer, in milliseconds. */
export const maxStartMs = 3_000;
