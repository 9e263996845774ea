import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { askContestant } from './askContestant.ts';
import type { RunningContestant } from './openContestant.ts';

/** CPU time used so far, in milliseconds: only differences mean something. */
export type CpuTime = {
  nodeMs: number;
  postgresMs: number;
  /** Of all that is not part of the bench; NaN where nobody knows. */
  strangersMs: number;
};

/** Books what a contestant and Postgres use. */
export type Accounting = {
  /** Where the figures come from, for the report. */
  source: string;
  read(contestant: RunningContestant): Promise<CpuTime>;
  /** The most memory the contestant had resident so far, where the system knows; else now. */
  rssBytes(contestant: RunningContestant): Promise<number>;
};

/**
 * Who books: the kernel, which has the whole tree of Postgres, or the contestant itself
 * and Postgres's statistics.
 */
export const accountingSources = ['kernel', 'statistics'] as const;
export type AccountingSource = (typeof accountingSources)[number];

/** The better one of this machine: the kernel's where there is a /proc. */
export const accountingOfMachine = (): AccountingSource =>
  existsSync('/proc/self/stat') ? 'kernel' : 'statistics';

/**
 * Back-ends write their statistics at most once a second; what came later is written when
 * they have been idle for ten.
 */
const flushedAfterMs = 11_000;

/**
 * Opens the accounting of a source.
 *
 * @param superuser a connection to the database the contestants work in.
 * @param ownPids other processes of the bench.
 */
export async function openAccounting(
  superuser: Client,
  ownPids: readonly number[],
  source: AccountingSource,
): Promise<Accounting> {
  if (source === 'statistics') return makeStatistics(superuser);
  const { rows } = await superuser.query<{ file: string }>(
    "select pg_read_file('postmaster.pid') as file",
  );
  return makeKernelAccounting(Number.parseInt(rows[0]?.file ?? '', 10), ownPids);
}

function makeKernelAccounting(postmaster: number, ownPids: readonly number[]): Accounting {
  const msPerTick = 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return {
    source: 'the kernel (/proc)',
    async read({ pid }) {
      const tree = processes().filter(
        (stat) => stat.pid === postmaster || stat.parent === postmaster,
      );
      const node = sum([readStat(pid)]);
      // Of children that have exited the postmaster keeps the sum.
      const postgres = sum(tree) + (readStat(postmaster)?.exitedTicks ?? 0);
      const own = sum([process.pid, ...ownPids].map(readStat));
      return {
        nodeMs: node * msPerTick,
        postgresMs: postgres * msPerTick,
        strangersMs: (machineTicks() - node - postgres - own) * msPerTick,
      };
    },
    async rssBytes({ pid }) {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return Number(status.match(/^VmHWM:\s+(\d+) kB$/m)?.[1]) * 1024;
    },
  };
}

function makeStatistics(superuser: Client): Accounting {
  return {
    source: 'process.cpuUsage, and for Postgres the time its back-ends were active',
    async read({ process: child }) {
      const { cpuMs } = await askContestant(child, { ask: 'usage' });
      await sleep(flushedAfterMs);
      await superuser.query('select pg_stat_clear_snapshot()');
      const { rows } = await superuser.query<{ active: number }>(
        'select sum(active_time) as active from pg_stat_database where datname = current_database()',
      );
      return { nodeMs: cpuMs, postgresMs: Number(rows[0]?.active), strangersMs: Number.NaN };
    },
    async rssBytes({ process: child }) {
      return (await askContestant(child, { ask: 'usage' })).rssBytes;
    },
  };
}

/** The part of /proc/<pid>/stat that is read here; times in clock ticks. */
type Stat = { pid: number; parent: number; ticks: number; exitedTicks: number };

function sum(stats: readonly (Stat | undefined)[]): number {
  return stats.reduce((ticks, stat) => ticks + (stat?.ticks ?? 0), 0);
}

function processes(): Stat[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat !== undefined);
}

/** Everything but idling and waiting for disks; what the host of a virtual machine took included. */
function machineTicks(): number {
  const [, ...fields] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/ +/) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields.map(Number);
  return user + nice + system + irq + softirq + steal;
}

/** Undefined once the process is gone. */
function readStat(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field, the name in parentheses, may contain anything.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
  return { pid, parent: fields[1] ?? 0, ticks: utime + stime, exitedTicks: cutime + cstime };
}
