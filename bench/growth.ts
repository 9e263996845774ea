import { type Accounting, type AccountingSource, openAccounting } from './accounting.ts';
import { type BenchCaller, drawCallers } from './callers.ts';
import { contestantOf } from './contestants.ts';
import { formatTable } from './formatTable.ts';
import { measure, type Sample } from './measure.ts';
import { openContestant, type RunningContestant } from './openContestant.ts';
import type { Ground } from './openGround.ts';
import { type Loader, openLoader } from './openLoader.ts';
import { type Operation, operations } from './operations.ts';
import type { Progress } from './progress.ts';
import { describeSizes, type Sizes } from './sizes.ts';
import { spreadOf } from './statistics.ts';

/** How far to grow, and how long to measure. */
export type GrowthOptions = {
  /** Whether to go to ten million rows and a hundred thousand organizations. */
  isLarge: boolean;
  rounds: number;
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

/** A database of one size, and the bare contestant on it. */
type Site = {
  sizes: Sizes;
  running: RunningContestant;
  callers: readonly BenchCaller[];
  accounting: Accounting;
  close(): Promise<void>;
};

/**
 * Measures the reads of the bare contestant on a small database and on larger ones, one after
 * the other in each round, so that what the machine does meanwhile befalls all of them.
 */
export async function compareGrowth(
  ground: Ground,
  options: GrowthOptions,
  progress: Progress,
): Promise<string> {
  const loader = openLoader();
  const sites: Site[] = [];
  try {
    for (const sizes of steps[options.isLarge ? 'large' : 'usual']) {
      sites.push(await openSite(ground, sizes, loader, options));
    }
    const rows: string[][] = [];
    for (const operation of operations) {
      if (operation.name === 'Create') continue;
      const rounds: Sample[][] = [];
      for (let round = 1; round <= options.rounds; round++) {
        progress.show(`${operation.title}: round ${round} of ${options.rounds}`);
        const samples: Sample[] = [];
        for (const { running, callers, accounting } of sites) {
          const measuring = { ...options, loader, accounting, callers, rate: 0 };
          samples.push(await measure(running, operation, measuring));
        }
        rounds.push(samples);
      }
      rows.push(...sites.map(({ sizes }, at) => rowOf(operation, sizes, rounds, at)));
    }
    progress.say('Measured');
    const head = [
      '',
      'req/s',
      'CPU ms: Postgres',
      'together',
      'times: Postgres',
      'together',
      'range',
    ];
    return formatTable(head, rows);
  } finally {
    for (const site of sites) await site.close();
    await loader.close();
  }
}

async function openSite(
  ground: Ground,
  sizes: Sizes,
  loader: Loader,
  { callers: count, poolSize, accounting: source }: GrowthOptions,
): Promise<Site> {
  const database = await ground.openDatabase(sizes);
  try {
    const accounting = await openAccounting(database.superuser, [loader.pid], source);
    const callers = await drawCallers(database.superuser, ground.issuer, count);
    const [operation, caller] = [operations[0], callers[0]];
    if (!operation || !caller) throw new RangeError('There is nothing to ask.');
    const running = await openContestant(contestantOf('bare'), {
      databaseUrl: database.apiUrl,
      poolSize,
      issuer: ground.issuer,
      first: { operation, caller },
    });
    const close = async () => {
      await running.close();
      await database.close();
    };
    return { sizes, running, callers, accounting, close };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Medians of the rounds, and of what each round took, divided by what it took on the first size. */
function rowOf({ title }: Operation, sizes: Sizes, rounds: readonly Sample[][], at: number) {
  const postgres = (sample: Sample | undefined) => sample?.postgresMs ?? Number.NaN;
  const together = (sample: Sample | undefined) =>
    postgres(sample) + (sample?.nodeMs ?? Number.NaN);
  const over = (of: (samples: Sample[]) => number) => spreadOf(rounds.map(of));
  const times = over((samples) => together(samples[at]) / together(samples[0]));
  return [
    `${title}: ${describeSizes(sizes)}`,
    over((samples) => samples[at]?.requestsPerSecond ?? Number.NaN).median.toFixed(0),
    over((samples) => postgres(samples[at])).median.toFixed(3),
    over((samples) => together(samples[at])).median.toFixed(3),
    over((samples) => postgres(samples[at]) / postgres(samples[0])).median.toFixed(2),
    times.median.toFixed(2),
    `${times.min.toFixed(2)}–${times.max.toFixed(2)}`,
  ];
}
