import type { ComparedSample, Comparison } from './compare.ts';
import type { ContestantKey } from './contestants.ts';
import type { OperationName } from './operations.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** One contestant at one operation, over all rounds. */
export type Summary = {
  contestant: ContestantKey;
  operation: OperationName;
  requestsPerSecond: Spread;
  nodeMs: Spread;
  postgresMs: Spread;
  /** Node and Postgres together: what counts. */
  totalMs: Spread;
  rateP50Ms: Spread | undefined;
  rateP99Ms: Spread | undefined;
  /** CPU of the other for one CPU of this one, compared round by round: more is better. */
  timesPlain: Spread | undefined;
  timesHandwritten: Spread | undefined;
};

/** The life of a contestant's process, over all rounds. */
export type ProcessSummary = { contestant: ContestantKey; startMs: Spread; rssMb: Spread };

/** Medians, ranges and ratios of a comparison, in its order. */
export function summarize({ options, samples, processes }: Comparison): {
  operations: Summary[];
  processes: ProcessSummary[];
} {
  const of = (operation: OperationName, contestant: ContestantKey) =>
    samples.filter((one) => one.operation === operation && one.contestant === contestant);
  return {
    operations: options.operations.flatMap((operation) =>
      options.contestants.map((contestant) =>
        summarizeOne(
          of(operation, contestant),
          of(operation, 'plain'),
          of(operation, 'handwritten'),
        ),
      ),
    ),
    processes: options.contestants.map((contestant) => {
      const lives = processes.filter((life) => life.contestant === contestant);
      return {
        contestant,
        startMs: spreadOf(lives.map(({ startMs }) => startMs)),
        rssMb: spreadOf(lives.map(({ rssMb }) => rssMb)),
      };
    }),
  };
}

const totalMs = ({ nodeMs, postgresMs }: ComparedSample) => nodeMs + postgresMs;

function summarizeOne(
  own: readonly ComparedSample[],
  plain: readonly ComparedSample[],
  handwritten: readonly ComparedSample[],
): Summary {
  const [first] = own;
  if (!first) throw new RangeError('A contestant was not measured.');
  const { contestant, operation } = first;
  const over = (value: (sample: ComparedSample) => number) => spreadOf(own.map(value));
  const hasRate = first.rateLatencies !== undefined;
  return {
    contestant,
    operation,
    requestsPerSecond: over((sample) => sample.requestsPerSecond),
    nodeMs: over((sample) => sample.nodeMs),
    postgresMs: over((sample) => sample.postgresMs),
    totalMs: over(totalMs),
    rateP50Ms: hasRate ? over((sample) => sample.rateLatencies?.p50Ms ?? Number.NaN) : undefined,
    rateP99Ms: hasRate ? over((sample) => sample.rateLatencies?.p99Ms ?? Number.NaN) : undefined,
    timesPlain: ratio(own, plain),
    timesHandwritten: ratio(own, handwritten),
  };
}

/** Only figures of the same round are compared: they met the machine in the same mood. */
function ratio(
  own: readonly ComparedSample[],
  others: readonly ComparedSample[],
): Spread | undefined {
  const ratios = own.flatMap((sample) => {
    const other = others.find(({ round }) => round === sample.round);
    return other ? [totalMs(other) / totalMs(sample)] : [];
  });
  return ratios.length > 0 ? spreadOf(ratios) : undefined;
}
