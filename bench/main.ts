import '../server/graphileEnv.ts';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { projectRoot } from '../platform/config/settings.ts';
import { accountingOfMachine, accountingSources } from './accounting.ts';
import { chart } from './chart.ts';
import { type Comparison, compare, describeMachine } from './compare.ts';
import { contestantKeys } from './contestants.ts';
import { compareGrowth } from './growth.ts';
import { compareJobs } from './jobs.ts';
import { compareNetworks } from './network.ts';
import { type Ground, openGround } from './openGround.ts';
import { operationNames } from './operations.ts';
import { profile } from './profile.ts';
import { makeProgress, type Progress } from './progress.ts';
import { report } from './report.ts';
import { compareRls } from './rls.ts';
import { defaultSizes, type Sizes } from './sizes.ts';
import { summarize } from './summarize.ts';

/** `npm run bench`: side-by-side benchmarks. What they mean is in docs/performance.md. */

type SizeFlags = Sizes;

/** Where figures are kept that the docs quote. */
const resultsDir = join(import.meta.dirname, 'results');

/** As much as who has millions of rows gives Postgres. */
const largeMemory = { shared_buffers: '2GB' };

const program = new Command('bench')
  .description('Measures Rowhouse beside others that do the same. See docs/performance.md.')
  .showHelpAfterError();

const compareCommand = program
  .command('compare', { isDefault: true })
  .description(
    'all contestants at all operations; writes bench/results/latest.{json,svg}, of some of them .data/bench/results',
  );
withSizes(withLoad(compareCommand))
  .addOption(count('--rounds <n>', 'rounds, each with new processes', 3))
  .addOption(number('--warm-up <s>', 'seconds of load before each measurement', 2))
  .addOption(patience())
  .addOption(accounting())
  .addOption(number('--rate <n>', 'requests per second for the latencies; 0 leaves them out', 200))
  .addOption(list('--contestants <names>', 'whom', contestantKeys))
  .addOption(list('--operations <names>', 'what', operationNames))
  .action((flags) => {
    const { warmUp: warmUpSeconds, patience: patienceSeconds, ...given } = flags;
    const options = { ...given, warmUpSeconds, patienceSeconds, sizes: sizesOf(flags) };
    return onGround(async (ground, progress) => {
      const comparison = await compare(ground, options, progress);
      return `${report(comparison)}\n\nWritten to ${writeResults(comparison)}.`;
    });
  });

withSizes(withCallers(program.command('network')))
  .description(
    'latency with a network between the contestants and Postgres; writes bench/results/network-<ms>ms.txt',
  )
  .addOption(number('--round-trip <ms>', 'what the network adds to a round trip', 2))
  .action((flags) => {
    const options = { ...flags, roundTripMs: flags.roundTrip, sizes: sizesOf(flags) };
    return onGround(async (ground, progress) =>
      keepTable(`network-${flags.roundTrip}ms`, await compareNetworks(ground, options, progress)),
    );
  });

withLoad(program.command('growth'))
  .description(
    'what more rows and more organizations do to the reads of the bare core; writes bench/results/growth.txt',
  )
  .option('--large', 'up to ten million rows and 100,000 organizations: minutes, and 10 GB of disk')
  .addOption(count('--rounds <n>', 'rounds', 3))
  .addOption(number('--warm-up <s>', 'seconds of load before each measurement', 3))
  .addOption(patience())
  .addOption(accounting())
  .action((flags) =>
    onGroundWith(largeMemory, async (ground, progress) => {
      const { large, warmUp: warmUpSeconds, patience: patienceSeconds, ...given } = flags;
      const options = { ...given, isLarge: large === true, warmUpSeconds, patienceSeconds };
      return keepTable('growth', await compareGrowth(ground, options, progress));
    }),
  );

withSizes(program.command('rls'))
  .description(
    'the SQL of the reads under the policies, and without them; writes bench/results/rls.txt',
  )
  .addOption(count('--rounds <n>', 'rounds', 25))
  .addOption(number('--seconds <s>', 'seconds of each measurement', 0.2, 0.01))
  .action((flags) => {
    const options = { ...flags, sizes: sizesOf(flags) };
    return onGround(async (ground, progress) =>
      keepTable('rls', await compareRls(ground, options, progress)),
    );
  });

program
  .command('jobs')
  .description('jobs that do nothing, through our worker and through plain graphile-worker')
  .addOption(count('--jobs <n>', 'jobs of each round', 50_000))
  .addOption(count('--rounds <n>', 'rounds', 5))
  .addOption(count('--concurrency <n>', 'jobs at once', 8))
  .addOption(count('--pool-size <n>', "connections of a contestant's pool", 10))
  .addOption(count('--organizations <n>', 'whom the jobs belong to', 20))
  .action((flags) => onGround((ground, progress) => compareJobs(ground, flags, progress)));

// With few requests at once a core stays free, and waiting for one does not look like work.
withSizes(withLoad(program.command('profile'), { connections: 2 }))
  .description("where a contestant's time goes, by package and by function")
  .addOption(oneOf('--contestant <name>', 'whom', contestantKeys, 'bare'))
  .addOption(oneOf('--operation <name>', 'at what', operationNames, 'Page'))
  .addOption(count('--top <n>', 'functions to print', 40))
  .action((flags) => {
    const options = { ...flags, sizes: sizesOf(flags) };
    return onGround((ground, progress) => profile(ground, options, progress));
  });

await program.parseAsync();

/** Opens what everything stands on, prints what came out, and closes again, also on Ctrl-C. */
function onGround(work: (ground: Ground, progress: Progress) => Promise<string>): Promise<void> {
  return onGroundWith({}, work);
}

async function onGroundWith(
  settings: Readonly<Record<string, string>>,
  work: (ground: Ground, progress: Progress) => Promise<string>,
): Promise<void> {
  const progress = makeProgress();
  const ground = await openGround(progress, settings);
  // Contestants and load end with this process, and so does Postgres.
  process.once('SIGINT', () => void ground.close().finally(() => process.exit(130)));
  try {
    process.stdout.write(`\n${await work(ground, progress)}\n`);
  } finally {
    await ground.close();
  }
}

/** Keeps a table with the day, the machine and how it was asked for. */
function keepTable(name: string, table: string): string {
  const asked = ['npm run bench --', ...process.argv.slice(2)].join(' ');
  const head = `${asked}\n${new Date().toISOString()}, ${describeMachine()}`;
  mkdirSync(resultsDir, { recursive: true });
  writeFileSync(join(resultsDir, `${name}.txt`), `${head}\n\n${table}\n`);
  return table;
}

/** @returns where, from the root of the project. */
function writeResults(comparison: Comparison): string {
  // The samples name them.
  const { contestants, operations, ...options } = comparison.options;
  const isWhole =
    contestants.length === contestantKeys.length && operations.length === operationNames.length;
  const results = isWhole ? resultsDir : join(projectRoot, '.data/bench/results');
  mkdirSync(results, { recursive: true });
  const content = { ...comparison, options, summary: summarize(comparison) };
  writeFileSync(join(results, 'latest.json'), `${JSON.stringify(content, null, 2)}\n`);
  writeFileSync(join(results, 'latest.svg'), chart(comparison));
  return `${relative(projectRoot, results)}/latest.{json,svg}`;
}

function withSizes(command: Command): Command {
  return command
    .addOption(count('--documents <n>', 'rows of documents', defaultSizes.documents))
    .addOption(count('--organizations <n>', 'organizations', defaultSizes.organizations))
    .addOption(count('--users <n>', 'users', defaultSizes.users));
}

function withLoad(command: Command, { connections } = { connections: 16 }): Command {
  return withCallers(command).addOption(
    count('--connections <n>', 'requests at once', connections),
  );
}

function withCallers(command: Command): Command {
  return command
    .addOption(number('--seconds <s>', 'seconds of each measurement', 5, 0.1))
    .addOption(count('--pool-size <n>', "connections of a contestant's pool", 10))
    .addOption(count('--callers <n>', 'members who ask', 480));
}

function patience(): Option {
  return number('--patience <s>', 'seconds to wait until others on the machine are quiet', 0);
}

function accounting(): Option {
  const sources = 'who books the CPU time (statistics takes 22 seconds more a measurement)';
  return oneOf('--accounting <source>', sources, accountingSources, accountingOfMachine());
}

/** Each organization has members, and each of them documents: the operations ask for some of each. */
function sizesOf({ documents, organizations, users }: SizeFlags): Sizes {
  if (users < organizations) program.error('error: Give at least as many users as organizations.');
  if (documents < 10 * users) program.error('error: Give at least ten documents for each user.');
  return { documents, organizations, users };
}

function number(flags: string, description: string, value: number, least = 0): Option {
  return new Option(flags, description).default(value).argParser((text) => {
    const given = Number(text);
    if (!(given >= least && given < 1e9))
      throw new InvalidArgumentError(`Give a number from ${least}.`);
    return given;
  });
}

function count(flags: string, description: string, value: number): Option {
  return new Option(flags, description).default(value).argParser((text) => {
    if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Give a whole number from 1.');
    return Number(text);
  });
}

function list<Name extends string>(flags: string, what: string, names: readonly Name[]): Option {
  return new Option(flags, `${what}, by commas: ${names.join(', ')}`)
    .default([...names], 'all')
    .argParser((text) => text.split(',').map((given) => choose(given, names)));
}

function oneOf<Name extends string>(
  flags: string,
  what: string,
  names: readonly Name[],
  value: Name,
): Option {
  return new Option(flags, `${what}: ${names.join(', ')}`)
    .default(value)
    .argParser((text) => choose(text, names));
}

function choose<Name extends string>(given: string, names: readonly Name[]): Name {
  const name = names.find((one) => one.toLowerCase() === given.toLowerCase());
  if (!name) throw new InvalidArgumentError(`Choose of ${names.join(', ')}.`);
  return name;
}
