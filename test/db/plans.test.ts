import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Client, ClientBase } from 'pg';
import { z } from 'zod';
import {
  openTestDatabase,
  setClaims,
  type TestCaller,
  type TestDatabase,
} from '../support/database.ts';
import { makeOperations } from '../support/operations.ts';
import { makeRecordingPool, type Statement } from '../support/recordingPool.ts';
import { connected } from './callers.ts';
import { writeCorpus } from './plans/corpus.ts';
import { analyze, type PlanMode, planText } from './plans/explain.ts';
import { operations, type Places, page } from './plans/operations.ts';
import {
  asksForClaims,
  buffersOf,
  describeNode,
  isInitPlan,
  isMisjudged,
  isNewRow,
  isOverDocuments,
  nodesOf,
  type PlanNode,
  parsesSearch,
  readsWholeTable,
} from './plans/planNode.ts';

/**
 * How Postgres answers the SQL that the API really sends, with 200 000 documents
 * in 100 organizations.
 *
 * The plans are kept in test/db/plans/<name>.txt. When one changes, look at the
 * difference; if it is meant, write them anew with
 * `UPDATE_GOLDEN=1 npm test -- test/db/plans.test.ts` and commit them.
 */

/** Who reads the documents of all: what bounds a page is then its size alone. */
const member = { userId: 'user_107', orgId: 'org_7', permissions: ['org:docs:manage'] };
/** Who reads their own documents alone. */
const owner = { ...member, permissions: [] };

let database: TestDatabase;
let run: (
  query: string,
  variables?: Record<string, unknown>,
  caller?: TestCaller,
) => Promise<Answer>;
let places: Places;

beforeAll(async () => {
  database = await openTestDatabase();
  await writeCorpus(database.superuser);
  run = await openApi();
  places = await findPlaces();
}, 120_000);
afterAll(() => database.close());

describe.each(operations)('$name', ({ name, query, variables, maxBuffers, ...more }) => {
  let statements: Statement[];
  const { statements: count = 1, isForOwn = false } = more;
  const caller = isForOwn ? owner : member;

  beforeAll(async () => {
    ({ statements } = await run(query, variables?.(places), caller));
  });

  test(`is ${count === 1 ? 'one statement' : `${count} statements`}`, () => {
    expect(statements).toHaveLength(count);
  });

  test('reads through indexes only', async () => {
    for (const mode of modes) {
      const plans = await plansOf(statements, mode, caller);
      expect(plans.flatMap(nodesOf).filter(readsWholeTable).map(describeNode)).toEqual([]);
    }
  });

  test('asks for each claim once', async () => {
    for (const mode of modes) {
      const askers = (await plansOf(statements, mode, caller))
        .flatMap(nodesOf)
        .filter(asksForClaims);
      expect(askers.length).toBeGreaterThan(0);
      const others = askers.filter((node) => !isInitPlan(node) && !isNewRow(node));
      expect(others.map(describeNode)).toEqual([]);
      expect(askers.filter((node) => node['Actual Loops'] > 1).map(describeNode)).toEqual([]);
    }
  });

  test('is foreseen within ten times, at each scan and join of documents', async () => {
    // With the limits gone every node runs to its end, and can be compared.
    const whole = statements.map(({ text, values }) => ({ text: withoutLimits(text), values }));
    const compared = (await plansOf(whole, 'first', caller))
      .flatMap(nodesOf)
      .filter(isOverDocuments);
    expect(compared.filter(isMisjudged).map(describeNode)).toEqual([]);
    expect(compared.length > 0).toBe(query.includes('ocument'));
  });

  test(`touches at most ${maxBuffers} pages`, async () => {
    const [plan] = await plansOf(statements, 'settled', caller);
    expect(buffersOf(plan)).toBeLessThanOrEqual(maxBuffers);
  });

  test('keeps its plan', async () => {
    const file = new URL(`./plans/${name}.txt`, import.meta.url);
    const plan = `${(await textsOf(statements, caller)).join('\n\n')}\n`;
    if (process.env.UPDATE_GOLDEN) writeFileSync(file, plan);
    const [golden, ...alike] = readFileSync(file, 'utf8').split('-- or, at the same cost\n');
    if (!alike.includes(plan)) expect(plan).toBe(golden);
  });
});

test('every foreign key leads from a row to its reference, and back, through an index', async () => {
  const keys = await foreignKeys();
  expect(keys.length).toBeGreaterThan(3);
  const offenders: string[] = [];
  for (const { name, source, target, columns, targetColumns } of keys) {
    const { rows } = await database.superuser.query({
      text: `select ${columns} from ${source} limit 1`,
      rowMode: 'array',
    });
    const [values] = rows;
    // Nothing is read faster than a table without rows; the lint looks for its indexes.
    if (!values) continue;
    const where = (keys: string[]) => keys.map((key, n) => `${key} = $${n + 1}`).join(' and ');
    const ways = {
      'to the reference': `select from ${target} where ${where(targetColumns)}`,
      'back from it': `select from ${source} where ${where(columns)} limit 20`,
    };
    for (const [way, text] of Object.entries(ways)) {
      const plans = await plansOf([{ text, values }]);
      const whole = plans.flatMap(nodesOf).filter(readsWholeTable);
      offenders.push(...whole.map((node) => `${name}, ${way}: ${describeNode(node)}`));
    }
  }
  expect(offenders).toEqual([]);
});

test('a search is parsed once, not once a row', async () => {
  const { statements } = await run('{ searchDocuments(query: "spring") { edges { cursor } } }');
  for (const mode of modes) {
    const parsers = (await plansOf(statements, mode)).flatMap(nodesOf).filter(parsesSearch);
    expect(parsers.filter((node) => !isInitPlan(node)).map(describeNode)).toEqual([]);
  }
});

test('a member is looked up as fast in an organization of 20 000 members', async () => {
  const ofOwner = operations.find(({ name }) => name === 'node-with-owner');
  if (!ofOwner) throw new Error('The operation is gone.');
  const { statements } = await run(ofOwner.query, { id: places.documentId });
  const plans = await inRolledBack(async (client) => {
    await client.query('set local session_replication_role = replica');
    await client.query(`
      insert into app_public.users (id) select 'user_big_' || n from generate_series(1, 20000) as n;
      insert into app_public.memberships (org_id, user_id, role)
        select 'org_7', 'user_big_' || n, 'member' from generate_series(1, 20000) as n;
      analyze app_public.users, app_public.memberships`);
    await setClaims(client, member);
    return eachOf(statements, (statement) => analyze(client, statement, 'settled'));
  });
  expect(buffersOf(plans.at(-1))).toBeLessThanOrEqual(ofOwner.maxBuffers + 2);
});

const modes = ['first', 'settled'] as const;

/** What the API answered to the member, and the SQL it took. */
type Answer = { data: Record<string, unknown>; statements: Statement[] };

async function openApi(): Promise<typeof run> {
  const recording = makeRecordingPool(database.api);
  const runAs = await makeOperations(recording.pool);
  return async (query, variables, caller = member) => {
    recording.take();
    const { data, errors } = await runAs(caller, query, variables);
    if (!data || errors) throw new Error(`The operation failed: ${JSON.stringify(errors)}`);
    return { data, statements: recording.take() };
  };
}

type ForeignKey = {
  name: string;
  source: string;
  target: string;
  columns: string[];
  targetColumns: string[];
};

/** Between tables that callers can read. */
async function foreignKeys(): Promise<ForeignKey[]> {
  const names = (keys: string, table: string) => `array(
    select a.attname::text from unnest(c.${keys}) with ordinality as k (attnum, n)
    join pg_attribute as a on a.attrelid = c.${table} and a.attnum = k.attnum order by n)`;
  const { rows } = await database.superuser.query<ForeignKey>(
    `select c.conname as name, c.conrelid::regclass::text as source,
       c.confrelid::regclass::text as target,
       ${names('conkey', 'conrelid')} as columns, ${names('confkey', 'confrelid')} as "targetColumns"
     from pg_constraint as c
     where c.contype = 'f' and c.connamespace = 'app_public'::regnamespace`,
  );
  return rows;
}

async function findPlaces(): Promise<Places> {
  let after: unknown = null;
  let last: Page | undefined;
  const first = pageOf(await run(page, { first: 20 }));
  for (let row = 0; row < 1_500; row += 100) {
    last = pageOf(await run(page, { first: 100, after }));
    after = last.pageInfo.endCursor;
  }
  const row1500 = last?.edges.at(-1);
  if (!row1500) throw new Error('There are fewer than 1 500 documents.');
  const { data } = await run('{ me { id documents(last: 1) { edges { node { id } } } } }');
  const { me } = mineSchema.parse(data);
  return {
    row20: first.pageInfo.endCursor,
    row1500: row1500.cursor,
    documentId: row1500.node.id,
    memberId: me.id,
    ownDocumentId: me.documents.edges[0].node.id,
  };
}

const pageOf = ({ data }: Answer): Page => pageSchema.parse(data.documents);

const plansOf = (
  statements: Statement[],
  mode: PlanMode = 'first',
  caller: TestCaller = member,
): Promise<PlanNode[]> =>
  database.as(caller, (client) =>
    eachOf(statements, (statement) => analyze(client, statement, mode)),
  );

const textsOf = (statements: Statement[], caller: TestCaller): Promise<string[]> =>
  database.as(caller, (client) => eachOf(statements, (statement) => planText(client, statement)));

/** One after the other: they share a connection. */
async function eachOf<Item, Result>(items: Item[], work: (item: Item) => Promise<Result>) {
  const results: Result[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

function inRolledBack<Result>(work: (client: Client) => Promise<Result>): Promise<Result> {
  return connected(String(database.superuser.options.connectionString), async (client) => {
    await client.query('begin');
    const result = await work(client);
    await client.query('rollback');
    return result;
  });
}

const withoutLimits = (sql: string) => sql.replace(/\blimit \d+/g, '');

const pageSchema = z.object({
  edges: z.array(z.object({ cursor: z.string(), node: z.object({ id: z.string() }) })),
  pageInfo: z.object({ endCursor: z.string() }),
});
type Page = z.infer<typeof pageSchema>;
const nodeSchema = z.object({ node: z.object({ id: z.string() }) });
const mineSchema = z.object({
  me: z.object({ id: z.string(), documents: z.object({ edges: z.tuple([nodeSchema]) }) }),
});
