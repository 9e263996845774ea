import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../../support/database.ts';
import { asWorker, over, takeJob } from '../attempts.ts';
import {
  admin,
  alice,
  aliceAlone,
  ask,
  bob,
  carol,
  commitAs,
  denied,
  globexAdmin,
  nobody,
  provisionAll,
} from '../callers.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.superuser.query(
    `delete from app_public.generations; delete from app_private.ai_ledger;
     delete from app_private.ai_months; delete from app_private.ai_settings;
     delete from graphile_worker._private_jobs`,
  );
});

const settings = {
  maxTokens: 1_000,
  promptMicros: 1,
  completionMicros: 2,
  budgetMicros: 1_000_000,
  cacheTtlSeconds: 0,
  takeOverAfterMs: 60_000,
};
type More = {
  prompt?: string;
  maxTokens?: number;
  document?: string | null;
  documentText?: string | null;
  key?: string | null;
  isNow?: boolean;
  settings?: object;
};
const createSql = 'select * from app_hidden.create_generation($1, $2, $3, $4, $5, $6, $7)';
const createValues = (more: More = {}) => [
  more.prompt ?? 'Sell anvils.',
  more.maxTokens ?? 100,
  more.document ?? null,
  more.documentText ?? null,
  more.key ?? null,
  more.isNow ?? true,
  JSON.stringify({ ...settings, ...more.settings }),
];
type Created = { id: string; is_new: boolean; status: string; attempt: number };

async function create(more: More = {}, caller: TestCaller = alice): Promise<Created> {
  const { rows } = await commitAs(database, caller, (client) =>
    client.query(createSql, createValues(more)),
  );
  return rows[0];
}

const used = {
  provider: 'local',
  model: 'echo',
  promptTokens: 4,
  completionTokens: 10,
  latencyMs: 20,
  costMicros: 24,
};
const succeeded = { status: 'SUCCEEDED', text: 'Anvils!', used };

async function told(sql: string, values: unknown[], caller: TestCaller = alice) {
  const { rows } = await commitAs(database, caller, (client) => client.query(sql, values));
  return rows[0]?.told;
}
const finish = (id: string, taken = 1, outcome: object = succeeded, caller = alice) =>
  told(
    'select app_hidden.finish_generation($1, $2, $3) as told',
    [id, taken, JSON.stringify(outcome)],
    caller,
  );
const handOff = (id: string, taken = 1, caller = alice, spent: object = {}, pauseMs = 0) =>
  told(
    'select app_hidden.hand_off_generation($1, $2, $3, $4) as told',
    [id, taken, JSON.stringify(spent), pauseMs],
    caller,
  );
const cancel = (id: string, caller = alice) =>
  told('select app_hidden.cancel_generation($1) as told', [id], caller);

async function only(sql: string, values: unknown[] = []) {
  const { rows } = await database.superuser.query(sql, values);
  return rows[0];
}
const rowOf = (id: string) => only('select * from app_public.generations where id = $1', [id]);
const ledgerOf = (id: string) =>
  only(
    `select cost_micros::int as cost, reserved_micros::int as reserved, settled_at is not null as is_settled
     from app_private.ai_ledger where generation_id = $1`,
    [id],
  );
const month = (orgId = 'org_acme') =>
  only(
    `select calls::int, cost_micros::int as cost, reserved_micros::int as reserved, prompt_tokens::int
     from app_private.ai_months where org_id = $1`,
    [orgId],
  );
const jobs = async () =>
  (
    await database.superuser.query(
      'select id, key, locked_at is not null as is_held, run_at <= now() as is_due, payload from graphile_worker._private_jobs',
    )
  ).rows;

/** Takes the job of a generation as a worker does, and then the generation. */
async function take(id: string, holder?: string, budgetMicros = settings.budgetMicros) {
  const { id: jobId } = await only('select id from graphile_worker._private_jobs where key = $1', [
    `generations__run:org_acme:${id}`,
  ]);
  const attempt = await takeJob(database, jobId, holder);
  const { rows } = await asWorker(
    database,
    (client) =>
      client.query('select * from app_private.take_generation($1, $2, $3)', [
        attempt,
        id,
        budgetMicros,
      ]),
    holder,
  );
  return { attempt, row: rows[0] };
}
const giveBack = (attempt: string, id: string, taken: number, spent: object = {}) =>
  asWorker(database, async (client) => {
    const { rows } = await client.query(
      'select app_private.return_generation($1, $2, $3, $4) as told',
      [attempt, id, taken, spent],
    );
    return rows[0].told;
  });
/** Fails the job of an attempt for good. */
const bury = (attempt: string, code = 'AI_UNAVAILABLE') =>
  asWorker(database, (client) =>
    client.query("select app_private.fail_attempt($1, $2, 'why', true)", [attempt, code]),
  );
const complete = (attempt: string, id: string, taken: number, outcome: object = succeeded) =>
  asWorker(database, async (client) => {
    await client.query('begin');
    const { rows } = await client.query(
      'select app_private.complete_generation($1, $2, $3, $4) as told',
      [attempt, id, taken, JSON.stringify(outcome)],
    );
    await client.query('select app_private.complete_attempt($1)', [attempt]);
    await client.query('commit');
    return rows[0].told;
  });

describe('rows', () => {
  test('are read by who asked and by managers, and by nobody else', async () => {
    const { id } = await create();
    const seen = async (caller: TestCaller) =>
      (await ask(database, caller, 'select id from app_public.generations where id = $1', [id]))
        .rowCount;
    expect(await seen(alice)).toBe(1);
    expect(await seen(admin)).toBe(1);
    expect(await seen({ ...bob, permissions: ['org:generations:manage'] })).toBe(1);
    expect(await seen(bob)).toBe(0);
    expect(await seen(carol)).toBe(0);
    expect(await seen(globexAdmin)).toBe(0);
    expect(await seen(nobody)).toBe(0);
  });

  test('are written by functions alone, and never without claims', async () => {
    const { id } = await create();
    for (const sql of [
      `insert into app_public.generations (prompt, max_tokens) values ('a', 1)`,
      `update app_public.generations set status = 'SUCCEEDED'`,
      'delete from app_public.generations',
      'select document_text from app_public.generations',
      'select from app_private.ai_ledger',
    ]) {
      await expect(ask(database, alice, sql)).rejects.toMatchObject(denied);
    }
    await expect(ask(database, nobody, createSql, createValues())).rejects.toMatchObject({
      code: 'RW403',
    });
    expect(await rowOf(id)).toMatchObject({ user_id: 'user_alice', status: 'RUNNING' });
  });

  test('keep a document the caller could read, until it is deleted', async () => {
    const document = await told(
      "insert into app_public.documents (title) values ('Plan') returning id as told",
      [],
    );
    const refusal = { code: 'RW400', hint: 'document' };
    await expect(create({ document })).rejects.toMatchObject(refusal);
    await expect(create({ document: document.replace(/^./, 'f') })).rejects.toMatchObject(refusal);
    const { id } = await create({ document, documentText: 'Plan' });
    expect(await rowOf(id)).toMatchObject({ document_id: document, document_text: 'Plan' });
    await finish(id);
    expect(await rowOf(id)).toMatchObject({ document_id: document, document_text: null });
    await told('delete from app_public.documents where id = $1', [document]);
    expect(await rowOf(id)).toMatchObject({ document_id: null, status: 'SUCCEEDED' });
  });

  test.each([
    ['a prompt of nothing', { prompt: '' }, '23514'],
    ['a prompt too long', { prompt: 'x'.repeat(100_001) }, '23514'],
    ['no tokens', { maxTokens: 0 }, '23514'],
    ['more tokens than allowed', { maxTokens: 1_001 }, 'RW400'],
    ['an empty key', { key: '' }, '23514'],
    ['a long key', { key: 'k'.repeat(256) }, '23514'],
  ])('refuse %s', async (_what, more: More, code) => {
    await expect(create(more)).rejects.toMatchObject({ code });
    expect(await jobs()).toEqual([]);
    expect(await month()).toBeUndefined();
  });
});

describe('a key', () => {
  test('names one generation, with one job and one reservation', async () => {
    const first = await create({ key: 'once' });
    expect(first).toMatchObject({ is_new: true, status: 'RUNNING', attempt: 1 });
    expect(await create({ key: 'once' })).toEqual({ ...first, is_new: false });
    expect(await create({ key: 'once', isNow: false })).toEqual({ ...first, is_new: false });
    expect(await jobs()).toHaveLength(1);
    expect(await month()).toMatchObject({ calls: 1 });
    await finish(first.id);
    expect(await create({ key: 'once' })).toMatchObject({ id: first.id, status: 'SUCCEEDED' });
  });

  test('names one generation, however many ask at once', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => create({ key: 'flood' })));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    expect(all.filter(({ is_new }) => is_new)).toHaveLength(1);
    expect(await jobs()).toHaveLength(1);
  });

  test('conflicts with other arguments, and with another member', async () => {
    await create({ key: 'once' });
    const conflict = { code: 'RW409', hint: 'idempotencyKey' };
    await expect(create({ key: 'once', prompt: 'Else.' })).rejects.toMatchObject(conflict);
    await expect(create({ key: 'once', maxTokens: 99 })).rejects.toMatchObject(conflict);
    await expect(create({ key: 'once' }, bob)).rejects.toMatchObject(conflict);
    expect(await create({ key: 'once' }, carol)).toMatchObject({ is_new: true });
  });

  test('is needed by nobody: without one each call is another generation', async () => {
    expect((await create()).id).not.toBe((await create()).id);
  });
});

describe('a generation', () => {
  test('asked for now runs, and its job waits until it could be taken over', async () => {
    const { id } = await create();
    expect(await rowOf(id)).toMatchObject({ status: 'RUNNING', attempt: 1 });
    expect(await jobs()).toMatchObject([
      { key: `generations__run:org_acme:${id}`, is_due: false, payload: { rowId: id } },
    ]);
  });

  test('asked for later waits, and its job is due', async () => {
    const { id } = await create({ isNow: false });
    expect(await rowOf(id)).toMatchObject({ status: 'QUEUED', attempt: 0, started_at: null });
    expect(await jobs()).toMatchObject([{ is_due: true }]);
  });

  test('carries the trace of the request to its job', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    await commitAs(database, alice, async (client) => {
      await client.query("select set_config('app.trace_id', $1, true)", [traceId]);
      await client.query(createSql, createValues());
    });
    const [job] = await jobs();
    expect(job.payload.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  });

  test('is ended by the request that runs it: text, cost and job in one', async () => {
    const { id } = await create();
    expect(await finish(id)).toBe(true);
    expect(await rowOf(id)).toMatchObject({
      status: 'SUCCEEDED',
      text: 'Anvils!',
      provider: 'local',
      completion_tokens: 10,
      latency_ms: 20,
    });
    expect(await ledgerOf(id)).toMatchObject({ cost: 24, is_settled: true });
    expect(await month()).toEqual({ calls: 1, cost: 24, reserved: 0, prompt_tokens: 4 });
    expect(await jobs()).toEqual([]);
    expect(await finish(id, 1, { ...succeeded, text: 'Else.' })).toBe(false);
    expect(await rowOf(id)).toMatchObject({ text: 'Anvils!' });
    expect(await month()).toMatchObject({ cost: 24 });
  });

  test('that failed has cost what was used, or nothing', async () => {
    const { id } = await create();
    await finish(id, 1, { status: 'FAILED', errorCode: 'AI_REJECTED' });
    expect(await rowOf(id)).toMatchObject({ status: 'FAILED', error_code: 'AI_REJECTED' });
    expect(await ledgerOf(id)).toMatchObject({ cost: 0, is_settled: true });
    const other = await create();
    await finish(other.id, 1, { status: 'FAILED', errorCode: 'AI_REJECTED', used });
    expect(await month()).toMatchObject({ cost: 24, reserved: 0 });
  });

  test('is ended by nobody else', async () => {
    const { id } = await create();
    expect(await finish(id, 1, succeeded, bob)).toBe(false);
    expect(await finish(id, 1, succeeded, admin)).toBe(false);
    expect(await finish(id, 1, succeeded, carol)).toBe(false);
    expect(await finish(id, 2)).toBe(false);
    expect(await handOff(id, 1, bob)).toBe(false);
    expect(await rowOf(id)).toMatchObject({ status: 'RUNNING' });
    expect(await jobs()).toHaveLength(1);
  });

  test('is handed off to its job, and then belongs to it', async () => {
    const { id } = await create();
    expect(await handOff(id)).toBe(true);
    expect(await rowOf(id)).toMatchObject({ status: 'QUEUED' });
    expect(await jobs()).toMatchObject([{ is_due: true }]);
    expect(await finish(id)).toBe(false);
    const { attempt, row } = await take(id);
    expect(row).toEqual({
      prompt: 'Sell anvils.',
      document_text: null,
      max_tokens: 100,
      taken: 2,
    });
    expect(await finish(id)).toBe(false);
    expect(await complete(attempt, id, 2)).toBe(true);
    expect(await rowOf(id)).toMatchObject({ status: 'SUCCEEDED', attempt: 2 });
    expect(await month()).toMatchObject({ cost: 24, reserved: 0 });
    expect(await jobs()).toEqual([]);
  });

  test('is taken over from a request that is gone, and its late answer changes nothing', async () => {
    const { id } = await create();
    const { attempt } = await take(id);
    expect(await finish(id)).toBe(false);
    expect(await handOff(id)).toBe(false);
    expect(await complete(attempt, id, 2, { ...succeeded, text: 'Later.' })).toBe(true);
    expect(await rowOf(id)).toMatchObject({ text: 'Later.' });
    expect(await month()).toMatchObject({ cost: 24 });
  });

  test('is not ended by a worker whose attempt is over', async () => {
    const { id } = await create({ isNow: false });
    const first = await take(id);
    const second = await take(id, 'other-worker');
    await expect(complete(first.attempt, id, 1)).rejects.toMatchObject(over);
    expect(second.row.taken).toBe(2);
    expect(await rowOf(id)).toMatchObject({ status: 'RUNNING', attempt: 2 });
  });

  test('waits between the attempts of its job', async () => {
    const { id } = await create({ isNow: false });
    const { attempt } = await take(id);
    expect(await giveBack(attempt, id, 1)).toBe(true);
    expect(await rowOf(id)).toMatchObject({ status: 'QUEUED', attempt: 1 });
    expect(await giveBack(attempt, id, 1)).toBe(false);
  });

  test('that is given up has cost what was spent on it, at once', async () => {
    const { id } = await create();
    await handOff(id, 1, alice, used);
    expect(await month()).toMatchObject({ cost: 24, reserved: 0, prompt_tokens: 4 });
    expect(await ledgerOf(id)).toMatchObject({ cost: 24, is_settled: false });
    const { attempt } = await take(id);
    await giveBack(attempt, id, 2, {});
    await bury(attempt);
    expect(await rowOf(id)).toMatchObject({ status: 'FAILED', error_code: 'AI_UNAVAILABLE' });
    expect(await ledgerOf(id)).toMatchObject({ cost: 24, is_settled: true });
    expect(await month()).toMatchObject({ cost: 24, reserved: 0, prompt_tokens: 4 });
  });

  test('has cost once what was spent on it, also where it succeeds later', async () => {
    const { id } = await create({ isNow: false });
    const first = await take(id);
    await giveBack(first.attempt, id, 1, used);
    const second = await take(id, 'other-worker');
    await asWorker(
      database,
      async (client) => {
        await client.query('select app_private.complete_generation($1, $2, 2, $3)', [
          second.attempt,
          id,
          succeeded,
        ]);
      },
      'other-worker',
    );
    expect(await month()).toMatchObject({ cost: 24, reserved: 0, prompt_tokens: 4 });
  });

  test('fails with its job, under the same code', async () => {
    const { id } = await create({ isNow: false });
    const { attempt } = await take(id);
    await bury(attempt, 'AI_TIMEOUT');
    expect(await rowOf(id)).toMatchObject({ status: 'FAILED', error_code: 'AI_TIMEOUT' });
    expect(await month()).toMatchObject({ cost: 0, reserved: 0 });
    expect(await jobs()).toHaveLength(1);
  });
});

describe('a generation is canceled', () => {
  test('at once while it waits: nothing is left to do, and nothing reserved', async () => {
    const { id } = await create({ isNow: false });
    expect(await cancel(id)).toBe(true);
    expect(await cancel(id)).toBe(true);
    expect(await rowOf(id)).toMatchObject({ status: 'CANCELED' });
    expect(await jobs()).toEqual([]);
    expect(await month()).toMatchObject({ cost: 0, reserved: 0 });
  });

  test('while it runs: the answer is dropped, and its cost booked', async () => {
    const { id } = await create();
    expect(await cancel(id)).toBe(true);
    expect((await month()).reserved).toBeGreaterThan(0);
    expect(await finish(id)).toBe(false);
    expect(await rowOf(id)).toMatchObject({ status: 'CANCELED', text: null });
    expect(await month()).toMatchObject({ cost: 24, reserved: 0 });
    expect(await jobs()).toEqual([]);
  });

  test('while its request dies: the job gives back what was reserved', async () => {
    const { id } = await create();
    await cancel(id);
    const { row } = await take(id);
    expect(row).toBeUndefined();
    expect(await month()).toMatchObject({ cost: 0, reserved: 0 });
  });

  test('while its job gives it up: what was spent is booked', async () => {
    const { id } = await create({ isNow: false });
    const { attempt } = await take(id);
    await cancel(id);
    expect(await giveBack(attempt, id, 1, used)).toBe(false);
    expect(await rowOf(id)).toMatchObject({ status: 'CANCELED' });
    expect(await month()).toMatchObject({ cost: 24, reserved: 0 });
  });

  test('while the last attempt of its job runs, which fails: nothing stays reserved', async () => {
    const { id } = await create({ isNow: false });
    const { attempt } = await take(id);
    await cancel(id);
    await bury(attempt);
    expect(await rowOf(id)).toMatchObject({ status: 'CANCELED' });
    expect(await month()).toMatchObject({ cost: 0, reserved: 0 });
  });

  test('while a request gives it up, with what it has spent: that is booked', async () => {
    const { id } = await create();
    await cancel(id);
    expect(await handOff(id, 1, alice, used)).toBe(false);
    expect(await month()).toMatchObject({ cost: 24, reserved: 0 });
  });

  test('while a request gives it up: nothing is handed off', async () => {
    const { id } = await create();
    await cancel(id);
    expect(await handOff(id)).toBe(false);
    expect(await rowOf(id)).toMatchObject({ status: 'CANCELED' });
    expect(await jobs()).toEqual([]);
    expect(await month()).toMatchObject({ reserved: 0 });
  });

  test('by who asked and by managers alone', async () => {
    const { id } = await create();
    for (const other of [bob, carol, globexAdmin, nobody])
      expect(await cancel(id, other)).toBeNull();
    expect(await cancel(id, admin)).toBe(true);
    expect(await cancel('00000000-0000-7000-8000-000000000001')).toBeNull();
  });

  test('not once it has ended', async () => {
    const { id } = await create();
    await finish(id);
    expect(await cancel(id)).toBe(true);
    expect(await rowOf(id)).toMatchObject({ status: 'SUCCEEDED', text: 'Anvils!' });
  });
});

describe('an ended row', () => {
  test.each([
    "status = 'RUNNING'",
    "text = 'Else.'",
    "error_code = 'AI_TIMEOUT'",
    'attempt = attempt + 1',
    "prompt = 'Else.'",
    "user_id = 'user_bob'",
    'is_cached = true',
  ])('is not changed by set %s', async (change) => {
    const { id } = await create();
    await finish(id);
    await expect(
      database.superuser.query(`update app_public.generations set ${change} where id = $1`, [id]),
    ).rejects.toMatchObject({ code: 'RW409' });
  });
});

describe('the budget', () => {
  // (12 + 192) / 3 tokens of the prompt, and 100 of the text at 2.
  const reserved = 268;

  test('counts what was spent on a generation before that has ended, and lets it end', async () => {
    const budgetMicros = reserved * 3;
    const [first, second] = await Promise.all(
      [1, 2].map(() => create({ isNow: false, settings: { budgetMicros } })),
    );
    if (!first || !second) throw new Error('There are not two.');
    const { attempt } = await take(first.id, undefined, budgetMicros);
    // Its text was paid for, at more than was reserved, and is not allowed yet.
    await giveBack(attempt, first.id, 1, { ...used, costMicros: reserved * 3 });
    expect((await take(second.id, 'another-worker', budgetMicros)).row).toBeUndefined();
    expect(await rowOf(second.id)).toMatchObject({ error_code: 'AI_BUDGET_EXCEEDED' });
    expect((await take(first.id, 'a-third-worker', budgetMicros)).row).toMatchObject({ taken: 2 });
  });

  test('keeps nobody waiting for long where a writer of it is stuck', async () => {
    const { id } = await create();
    const stuck = await database.superuser.connect();
    try {
      await stuck.query(
        "begin; select from app_private.ai_months where org_id = 'org_acme' for update",
      );
      const late = { code: '55P03' };
      await Promise.all([
        expect(create()).rejects.toMatchObject(late),
        expect(finish(id)).rejects.toMatchObject(late),
      ]);
    } finally {
      await stuck.query('rollback');
      stuck.release();
    }
    expect(await finish(id)).toBe(true);
  });

  test('refuses what it might not suffice for, and nothing is left of that', async () => {
    const budgetMicros = reserved * 2;
    const first = await create({ settings: { budgetMicros } });
    await create({ settings: { budgetMicros } });
    expect(await month()).toMatchObject({ calls: 2, reserved: reserved * 2 });
    await expect(create({ settings: { budgetMicros } })).rejects.toMatchObject({ code: 'RW402' });
    expect(await jobs()).toHaveLength(2);
    await finish(first.id, 1, { status: 'FAILED', errorCode: 'AI_REJECTED' });
    await create({ settings: { budgetMicros } });
  });

  test('is kept when many ask at once', async () => {
    const budgetMicros = reserved * 5;
    const answers = await Promise.allSettled(
      Array.from({ length: 25 }, () => create({ settings: { budgetMicros } })),
    );
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    expect(await month()).toMatchObject({ calls: 5, reserved: reserved * 5 });
  });

  test('that is overspent fails what waits: only what runs goes on', async () => {
    const budgetMicros = reserved * 3;
    const all = await Promise.all(
      [1, 2, 3].map(() => create({ isNow: false, settings: { budgetMicros } })),
    );
    const [first, second, third] = all.map(({ id }) => id);
    if (!first || !second || !third) throw new Error('There are three.');
    const runs = await take(first, undefined, budgetMicros);
    const alsoRuns = await take(second, undefined, budgetMicros);
    // More than was asked for.
    const dear = { ...succeeded, used: { ...used, costMicros: reserved * 10 } };
    await complete(runs.attempt, first, 1, dear);
    expect((await take(third, undefined, budgetMicros)).row).toBeUndefined();
    expect(await rowOf(third)).toMatchObject({
      status: 'FAILED',
      error_code: 'AI_BUDGET_EXCEEDED',
      attempt: 0,
    });
    await complete(alsoRuns.attempt, second, 1, dear);
    expect(await month()).toMatchObject({ cost: reserved * 20, reserved: 0 });
  });

  test('that is raised lets what waits go on', async () => {
    const { id } = await create({ isNow: false, settings: { budgetMicros: reserved } });
    await database.superuser.query(
      "insert into app_private.ai_settings (org_id, monthly_budget_micros) values ('org_acme', $1)",
      [reserved],
    );
    expect((await take(id, undefined, 0)).row).toMatchObject({ taken: 1 });
  });

  test('may be an organization’s own', async () => {
    await database.superuser.query(
      "insert into app_private.ai_settings (org_id, monthly_budget_micros) values ('org_acme', 0)",
    );
    await expect(create()).rejects.toMatchObject({ code: 'RW402' });
    await create({}, carol);
    await create({ settings: { promptMicros: 0, completionMicros: 0 } });
  });

  test('and what is spent is told to those who manage generations', async () => {
    const { id } = await create();
    await create();
    await finish(id);
    const usage = async (caller: TestCaller, orgId = caller.orgId) =>
      (
        await ask(database, caller, 'select * from app_hidden.ai_usage($1, now()::date, 1000)', [
          orgId,
        ])
      ).rows[0];
    expect(await usage(admin)).toEqual({
      calls: '2',
      prompt_tokens: '4',
      completion_tokens: '10',
      cost_micros: '24',
      reserved_micros: String(reserved),
      budget_micros: '1000',
      remaining_micros: String(1000 - 24 - reserved),
    });
    expect(await usage(alice)).toBeUndefined();
    expect(await usage(globexAdmin, 'org_acme')).toBeUndefined();
    expect(await usage(nobody, 'org_acme')).toBeUndefined();
    expect(await usage(globexAdmin)).toMatchObject({ calls: '0', remaining_micros: '1000' });
    expect(await usage(aliceAlone)).toMatchObject({ calls: '0' });
  });
});

describe('a text answers again', () => {
  const cached = { cacheTtlSeconds: 60 };

  test('where that is wanted: the same prompt of the same organization, at no cost', async () => {
    const { id } = await create();
    await finish(id);
    expect(await create()).toMatchObject({ status: 'RUNNING' });
    const again = await create({ settings: cached }, bob);
    expect(again).toMatchObject({ is_new: true, status: 'SUCCEEDED' });
    expect(await rowOf(again.id)).toMatchObject({
      text: 'Anvils!',
      is_cached: true,
      user_id: 'user_bob',
      completion_tokens: 0,
    });
    expect(await ledgerOf(again.id)).toBeUndefined();
    expect(await month()).toMatchObject({ calls: 2 });
  });

  test('not in another organization, nor for another prompt, text of a document or limit', async () => {
    const document = await told(
      "insert into app_public.documents (title) values ('Plan') returning id as told",
      [],
    );
    const { id } = await create({ document, documentText: 'Plan' });
    await finish(id);
    const same = { document, documentText: 'Plan', settings: cached };
    for (const other of [
      { ...same, prompt: 'Else.' },
      { ...same, maxTokens: 99 },
      { ...same, documentText: 'Plan B' },
      { settings: cached },
    ]) {
      expect(await create(other)).toMatchObject({ status: 'RUNNING' });
    }
    const elsewhere = await create({ documentText: 'Plan', settings: cached }, carol);
    expect(elsewhere).toMatchObject({ status: 'RUNNING' });
    expect(await create(same)).toMatchObject({ status: 'SUCCEEDED' });
  });
});

test('a user who is gone leaves no prompt and no text', async () => {
  const done = await create({ key: 'mine', prompt: 'Secret.' });
  await finish(done.id);
  const running = await create();
  const queued = await create({ isNow: false });
  const other = await create({}, bob);
  const own = await create({}, aliceAlone);
  await database.superuser.query("select app_private.erase_generations('user_alice')");
  for (const [id, status] of [
    [done.id, 'SUCCEEDED'],
    [running.id, 'CANCELED'],
    [queued.id, 'CANCELED'],
  ] as const) {
    expect(await rowOf(id)).toMatchObject({
      status,
      prompt: null,
      text: null,
      idempotency_key: null,
      arguments_sha256: null,
      sent_sha256: null,
    });
  }
  expect(await rowOf(other.id)).toMatchObject({ prompt: 'Sell anvils.' });
  expect(await rowOf(own.id)).toBeUndefined();
  expect(await ledgerOf(own.id)).toMatchObject({ is_settled: true });
  expect(await finish(running.id)).toBe(false);
  expect(await month()).toMatchObject({ cost: 48 });
  const { rows } = await database.superuser.query(
    `select from app_public.audit_events where table_name = 'generations'
     and (old_values || new_values)::text ~ 'Secret|Anvils|mine'`,
  );
  expect(rows).toEqual([]);
});

test('a prompt is not erased while its generation goes on', async () => {
  await create();
  await expect(
    database.superuser.query('update app_public.generations set prompt = null'),
  ).rejects.toMatchObject({ code: '23514', constraint: 'generations_erased_check' });
});
