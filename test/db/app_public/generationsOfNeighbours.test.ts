import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, takeJob } from '../attempts.ts';
import { admin, aliceAtGlobex, ask, commitAs, globexAdmin, provisionAll } from '../callers.ts';

/**
 * What a function does to one generation, and to no other: not to that of the same id in another
 * organization, nor to what that organization has spent. Acme's row is the first of the two, so a
 * look at the id alone finds it in place of Globex's, where each test acts.
 */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());
beforeEach(() =>
  past(
    `delete from app_public.generations; delete from app_private.ai_ledger; delete from app_private.ai_months;
     delete from app_private.ai_settings; delete from app_public.dead_letters; delete from graphile_worker._private_jobs`,
  ),
);

const id = '01a00000-0000-7000-8000-000000000002';
const settings = {
  maxTokens: 100,
  promptMicros: 1,
  completionMicros: 1,
  budgetMicros: 1_000_000,
  cacheTtlSeconds: 0,
  takeOverAfterMs: 60_000,
};

/** Past triggers and keys: rows as they may come to be by other ways. */
const past = (sql: string) =>
  database.superuser.query(`begin; set local session_replication_role = replica; ${sql}; commit`);

/** The same id in Acme and in Globex, both Alice's, each with a job and 10 micros reserved. */
async function insertTwins(acme: string, globex: string, globexUser = 'user_alice') {
  const isOver = (status: string) => status === 'SUCCEEDED';
  await past(
    [['org_acme', 'user_alice', acme] as const, ['org_globex', globexUser, globex] as const]
      .map(
        ([org, user, status]) => `
        insert into app_public.generations (org_id, id, user_id, prompt, max_tokens, status, attempt, started_at, finished_at)
          values ('${org}', '${id}', '${user}', 'Sell.', 10, '${status}', 1, now(), ${isOver(status) ? 'now()' : 'null'});
        insert into app_private.ai_ledger (org_id, generation_id, month, reserved_micros)
          values ('${org}', '${id}', '2026-01-01', 10);
        insert into app_private.ai_months (org_id, month, calls, reserved_micros) values ('${org}', '2026-01-01', 1, 10);
        select app_private.enqueue('generations__run', '${id}', org_id => '${org}')`,
      )
      .join(';'),
  );
}

const column = async (sql: string) =>
  (await database.superuser.query({ text: sql, rowMode: 'array' })).rows.map(([value]) => value);
const statuses = () => column('select status from app_public.generations order by org_id');
const reserved = () =>
  column('select reserved_micros::int from app_private.ai_months order by org_id');
const unsettled = () =>
  column('select org_id from app_private.ai_ledger where settled_at is null order by 1');
const jobsOf = () =>
  column("select payload ->> 'orgId' from graphile_worker._private_jobs order by 1");

async function told(sql: string, values: unknown[], caller: TestCaller = aliceAtGlobex) {
  const { rows } = await commitAs(database, caller, (client) => client.query(sql, values));
  return rows[0]?.told;
}
const succeeded = JSON.stringify({
  status: 'SUCCEEDED',
  text: 'Anvils!',
  used: { costMicros: 3, promptTokens: 1, completionTokens: 2 },
});
const finish = () =>
  told('select app_hidden.finish_generation($1, 1, $2) as told', [id, succeeded]);

describe('of two generations of the same id a caller means the one of their organization', () => {
  test('cancel_generation', async () => {
    await insertTwins('RUNNING', 'RUNNING');
    await told('select app_hidden.cancel_generation($1) as told', [id]);
    expect(await statuses()).toEqual(['RUNNING', 'CANCELED']);
  });

  test('finish_generation, with what is reserved and the job of that one alone', async () => {
    await insertTwins('RUNNING', 'RUNNING');
    expect(await finish()).toBe(true);
    expect(await statuses()).toEqual(['RUNNING', 'SUCCEEDED']);
    expect([await unsettled(), await reserved(), await jobsOf()]).toEqual([
      ['org_acme'],
      [10, 0],
      ['org_acme'],
    ]);
  });

  test('finish_generation, also when the first of them has ended', async () => {
    await insertTwins('SUCCEEDED', 'RUNNING');
    expect(await finish()).toBe(true);
    expect(await statuses()).toEqual(['SUCCEEDED', 'SUCCEEDED']);
  });

  test('finish_generation, of one’s own alone', async () => {
    await insertTwins('RUNNING', 'RUNNING', 'user_carol');
    expect(await finish()).toBe(false);
    expect(await statuses()).toEqual(['RUNNING', 'RUNNING']);
  });

  test('hand_off_generation', async () => {
    const handOff = () => told('select app_hidden.hand_off_generation($1, 1) as told', [id]);
    await insertTwins('SUCCEEDED', 'RUNNING');
    expect([await handOff(), await statuses()]).toEqual([true, ['SUCCEEDED', 'QUEUED']]);
    await past(
      'delete from app_public.generations; delete from app_private.ai_ledger; delete from app_private.ai_months',
    );
    await insertTwins('RUNNING', 'RUNNING');
    expect([await handOff(), await statuses()]).toEqual([true, ['RUNNING', 'QUEUED']]);
  });
});

describe('and a job the one of its organization', () => {
  /** Calls a function of the worker for an attempt at Globex's job. */
  async function asJob(call: string, values: unknown[] = []) {
    const jobId = await addJob(database, 'generations__run', {
      orgId: 'org_globex',
      rowId: id,
      key: 'this attempt',
    });
    const attempt = await takeJob(database, jobId);
    const { rows } = await asWorker(database, (client) =>
      client.query(`select * from app_private.${call}`, [attempt, id, ...values]),
    );
    return rows;
  }

  test('take_generation', async () => {
    await insertTwins('SUCCEEDED', 'QUEUED');
    expect(await asJob('take_generation($1, $2)')).toMatchObject([{ taken: 2 }]);
    expect([await statuses(), await unsettled()]).toEqual([
      ['SUCCEEDED', 'RUNNING'],
      ['org_acme', 'org_globex'],
    ]);
  });

  test('take_generation, and leaves the other waiting', async () => {
    await insertTwins('QUEUED', 'QUEUED');
    await asJob('take_generation($1, $2)');
    expect(await statuses()).toEqual(['QUEUED', 'RUNNING']);
  });

  test('return_generation', async () => {
    await insertTwins('RUNNING', 'RUNNING');
    await asJob('return_generation($1, $2, 1)');
    expect(await statuses()).toEqual(['RUNNING', 'QUEUED']);
  });

  test('a dead letter', async () => {
    await insertTwins('QUEUED', 'QUEUED');
    await database.superuser.query(
      `insert into app_public.dead_letters (org_id, job_id, task, subject, error_code, attempts, queued_at)
       values ('org_globex', 1, 'generations__run', $1, 'AI_UNAVAILABLE', 10, now())`,
      [id],
    );
    expect([await statuses(), await unsettled()]).toEqual([['QUEUED', 'FAILED'], ['org_acme']]);
  });
});

test('a new one is booked on its own organization: create_generation', async () => {
  await past(
    `insert into app_private.ai_months (org_id, month, calls) select org, date_trunc('month', now() at time zone 'UTC'), 0
     from unnest('{org_acme,org_globex}'::text[]) as org`,
  );
  await create();
  expect(await column('select calls::int from app_private.ai_months order by org_id')).toEqual([
    0, 1,
  ]);
});

test('the budget that is told is one’s own organization’s: ai_usage', async () => {
  await past(
    "insert into app_private.ai_settings (org_id, monthly_budget_micros) values ('org_acme', 5)",
  );
  const budget = async (caller: TestCaller) =>
    (
      await ask(
        database,
        caller,
        'select budget_micros from app_hidden.ai_usage($1, now()::date, 1000)',
        [caller.orgId],
      )
    ).rows[0].budget_micros;
  expect([await budget(admin), await budget(globexAdmin)]).toEqual(['5', '1000']);
});

test('a row that is neither added nor there is asked for again, and leaves nothing', async () => {
  await database.superuser.query(
    `create function app_private.tg_test_skip() returns trigger language plpgsql as 'begin return null; end';
     create trigger skip before insert on app_public.generations for each row execute function app_private.tg_test_skip()`,
  );
  try {
    await expect(create('mine')).rejects.toMatchObject({ code: '40001' });
    expect(await jobsOf()).toEqual([]);
  } finally {
    await database.superuser.query('drop function app_private.tg_test_skip() cascade');
  }
});

const create = (key: string | null = null) =>
  told('select id as told from app_hidden.create_generation($1, 10, null, null, $2, true, $3)', [
    'Sell.',
    key,
    JSON.stringify(settings),
  ]);
