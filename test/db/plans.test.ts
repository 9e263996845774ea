import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Client } from 'pg';
import { z } from 'zod';
import {
  openTestDatabase,
  setClaims,
  type TestCaller,
  type TestDatabase,
} from '../support/database.ts';
import { makeOperations } from '../support/operations.ts';
import { makeRecordingPool, type Statement } from '../support/recordingPool.ts';
import { signingOnly } from '../support/signingOnly.ts';
import { unreachableGenerations } from '../support/unreachableGenerations.ts';
import { connected } from './callers.ts';
import { writeCorpus } from './plans/corpus.ts';
import { analyze, type PlanMode, planText } from './plans/explain.ts';
import { member, operations, type Places, page } from './plans/operations.ts';
import {
  asksForClaims,
  buffersOf,
  costliestOf,
  describeNode,
  isInitPlan,
  isMisjudged,
  isNewRow,
  nodesOf,
  type PlanNode,
  parsesSearch,
  readsWholeTable,
  tablesOf,
} from './plans/planNode.ts';

/**
 * How Postgres answers the SQL that the API really sends, with 200 000 documents
 * in 100 organizations.
 *
 * The plans are kept in test/db/plans/<name>.txt. When one changes, look at the
 * difference; if it is meant, write them anew with
 * `UPDATE_GOLDEN=1 npm test -- test/db/plans.test.ts` and commit them.
 */

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
  const { caller = member, statements: count = 1, misjudged = {} } = more;
  const isMutation = query.startsWith('mutation');
  let statements: Statement[];

  beforeAll(async () => {
    const values = variables?.(places);
    const changedId = isMutation ? values?.id : undefined;
    // The plans of what it wrote are those of a row that is as it was.
    ({ statements } = await putBack(changedId, () => run(query, values, caller)));
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
      const plans = await plansOf(statements, mode, caller);
      const askers = plans.flatMap(nodesOf).filter(asksForClaims);
      // Of mutations some are functions, whose statements ask.
      expect(askers.length > 0 || isMutation).toBe(true);
      const others = askers.filter((node) => !isInitPlan(node) && !isNewRow(node));
      expect(others.map(describeNode)).toEqual([]);
      expect(askers.filter((node) => node['Actual Loops'] > 1).map(describeNode)).toEqual([]);
    }
  });

  test('is foreseen within ten times, at each scan and join', async () => {
    // With the limits gone every node runs to its end, and can be compared.
    const whole = statements.map(({ text, values }) => ({ text: withoutLimits(text), values }));
    const compared = (await plansOf(whole, 'first', caller)).flatMap(nodesOf);
    expect(isMutation || compared.some((node) => tablesOf(node).length > 0)).toBe(true);
    const wrong = compared.filter((node) => tablesOf(node).length > 0 && isMisjudged(node));
    const unexplained = wrong.filter((node) => !tablesOf(node).some((table) => table in misjudged));
    expect(unexplained.map(describeNode)).toEqual([]);
    const explained = Object.keys(misjudged);
    expect(
      explained.filter((table) => wrong.some((node) => tablesOf(node).includes(table))),
    ).toEqual(explained);
  });

  test(`touches at most ${maxBuffers} pages`, async () => {
    // The first runs of a connection read the catalogue too.
    const plans = await plansOf(statements, 'settled', caller);
    const pages = plans.reduce((sum, plan) => sum + buffersOf(plan), 0);
    const offenders = plans.flatMap(costliestOf);
    expect(pages > maxBuffers ? [`${pages} pages`, ...offenders] : []).toEqual([]);
  });

  test('keeps its plan', async () => {
    const file = new URL(`./plans/${name}.txt`, import.meta.url);
    const plan = withoutNewIds(`${(await textsOf(statements, caller)).join('\n\n')}\n`);
    if (process.env.UPDATE_GOLDEN) writeFileSync(file, plan);
    const [golden, ...alike] = readFileSync(file, 'utf8').split('-- or, at the same cost\n');
    if (!alike.includes(plan)) expect(plan).toBe(golden);
  });
});

test('every foreign key leads from a row to its reference, and back, through an index', async () => {
  const keys = await foreignKeys();
  expect(keys.length).toBeGreaterThanOrEqual(12);
  const offenders: string[] = [];
  for (const { name, source, target, columns, targetColumns } of keys) {
    const isSet = columns.map((column) => `${column} is not null`).join(' and ');
    const { rows } = await database.superuser.query({
      text: `select ${columns} from ${source} where ${isSet} limit 1`,
      rowMode: 'array',
    });
    const [values] = rows;
    // Nothing is read faster than a table without rows, and nothing is shown by it.
    if (!values) throw new Error(`The corpus has no row of ${source} for ${name}.`);
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
  const plans = await inTransaction('rollback', async (client) => {
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

/** There are two hundred files of each organization. */
const limits = { ...signingOnly.limits, quotaFiles: 10_000, quotaBytes: 1e12 };

const modes = ['first', 'settled'] as const;

/** What the API answered to the member, and the SQL it took. */
type Answer = { data: Record<string, unknown>; statements: Statement[] };

async function openApi(): Promise<typeof run> {
  const recording = makeRecordingPool(database.api);
  const runAs = await makeOperations(recording.pool, {
    uploads: { ...signingOnly, limits },
    generations: unreachableGenerations(),
  });
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
  const ownDocumentId = me.documents.edges[0].node.id;
  const started = await run(
    'mutation { startGeneration(input: { prompt: "Wait." }) { generation { id } } }',
  );
  return {
    row20: first.pageInfo.endCursor,
    row1500: row1500.cursor,
    documentId: row1500.node.id,
    memberId: me.id,
    ownDocumentId,
    ownReadyFileId: await ownId('File', "status = 'READY'"),
    ownPendingFileId: await ownId('File', "status = 'PENDING'"),
    ownGenerationId: await ownId('Generation', 'document_id is not null'),
    ownQueuedGenerationId: startedSchema.parse(started.data).startGeneration.generation.id,
  };
}

/** A global id of a row of the member. */
async function ownId(type: 'File' | 'Generation', where: string): Promise<string> {
  const [table, owner] =
    type === 'File' ? [tablesOfTypes.File, 'owner_id'] : [tablesOfTypes.Generation, 'user_id'];
  const { rows } = await database.superuser.query(
    `select id from ${table} where org_id = $1 and ${owner} = $2 and ${where} order by id limit 1`,
    [member.orgId, member.userId],
  );
  return Buffer.from(JSON.stringify([type, rows[0].id])).toString('base64');
}

const tablesOfTypes: Record<string, string> = {
  Document: 'app_public.documents',
  File: 'app_public.files',
  Generation: 'app_public.generations',
};

/** Does what may change or delete the row of a global id, and makes the row what it was. */
async function putBack<Result>(id: unknown, work: () => Promise<Result>): Promise<Result> {
  const [type, key] = id ? JSON.parse(Buffer.from(String(id), 'base64').toString('utf8')) : [];
  const table = tablesOfTypes[type];
  if (!table) return work();
  const { rows } = await database.superuser.query(
    `select to_jsonb(t) as row from ${table} as t where org_id = $1 and id = $2`,
    [member.orgId, key],
  );
  const result = await work();
  await inTransaction('commit', async (client) => {
    await client.query('set local session_replication_role = replica');
    await client.query(`delete from ${table} where org_id = $1 and id = $2`, [member.orgId, key]);
    const [{ row }] = rows;
    await client.query(
      `insert into ${table} select * from jsonb_populate_record(null::${table}, $1)`,
      [row],
    );
  });
  return result;
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

function inTransaction<Result>(
  end: 'commit' | 'rollback',
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  return connected(String(database.superuser.options.connectionString), async (client) => {
    await client.query('begin');
    const result = await work(client);
    await client.query(end);
    return result;
  });
}

/** Those of the corpus begin with 0190 to 0192. */
const withoutNewIds = (plan: string) =>
  plan.replace(/'(?!019[0-2])[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}'/g, "'<new id>'");
const withoutLimits = (sql: string) => sql.replace(/\blimit \d+/g, '');

const pageSchema = z.object({
  edges: z.array(z.object({ cursor: z.string(), node: z.object({ id: z.string() }) })),
  pageInfo: z.object({ endCursor: z.string() }),
});
type Page = z.infer<typeof pageSchema>;
const nodeSchema = z.object({ node: z.object({ id: z.string() }) });
const startedSchema = z.object({
  startGeneration: z.object({ generation: z.object({ id: z.string() }) }),
});
const mineSchema = z.object({
  me: z.object({ id: z.string(), documents: z.object({ edges: z.tuple([nodeSchema]) }) }),
});
