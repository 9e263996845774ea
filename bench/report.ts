import type { Comparison } from './compare.ts';
import { contestantOf } from './contestants.ts';
import { formatTable } from './formatTable.ts';
import { goals, maxRssMb, maxStartMs } from './goals.ts';
import { operations } from './operations.ts';
import { type Spread, spreadOf } from './statistics.ts';
import { type Summary, summarize } from './summarize.ts';

/** A comparison as text: a table for each operation, the processes, the goals. */
export function report(comparison: Comparison): string {
  const summary = summarize(comparison);
  const { options } = comparison;
  const strangers = spreadOf(comparison.samples.map(({ strangerCores }) => strangerCores));
  const parts = options.operations.map((name) => {
    const own = summary.operations.filter(({ operation }) => operation === name);
    const title = operations.find((operation) => operation.name === name)?.title ?? name;
    return `${title}\n${operationTable(own, options.rate)}`;
  });
  const processes = summary.processes.map(({ contestant, startMs, rssMb }) => [
    contestantOf(contestant).title,
    withRange(startMs, 0),
    withRange(rssMb, 0),
  ]);
  return [
    `${comparison.date}, ${comparison.machine}`,
    `CPU time from ${comparison.accounting}; load, Node and Postgres share the machine.`,
    `Strangers used ${withRange(strangers, 2)} cores meanwhile: the fewer, the better the figures.`,
    ...parts,
    `processes\n${formatTable(['', 'start to first answer ms', 'RSS MB'], processes)}`,
    `goals\n${goalTable(comparison)}`,
  ].join('\n\n');
}

function operationTable(rows: readonly Summary[], rate: number): string {
  const head = [
    '',
    'req/s',
    'CPU ms: Node',
    'Postgres',
    'together',
    '× plain',
    '× handwritten',
    ...(rate > 0 ? [`p50 ms at ${rate}/s`, 'p99 ms'] : []),
  ];
  return formatTable(
    head,
    rows.map((row) => [
      contestantOf(row.contestant).title,
      withRange(row.requestsPerSecond, 0),
      row.nodeMs.median.toFixed(3),
      row.postgresMs.median.toFixed(3),
      withRange(row.totalMs, 3),
      row.timesPlain ? withRange(row.timesPlain, 2) : '',
      row.timesHandwritten ? withRange(row.timesHandwritten, 2) : '',
      ...(row.rateP50Ms && row.rateP99Ms
        ? [row.rateP50Ms.median.toFixed(2), withRange(row.rateP99Ms, 1)]
        : []),
    ]),
  );
}

function goalTable(comparison: Comparison): string {
  const summary = summarize(comparison);
  const ratios = goals.flatMap(({ contestant, operation, against, atLeast }) => {
    const row = summary.operations.find(
      (one) => one.contestant === contestant && one.operation === operation,
    );
    const ratio = against === 'plain' ? row?.timesPlain : row?.timesHandwritten;
    if (!ratio) return [];
    const what = `${contestant} against ${against}, ${operation}: CPU per request`;
    const verdict = ratio.median >= atLeast ? 'reached' : 'missed';
    return [[what, `at least × ${atLeast}`, `× ${withRange(ratio, 2)}`, verdict]];
  });
  const shipped = summary.processes.find(({ contestant }) => contestant === 'shipped');
  const limit = (what: string, { max }: Spread, most: number) => [
    `shipped, ${what}`,
    `at most ${most}`,
    max.toFixed(0),
    max <= most ? 'reached' : 'missed',
  ];
  return formatTable(
    ['', 'goal', 'measured', ''],
    [
      ...ratios,
      ...(shipped
        ? [
            limit('RSS in MB', shipped.rssMb, maxRssMb),
            limit('start to first answer in ms', shipped.startMs, maxStartMs),
          ]
        : []),
    ],
  );
}

/** The median, and the range of the rounds where it says something. */
function withRange({ median, min, max }: Spread, digits: number): string {
  const [low, high] = [min.toFixed(digits), max.toFixed(digits)];
  return low === high ? median.toFixed(digits) : `${median.toFixed(digits)} (${low}–${high})`;
}
