import { type AccountingSource, openAccounting } from './accounting.ts';
import { drawCallers } from './callers.ts';
import { contestantOf } from './contestants.ts';
import { formatTable } from './formatTable.ts';
import { measure } from './measure.ts';
import { openContestant } from './openContestant.ts';
import type { Ground } from './openGround.ts';
import { openLoader } from './openLoader.ts';
import { operations } from './operations.ts';
import type { Progress } from './progress.ts';
import { describeSizes, type Sizes } from './sizes.ts';

/** How far to grow, and how long to measure. */
export type GrowthOptions = {
  /** Whether to go to ten million rows and a hundred thousand organizations. */
  isLarge: boolean;
  seconds: number;
  warmUpSeconds: number;
  connections: number;
  poolSize: number;
  callers: number;
  /** How long to wait for others on the machine to be quiet, and to repeat what they disturbed. */
  patienceSeconds: number;
  /** Who books the CPU time. */
  accounting: AccountingSource;
};

/** Few rows; many rows; many rows of many organizations. */
const steps: Record<'usual' | 'large', readonly Sizes[]> = {
  usual: [
    { documents: 10_000, organizations: 10, users: 1_000 },
    { documents: 1_000_000, organizations: 10, users: 1_000 },
    { documents: 1_000_000, organizations: 10_000, users: 10_000 },
  ],
  large: [
    { documents: 10_000, organizations: 10, users: 1_000 },
    { documents: 10_000_000, organizations: 10, users: 1_000 },
    { documents: 10_000_000, organizations: 100_000, users: 100_000 },
  ],
};

/** Measures the reads of the bare contestant while the database grows. */
export async function compareGrowth(
  ground: Ground,
  options: GrowthOptions,
  progress: Progress,
): Promise<string> {
  const rows: string[][] = [];
  const smallest = new Map<string, { postgresMs: number; totalMs: number }>();
  const loader = openLoader();
  try {
    for (const sizes of steps[options.isLarge ? 'large' : 'usual']) {
      const database = await ground.openDatabase(sizes);
      try {
        const accounting = await openAccounting(
          database.superuser,
          [loader.pid],
          options.accounting,
        );
        const callers = await drawCallers(database.superuser, ground.issuer, options.callers);
        const [operation, caller] = [operations[0], callers[0]];
        if (!operation || !caller) throw new RangeError('There is nothing to ask.');
        const running = await openContestant(contestantOf('bare'), {
          databaseUrl: database.apiUrl,
          poolSize: options.poolSize,
          issuer: ground.issuer,
          first: { operation, caller },
        });
        try {
          for (const next of operations) {
            if (next.name === 'Create') continue;
            progress.show(`${describeSizes(sizes)}: ${next.title}`);
            const measuring = { ...options, loader, accounting, callers, rate: 0 };
            const sample = await measure(running, next, measuring);
            const { postgresMs } = sample;
            const totalMs = postgresMs + sample.nodeMs;
            const first = smallest.get(next.name) ?? { postgresMs, totalMs };
            smallest.set(next.name, first);
            rows.push([
              `${next.title}: ${describeSizes(sizes)}`,
              sample.requestsPerSecond.toFixed(0),
              postgresMs.toFixed(3),
              totalMs.toFixed(3),
              (postgresMs / first.postgresMs).toFixed(2),
              (totalMs / first.totalMs).toFixed(2),
            ]);
          }
        } finally {
          await running.close();
        }
      } finally {
        await database.close();
      }
    }
    progress.say('Measured');
  } finally {
    await loader.close();
  }
  const order = operations.map(({ title }) => `${title}: `);
  const orderOf = (label = '') => order.findIndex((start) => label.startsWith(start));
  rows.sort(([a], [b]) => orderOf(a) - orderOf(b));
  const head = ['', 'req/s', 'CPU ms: Postgres', 'together', 'growth: Postgres', 'together'];
  return formatTable(head, rows);
}
