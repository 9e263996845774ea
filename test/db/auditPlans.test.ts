import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeOperations } from '../support/operations.ts';
import { makeRecordingPool, type Statement } from '../support/recordingPool.ts';
import { analyze } from './plans/explain.ts';
import {
  asksForClaims,
  buffersOf,
  describeNode,
  isInitPlan,
  nodesOf,
  type PlanNode,
  readsWholeTable,
} from './plans/planNode.ts';

/**
 * How Postgres answers for the audit trail, with 200 000 events of 100 organizations in
 * the partitions of two years. Their plans are not kept: they name the month.
 */

const auditor = { userId: 'user_7', orgId: 'org_7', permissions: ['org:audit:read'] };
const nodeId = (...key: string[]) => Buffer.from(JSON.stringify(key)).toString('base64');
const fields =
  '{ edges { cursor node { id action createdAt } } pageInfo { hasNextPage endCursor } }';

/** 21 rows, each on a page of its own, and the way down the index of each partition it looks in. */
const pageBuffers = 21 + 5;
const monthBuffers = 3;
const months = 30;

const filters: { claim: string; args: string; maxBuffers: number; partitions: number }[] = [
  // Those ahead are empty, and read first.
  { claim: 'the newest', args: '', maxBuffers: pageBuffers + 5 * monthBuffers, partitions: 8 },
  {
    claim: 'the oldest',
    args: '(orderBy: [CREATED_AT_ASC])',
    maxBuffers: pageBuffers + monthBuffers,
    partitions: 2,
  },
  {
    claim: 'those of an actor',
    args: `(condition: { actor: "${nodeId('User', 'user_107')}" })`,
    maxBuffers: pageBuffers + months * monthBuffers,
    partitions: months,
  },
  {
    claim: 'those of a table',
    args: '(condition: { tableName: "memberships" })',
    maxBuffers: pageBuffers + months * monthBuffers,
    partitions: months,
  },
  {
    claim: 'those of a row',
    args: `(condition: { row: "${nodeId('Document', '01900000-0000-7000-8000-000000000007')}" })`,
    maxBuffers: pageBuffers + months * monthBuffers,
    partitions: months,
  },
  {
    claim: 'those of a week',
    args: '(condition: { since: "2025-03-03", until: "2025-03-10T00:00:00Z" })',
    maxBuffers: pageBuffers + monthBuffers,
    partitions: 1,
  },
];

let database: TestDatabase;
let run: (query: string) => Promise<{ edges: { cursor: string }[]; statements: Statement[] }>;

beforeAll(async () => {
  database = await openTestDatabase();
  await writeEvents();
  const recording = makeRecordingPool(database.api);
  const runAs = await makeOperations(recording.pool);
  run = async (query) => {
    recording.take();
    const { data, errors } = await runAs(auditor, query);
    if (!data || errors) throw new Error(JSON.stringify(errors));
    const { edges } = data.auditEvents as { edges: { cursor: string }[] };
    return { edges, statements: recording.take() };
  };
}, 120_000);
afterAll(() => database.close());

describe.each(filters)('$claim', ({ args, maxBuffers, partitions }) => {
  test('are found through indexes of the organization, in few pages', async () => {
    const { edges, statements } = await run(`{ auditEvents${args} ${fields} }`);
    expect(edges.length).toBeGreaterThan(0);
    expect(statements).toHaveLength(1);
    for (const mode of ['first', 'settled'] as const) {
      const plans = await database.as(auditor, async (client) => {
        const found: PlanNode[] = [];
        for (const one of statements) found.push(await analyze(client, one, mode));
        return found;
      });
      const nodes = plans.flatMap(nodesOf);
      expect(nodes.filter(readsWholeTable).map(describeNode)).toEqual([]);
      const scans = nodes.filter(({ Schema, ...node }) => Schema && node['Relation Name']);
      const ran = scans.filter((node) => node['Actual Loops'] > 0);
      expect(ran.length).toBeLessThanOrEqual(partitions);
      for (const scan of ran) {
        expect(scan['Index Cond'] ?? scan['Recheck Cond']).toMatch(/\.org_id = \(InitPlan/);
      }
      const others = nodes.filter(asksForClaims).filter((node) => !isInitPlan(node));
      expect(others.map(describeNode)).toEqual([]);
      expect(buffersOf(plans[0])).toBeLessThanOrEqual(maxBuffers);
    }
  });
});

test('a page follows a page, without a gap and without a repetition', async () => {
  const seen: string[] = [];
  let after = 'null';
  for (let page = 0; page < 25; page++) {
    const { edges } = await run(
      `{ auditEvents(first: 100, after: ${after}) { edges { cursor node { id } } } }`,
    );
    seen.push(...edges.map(({ cursor }) => cursor));
    after = JSON.stringify(edges.at(-1)?.cursor ?? null);
    if (edges.length < 100) break;
  }
  expect(seen).toHaveLength(2_000);
  expect(new Set(seen).size).toBe(2_000);
});

/** Two years of events, interleaved; the organization of an event is its number's last two digits. */
async function writeEvents(): Promise<void> {
  const client = await database.superuser.connect();
  try {
    await client.query('begin');
    await client.query('set local role rowhouse_owner');
    await client.query(`
      select app_private.add_audit_partition(m) from generate_series('2024-01-01 00:00Z'::timestamptz,
        '2025-12-01 00:00Z', interval '1 month', 'UTC') as m`);
    await client.query('reset role');
    await client.query(`
      insert into app_public.audit_events (org_id, id, action, source, actor_id, table_name, row_id)
      select 'org_' || n % 100,
        (left(app_hidden.first_uuid_at(timestamptz '2024-01-01 00:00Z' + n * interval '5 minutes')::text, 13)
          || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
        'UPDATE', 'REQUEST', 'user_' || n % 1000,
        case when n / 100 % 20 = 0 then 'memberships' else 'documents' end,
        '01900000-0000-7000-8000-' || lpad(to_hex(n % 5000), 12, '0')
      from generate_series(0, 199999) as n`);
    await client.query('commit');
    await client.query('vacuum (analyze)');
  } finally {
    client.release();
  }
}
