import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AiFault } from '../../dev/ai/faults.ts';
import { alice, commitAs } from '../db/callers.ts';
import { type GenerationGround, openGenerationGround, rowIdOf } from '../support/generations.ts';
import { until } from '../support/until.ts';

/** The life of generations, against a model of it: whatever is tried in whatever order, under few keys. */

let ground: GenerationGround;
beforeAll(async () => {
  ground = await openGenerationGround({ AI_MONTHLY_BUDGET: '1000' });
  await ground.startWorker();
  // So that Alice is there.
  await ground.request('{ me { id } }');
});
afterAll(() => ground.close());

const runs = Number(process.env.GENERATION_MODEL_RUNS ?? 6);

/** Nothing is generated, and nothing counts as down: neither ends before the model says so. */
const busy: AiFault = { kind: 'status', status: 429, retryAfter: '0', operation: 'generate' };

type Status = 'open' | 'SUCCEEDED' | 'CANCELED';
type Known = { id: string; prompt: string; status: Status };
/** By its key. */
type Model = Map<string, Known>;
/** What keys begin with, so that each life has its own. */
type Real = { life: number };
type Command = fc.AsyncCommand<Model, Real>;

const keyOf = ({ life }: Real, key: string) => `life-${life}-${key}`;

/** What the API says of a generation has to be what the model says. */
function compare({ id, prompt, status }: Known, row: { id: string; [field: string]: unknown }) {
  expect(row.id).toBe(id);
  expect(row.prompt).toBe(prompt);
  expect(row.status).toEqual(
    status === 'open' ? expect.stringMatching(/^(QUEUED|RUNNING)$/) : status,
  );
  expect(row.text === null).toBe(status !== 'SUCCEEDED');
  expect(row.finishedAt === null).toBe(status === 'open');
}

/** Asks under a key, by one of the ways in, from several at once. */
class Ask implements Command {
  readonly name: 'generate' | 'startGeneration';
  readonly key: string;
  readonly prompt: string;
  readonly callers: number;
  readonly isBusy: boolean;
  constructor(
    name: 'generate' | 'startGeneration',
    key: string,
    prompt: string,
    callers: number,
    isBusy: boolean,
  ) {
    this.name = name;
    this.key = key;
    this.prompt = prompt;
    this.callers = callers;
    // What is to be done later would be done any time.
    this.isBusy = isBusy || name === 'startGeneration';
  }
  // While the service is well, what is open might end any time.
  check = (model: Readonly<Model>) =>
    this.isBusy || [...model.values()].every(({ status }) => status !== 'open');
  async run(model: Model, real: Real) {
    ground.ai.setFault(this.isBusy ? busy : undefined);
    const input = { prompt: this.prompt, idempotencyKey: keyOf(real, this.key) };
    const answers = await Promise.allSettled(
      Array.from({ length: this.callers }, () => ground.mutate(this.name, input)),
    );
    ground.ai.setFault(busy);
    const known = model.get(this.key);
    if (known && known.prompt !== this.prompt) {
      for (const answer of answers) expect(answer).toMatchObject({ reason: { code: 'CONFLICT' } });
      return;
    }
    const rows = answers.map((answer) => {
      if (answer.status === 'rejected') throw answer.reason;
      return answer.value;
    });
    const [first] = rows;
    const now = known ?? {
      id: first?.id,
      prompt: this.prompt,
      status: this.isBusy ? 'open' : 'SUCCEEDED',
    };
    model.set(this.key, now);
    for (const row of rows) compare(now, row);
  }
  toString = () =>
    `${this.callers} × ${this.name} ${this.key} (${this.prompt})${this.isBusy ? ', busy' : ''}`;
}

/** An API accepts a generation, and dies before it does anything more. */
class AcceptAndDie implements Command {
  readonly key: string;
  constructor(key: string) {
    this.key = key;
  }
  check = (model: Readonly<Model>) => !model.has(this.key);
  async run(model: Model, real: Real) {
    const settings = {
      maxTokens: 2_048,
      promptMicros: 1,
      completionMicros: 1,
      budgetMicros: 1e9,
      cacheTtlSeconds: 0,
      takeOverAfterMs: 600_000,
    };
    const { rows } = await commitAs(ground.database, alice, (client) =>
      client.query(
        'select id from app_hidden.create_generation($1, 1024, null, null, $2, true, $3)',
        ['Sell.', keyOf(real, this.key), JSON.stringify(settings)],
      ),
    );
    const id = Buffer.from(JSON.stringify(['Generation', rows[0].id])).toString('base64');
    model.set(this.key, { id, prompt: 'Sell.', status: 'open' });
  }
  toString = () => `accept ${this.key} and die`;
}

class Cancel implements Command {
  readonly key: string;
  constructor(key: string) {
    this.key = key;
  }
  check = (model: Readonly<Model>) => model.has(this.key);
  async run(model: Model) {
    const known = model.get(this.key);
    if (!known) return;
    if (known.status === 'open') known.status = 'CANCELED';
    compare(known, await ground.mutate('cancelGeneration', { id: known.id }));
  }
  toString = () => `cancel ${this.key}`;
}

/** The service is well for as long as something is open. */
class Finish implements Command {
  check = () => true;
  async run(model: Model) {
    ground.ai.setFault(undefined);
    for (const known of model.values()) {
      if (known.status === 'open') {
        await hurry();
        known.status = 'SUCCEEDED';
      }
      compare(known, await ground.ended(known.id));
    }
    ground.ai.setFault(busy);
  }
  toString = () => 'finish';
}

/** Nobody waits for what is dead, nor for the next attempt. */
async function hurry(): Promise<void> {
  await until('nothing to be left', async () => {
    await ground.database.superuser.query(
      `with hurried as (
         update graphile_worker._private_jobs set run_at = now()
         where locked_at is null and run_at > now() returning id
       )
       select pg_notify('jobs:insert', '{"count":1}') from hurried`,
    );
    const { rowCount } = await ground.database.superuser.query(
      'select from graphile_worker._private_jobs limit 1',
    );
    return rowCount === 0;
  });
}

let lives = 0;

test(`${runs} lives of generations go as the model says, and are booked once`, async () => {
  const key = fc.constantFrom('a', 'b');
  const commands = [
    fc
      .tuple(
        fc.constantFrom('generate' as const, 'startGeneration' as const),
        key,
        fc.constantFrom('Sell.', 'Sell.', 'Buy.'),
        fc.constantFrom(1, 4),
        fc.boolean(),
      )
      .map((how) => new Ask(...how)),
    key.map((each) => new AcceptAndDie(each)),
    key.map((each) => new Cancel(each)),
    fc.constant(new Finish()),
  ];
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 10 }), async (life) => {
      lives += 1;
      const model: Model = new Map();
      ground.ai.setFault(busy);
      await fc.asyncModelRun(() => ({ model, real: { life: lives } }), life);
      await new Finish().run(model);
      await hurry();
      await expectBookedOnce(model);
    }),
    { numRuns: runs },
  );
}, 600_000);

/** Nothing is reserved any more, and what was generated is paid for, once. */
async function expectBookedOnce(model: Model): Promise<void> {
  const { rows } = await ground.database.superuser.query<{
    id: string;
    cost: number;
    is_settled: boolean;
  }>(
    `select generation_id as id, cost_micros::int as cost, settled_at is not null as is_settled
     from app_private.ai_ledger where generation_id = any ($1)`,
    [[...model.values()].map(({ id }) => rowIdOf(id))],
  );
  expect(rows).toHaveLength(model.size);
  expect(rows.filter(({ is_settled }) => !is_settled)).toEqual([]);
  for (const { id, status } of model.values()) {
    const effective = ground.callsOf(id).filter(({ isEffective }) => isEffective).length;
    // Whoever is asking does not see it canceled: the next try of the same call may get the text.
    const most = status === 'CANCELED' ? [0, 1] : [status === 'SUCCEEDED' ? 1 : 0];
    expect(most).toContain(effective);
    const cost = rows.find((row) => row.id === rowIdOf(id))?.cost ?? 0;
    expect(cost > 0).toBe(effective === 1);
  }
  const { cost, reserved } = await ground.month();
  const all = await ground.database.superuser.query<{ cost: number }>(
    'select sum(cost_micros)::int as cost from app_private.ai_ledger',
  );
  expect({ cost, reserved }).toEqual({ cost: all.rows[0]?.cost ?? 0, reserved: 0 });
}
