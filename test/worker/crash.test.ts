import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { isJobLine } from '../support/jobLines.ts';
import { until } from '../support/until.ts';
import { type Fleet, openFleet, readAttempt } from './fleet.ts';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await openFleet();
});
afterEach(() => fleet.clear());
afterAll(() => fleet.close());

const began = (attempt: number) => () =>
  fleet
    .ledger()
    .find((each) => each.what === 'began' && readAttempt(each.attempt).number === attempt);

describe('a worker killed in the middle of its jobs', () => {
  test('has them done by another within seconds, each effect once', async () => {
    const victim = await fleet.start();
    const jobs = await fleet.add(
      'test__effect',
      Array.from({ length: 20 }, () => ({ firstMs: 300, ms: 20 })),
    );
    await until('jobs that run', () => fleet.ledger().length >= 4);
    victim.kill('SIGKILL');
    await victim.ended;
    const interrupted = unfinished();
    expect(interrupted.length).toBeGreaterThan(0);
    await fleet.start();
    await fleet.untilDone();
    const effects = await fleet.effects();
    expect(effects.map(({ job_id }) => job_id).sort()).toEqual([...jobs].sort());
    expect(effects.filter(({ number }) => number > 1)).not.toEqual([]);
  });

  test('together with all others, and in a statement of Postgres, has them done by the next that starts', async () => {
    const victims = await Promise.all([fleet.start(), fleet.start()]);
    const jobs = await fleet.add('test__effect', [
      { firstMs: 60_000 },
      { firstMs: 60_000, where: 'transaction' },
    ]);
    await until('the jobs to run', async () => {
      const { rowCount } = await fleet.database.superuser.query(
        "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
      );
      return rowCount === 1 && fleet.ledger().length === 2;
    });
    for (const victim of victims) victim.kill('SIGKILL');
    await Promise.all(victims.map(({ ended }) => ended));
    await fleet.start();
    await fleet.untilDone();
    const effects = await fleet.effects();
    expect(effects.map(({ job_id }) => job_id).sort()).toEqual([...jobs].sort());
  });
});

describe('a worker that is stopped and goes on', () => {
  test('cannot end the job that another took over, and works on under another name', async () => {
    const sleeper = await fleet.start();
    const [job] = await fleet.add('test__effect', [{ firstMs: 1_000, ms: 800 }]);
    await until('the job to run', began(1));
    sleeper.kill('SIGSTOP');
    const other = await fleet.start();
    await until('the job to run again', began(2));
    sleeper.kill('SIGCONT');
    await sleeper.line(({ msg }) => msg === 'this worker was declared dead; starting anew');
    await fleet.untilDone();
    expect(await fleet.effects()).toEqual([{ job_id: job, number: 2 }]);
    expect(await sleeper.line(isJobLine)).toMatchObject({ outcome: 'interrupted' });
    expect(await other.line(isJobLine)).toMatchObject({ outcome: 'succeeded' });

    // It is of use again.
    other.kill('SIGTERM');
    await other.ended;
    const [next] = await fleet.add('test__effect', [{}]);
    await fleet.untilDone();
    expect(await fleet.effects()).toEqual([
      { job_id: job, number: 2 },
      { job_id: next, number: 1 },
    ]);
  });

  test('cannot complete by its number a job whose end it left to the queue', async () => {
    const sleeper = await fleet.start();
    await fleet.add('test__nothing', [{ ms: 800 }]);
    const first = await until('the job to run', holder);
    sleeper.kill('SIGSTOP');
    const other = await fleet.start({ WORKER_CONCURRENCY: '1' });
    await until('the job to run again', async () => {
      const now = await holder();
      return now !== null && now !== first;
    });
    // It is in the middle of the second run when the first one wakes up and ends.
    other.kill('SIGSTOP');
    sleeper.kill('SIGCONT');
    await sleeper.line(({ msg }) => msg === 'this worker was declared dead; starting anew');
    const { rowCount } = await fleet.database.superuser.query(
      'select from graphile_worker._private_jobs',
    );
    expect(rowCount).toBe(1);
    other.kill('SIGCONT');
    await fleet.untilDone();
  });
});

async function holder(): Promise<string | null> {
  const { rows } = await fleet.database.superuser.query(
    'select locked_by from graphile_worker._private_jobs where locked_by is not null',
  );
  return rows[0]?.locked_by ?? null;
}

function unfinished(): string[] {
  const ledger = fleet.ledger();
  const done = new Set(ledger.filter(({ what }) => what === 'did').map(({ attempt }) => attempt));
  return ledger
    .filter(({ what, attempt }) => what === 'began' && !done.has(attempt))
    .map(({ attempt }) => readAttempt(attempt).jobId);
}
