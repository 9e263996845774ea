import { expect, test } from '@jest/globals';
import type { Comparison } from './compare.ts';
import { summarize } from './summarize.ts';

const latencies = { p50Ms: 1, p99Ms: 2 } as never;

/** A comparison of CPU milliseconds of Node, one row for each contestant and one figure a round. */
function comparisonOf(rounds: Record<string, number[]>): Comparison {
  const contestants = Object.keys(rounds);
  return {
    options: { contestants, operations: ['Me'] },
    samples: contestants.flatMap((contestant) =>
      (rounds[contestant] ?? []).map((nodeMs, i) => ({
        contestant,
        operation: 'Me',
        round: i + 1,
        requestsPerSecond: 100,
        nodeMs,
        postgresMs: 1,
        strangerCores: 0,
        busyLatencies: latencies,
      })),
    ),
    processes: contestants.map((contestant) => ({ contestant, round: 1, startMs: 10, rssMb: 20 })),
  } as unknown as Comparison;
}

test('a ratio is the other’s CPU for one of its own, Node and Postgres together, round by round', () => {
  // The second round was slow for both: each ratio is of its own round.
  const { operations } = summarize(comparisonOf({ bare: [1, 3, 1], plain: [3, 7, 5] }));
  const [bare, plain] = operations;
  expect(bare?.timesPlain).toEqual({ median: 2, min: 2, max: 3 });
  expect(plain?.timesPlain).toEqual({ median: 1, min: 1, max: 1 });
  expect(bare?.totalMs).toEqual({ median: 2, min: 2, max: 4 });
});

test('there is no ratio to whom nobody measured, and no latency without a rate', () => {
  const [bare] = summarize(comparisonOf({ bare: [1] })).operations;
  expect(bare).toMatchObject({ timesPlain: undefined, timesHandwritten: undefined });
  expect(bare).toMatchObject({ rateP50Ms: undefined, rateP99Ms: undefined });
});

test('the life of each contestant’s process is told', () => {
  const { processes } = summarize(comparisonOf({ bare: [1] }));
  expect(processes).toEqual([
    {
      contestant: 'bare',
      startMs: { median: 10, min: 10, max: 10 },
      rssMb: { median: 20, min: 20, max: 20 },
    },
  ]);
});

test('a contestant without a figure is an error, not a gap', () => {
  expect(() => summarize(comparisonOf({ bare: [] }))).toThrow('was not measured');
});
