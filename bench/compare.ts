import { cpus, totalmem } from 'node:os';
import { type AccountingSource, openAccounting } from './accounting.ts';
import { type BenchCaller, drawCallers } from './callers.ts';
import { type ContestantKey, contestantOf } from './contestants.ts';
import { measure, type Sample, warmUp } from './measure.ts';
import { openContestant, type RunningContestant } from './openContestant.ts';
import type { Ground } from './openGround.ts';
import { openLoader } from './openLoader.ts';
import { type Operation, type OperationName, operations } from './operations.ts';
import type { Progress } from './progress.ts';
import { makeSameAnswers } from './sameAnswers.ts';
import type { Sizes } from './sizes.ts';

/** What to compare, and how long. */
export type CompareOptions = {
  sizes: Sizes;
  contestants: readonly ContestantKey[];
  operations: readonly OperationName[];
  rounds: number;
  seconds: number;
  warmUpSeconds: number;
  connections: number;
  poolSize: number;
  /** Requests per second at which latencies are measured; 0 for not at all. */
  rate: number;
  /** How long to wait for others on the machine to be quiet, and to repeat what they disturbed. */
  patienceSeconds: number;
  /** Who books the CPU time. */
  accounting: AccountingSource;
  /** Members who ask. */
  callers: number;
};

/** Everything that was measured, and where. */
export type Comparison = {
  date: string;
  machine: string;
  accounting: string;
  options: CompareOptions;
  samples: ComparedSample[];
  processes: ProcessSample[];
};
export type ComparedSample = Sample & {
  contestant: ContestantKey;
  operation: OperationName;
  round: number;
};
/** One life of a contestant's process. */
export type ProcessSample = {
  contestant: ContestantKey;
  round: number;
  /** From the start of the process to its first answer. */
  startMs: number;
  /** The most memory it had resident. */
  rssMb: number;
};

/** Members for whom all contestants must answer alike before anything is measured. */
const checkedCallers = 5;

/**
 * Runs the contestants in turn, a process each and one at a time, in several
 * rounds; every other round backwards, so that drift of the machine falls on all.
 */
export async function compare(
  ground: Ground,
  options: CompareOptions,
  progress: Progress,
): Promise<Comparison> {
  const database = await ground.openDatabase(options.sizes);
  const callers = await drawCallers(database.superuser, ground.issuer, options.callers);
  const chosen = operations.filter(({ name }) => options.operations.includes(name));
  const [operation, caller] = [operations[0], callers[0]];
  if (!operation || !caller) throw new RangeError('There is nothing to ask.');
  const sameAnswers = makeSameAnswers(chosen, callers.slice(0, checkedCallers));
  const loader = openLoader();
  const accounting = await openAccounting(database.superuser, [loader.pid], options.accounting);
  const measuring = { ...options, loader, accounting, callers };

  const samples: ComparedSample[] = [];
  const processes: ProcessSample[] = [];
  try {
    for (let round = 1; round <= options.rounds; round++) {
      const order = round % 2 === 1 ? options.contestants : [...options.contestants].reverse();
      for (const contestant of order) {
        const running = await openContestant(contestantOf(contestant), {
          databaseUrl: database.apiUrl,
          poolSize: options.poolSize,
          issuer: ground.issuer,
          first: { operation, caller },
        });
        try {
          await sameAnswers.check(running);
          await introduce(running, operation, callers);
          progress.show(`Round ${round} of ${options.rounds}: warming ${running.contestant.title}`);
          for (const next of chosen) await warmUp(running, next, measuring);
          for (const next of chosen) {
            progress.show(
              `Round ${round} of ${options.rounds}: ${running.contestant.title}, ${next.title}`,
            );
            const sample = await measure(running, next, measuring);
            samples.push({ contestant, operation: next.name, round, ...sample });
          }
          const rssMb = (await accounting.rssBytes(running)) / 1024 / 1024;
          processes.push({ contestant, round, startMs: running.startMs, rssMb });
        } finally {
          await running.close();
        }
        await database.removeCreated();
      }
    }
    progress.say('Measured');
  } finally {
    await loader.close();
    await database.close();
  }
  return {
    date: new Date().toISOString(),
    machine: describeMachine(),
    accounting: accounting.source,
    options,
    samples,
    processes,
  };
}

/** Has everybody seen once: what a first sight costs is nobody's everyday. */
async function introduce(
  running: RunningContestant,
  operation: Operation,
  callers: readonly BenchCaller[],
): Promise<void> {
  for (const caller of callers) await running.ask(operation, caller);
}

/** Processors, memory and versions: figures mean something only with them. */
export function describeMachine(): string {
  const [first] = cpus();
  const memoryGb = Math.round(totalmem() / 1024 ** 3);
  return `${cpus().length} cores (${first?.model.trim() || process.arch}), ${memoryGb} GB, ${process.platform}, Node ${process.version}`;
}
