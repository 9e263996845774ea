import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Program } from '../support/program.ts';
import { until } from '../support/until.ts';
import { type Fleet, openFleet, readAttempt } from '../worker/fleet.ts';
import { waitOfNewcomer } from '../worker/flood.ts';
import { type OwnCluster, openOwnCluster } from '../worker/ownCluster.ts';
import type { Entry } from '../worker/testWorker.ts';

/** Jobs under faults, at length, with the settings of production. */

const kills = Number(process.env.JOB_KILLS ?? 200);
const jobCount = Number(process.env.JOB_COUNT ?? 5_000);
const restarts = Number(process.env.JOB_RESTARTS ?? 20);
const stormMs = Number(process.env.JOB_STORM_MS ?? 60_000);
const stopMs = Number(process.env.JOB_STOP_MS ?? 60_000);
const flood = Number(process.env.JOB_FLOOD ?? 20_000);

const production = { WORKER_HEARTBEAT_MS: undefined, WORKER_DEAD_AFTER_MS: undefined };
const hour = 3_600_000;
const nothingWrong = { lost: [], twice: [], unasked: [], forgotten: [] };

let cluster: OwnCluster;
let fleet: Fleet;

beforeAll(async () => {
  cluster = await openOwnCluster();
  fleet = await openFleet(cluster);
}, 60_000);
afterEach(() => fleet.clear());
afterAll(() => fleet.close());

test(
  `${kills} workers of four are killed at ${jobCount} jobs: none lost, no effect twice, again within 20 s`,
  async () => {
    const workers = await startWorkers(4);
    const killed: { pid: number; atMs: number }[] = [];
    let added = 0;
    for (let i = 0; i < kills; i += 1) {
      const share = Math.ceil((jobCount * (i + 1)) / kills) - added;
      await fleet.add('test__effect', randomJobs(share), {
        orgId: i % 3 ? 'org_acme' : 'org_globex',
      });
      added += share;
      await sleep(500 + Math.random() * 1_500);
      const index = Math.floor(Math.random() * workers.length);
      const victim = workers[index] as Program;
      victim.kill('SIGKILL');
      await victim.ended;
      killed.push({ pid: victim.pid, atMs: Date.now() });
      workers[index] = fleet.launch(production);
    }
    await fleet.untilDone(300_000);
    const found = await compare();
    const waits = againAfter(fleet.ledger(), killed, new Set((await fleet.effects()).map(keyOf)));
    const p99 = quantile(waits, 0.99);
    say('kills', {
      kills: killed.length,
      jobs: added,
      interrupted: waits.length,
      p50: quantile(waits, 0.5),
      p99,
      max: quantile(waits, 1),
    });
    expect(found).toEqual(nothingWrong);
    expect(waits.length).toBeGreaterThan(kills);
    expect(p99).toBeLessThan(20_000);
  },
  hour,
);

test(
  `a worker is stopped for ${stopMs} ms and goes on: its late writes are fenced off`,
  async () => {
    const [sleeper] = await startWorkers(1);
    await fleet.add(
      'test__effect',
      Array.from({ length: 8 }, () => ({ ms: 2_000 })),
    );
    await until('jobs that run', () => fleet.ledger().length === 7);
    sleeper?.kill('SIGSTOP');
    await startWorkers(1);
    await fleet.untilDone(60_000);
    const before = await fleet.effects();
    await sleep(stopMs);
    sleeper?.kill('SIGCONT');
    await sleeper?.line(({ msg }) => msg === 'this worker was declared dead; starting anew');
    const after = await fleet.effects();
    say('a stop', {
      stoppedMs: stopMs,
      jobs: after.length,
      lateWrites: after.length - before.length,
    });
    expect(after).toEqual(before);
    expect(await compare()).toEqual(nothingWrong);
  },
  hour,
);

test(
  `Postgres is restarted ${restarts} times: none lost, no effect twice, no worker restarts`,
  async () => {
    const workers = await startWorkers(2);
    for (let i = 0; i < restarts; i += 1) {
      await fleet.add('test__effect', randomJobs(100));
      await sleep(1_000 + Math.random() * 2_000);
      await cluster.restart();
    }
    await fleet.untilDone(300_000);
    say('restarts', { restarts, jobs: fleet.acknowledged().length });
    expect(await compare()).toEqual(nothingWrong);
    await expectAlive(workers);
  },
  hour,
);

test(
  `ten connections a second are ended for ${stormMs} ms: none lost, no effect twice, no worker restarts`,
  async () => {
    const workers = await startWorkers(2);
    const startedMs = performance.now();
    let ended = 0;
    for (; performance.now() < startedMs + stormMs; ended += 1) {
      await fleet.add('test__effect', randomJobs(3));
      await cluster.superuser.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name like 'rowhouse-worker%' order by random() limit 1`,
      );
      await sleep(startedMs + (ended + 1) * 100 - performance.now());
    }
    await fleet.untilDone(300_000);
    say('lost connections', { ended, jobs: fleet.acknowledged().length });
    expect(await compare()).toEqual(nothingWrong);
    await expectAlive(workers);
  },
  hour,
);

test.each([
  ['short', 1],
  ['long', 60_000],
])(
  `behind ${flood} %s jobs of one organization, the only job of another starts within 2 s`,
  async (kind, floodMs) => {
    const waitMs = await waitOfNewcomer(fleet, { flood, floodMs, settings: production });
    say('a flood', { flood, kind, waitMs });
    expect(waitMs).toBeLessThan(2_000);
  },
  hour,
);

function startWorkers(count: number): Promise<Program[]> {
  return Promise.all(Array.from({ length: count }, () => fleet.start(production)));
}

function randomJobs(count: number): { ms: number }[] {
  return Array.from({ length: count }, () => ({ ms: Math.round(Math.random() * 1_500) }));
}

/** What the driver and the workers noted outside, against what Postgres says was done. */
async function compare() {
  const asked = new Set(fleet.acknowledged());
  const counts = new Map<string, number>();
  const done = new Set<string>();
  for (const effect of await fleet.effects()) {
    counts.set(effect.job_id, (counts.get(effect.job_id) ?? 0) + 1);
    done.add(keyOf(effect));
  }
  return {
    lost: [...asked].filter((id) => !counts.has(id)),
    twice: [...counts].filter(([, count]) => count > 1).map(([id]) => id),
    unasked: [...counts.keys()].filter((id) => !asked.has(id)),
    // A worker was told that it had written them.
    forgotten: fleet
      .ledger()
      .filter(({ what }) => what === 'did')
      .map(({ attempt }) => readAttempt(attempt))
      .filter(({ jobId, number }) => !done.has(`${jobId}/${number}`)),
  };
}

const keyOf = ({ job_id, number }: { job_id: string; number: number }) => `${job_id}/${number}`;

/** Milliseconds from each kill to the next start of each job it interrupted. */
function againAfter(
  ledger: readonly Entry[],
  killed: readonly { pid: number; atMs: number }[],
  done: ReadonlySet<string>,
): number[] {
  const began = ledger
    .filter(({ what }) => what === 'began')
    .map(({ attempt, pid, atMs }) => ({ ...readAttempt(attempt), pid, atMs }));
  const waits: number[] = [];
  for (const { pid, atMs } of killed) {
    for (const { jobId, number } of began.filter((each) => each.pid === pid)) {
      if (done.has(`${jobId}/${number}`)) continue;
      const next = began.find((each) => each.jobId === jobId && each.number > number);
      if (next) waits.push(next.atMs - atMs);
    }
  }
  return waits.sort((a, b) => a - b);
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function expectAlive(workers: readonly Program[]): Promise<void> {
  for (const { ended } of workers) {
    expect(await Promise.race([ended.then(() => 'ended'), Promise.resolve('alive')])).toBe('alive');
  }
}

function say(fault: string, figures: object): void {
  process.stdout.write(`jobs under ${fault}: ${JSON.stringify(figures)}\n`);
}
