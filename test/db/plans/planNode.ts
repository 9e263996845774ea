import { z } from 'zod';

/** A node of a plan, as `explain (format json)` writes it. */
export type PlanNode = z.infer<typeof baseSchema> & { Plans?: PlanNode[] };

/** The nodes of a plan, the root first. */
export const nodesOf = (plan: PlanNode): PlanNode[] => [
  plan,
  ...(plan.Plans ?? []).flatMap(nodesOf),
];

/**
 * Whether it reads a whole table of ours. Of a hundred organizations that is two
 * pages, as fast as their index.
 */
export const readsWholeTable = (node: PlanNode) =>
  node['Node Type'] === 'Seq Scan' &&
  String(node.Schema).startsWith('app_') &&
  node['Relation Name'] !== 'organizations';
/** Whether it makes a row of its own, such as one that is inserted, with its defaults. */
export const isNewRow = (node: PlanNode) => node['Node Type'] === 'Result';
/** Whether it runs once, before the rest. */
export const isInitPlan = (node: PlanNode) => node['Parent Relationship'] === 'InitPlan';
/** Whether it parses a search query. */
export const parsesSearch = ({ Plans: _, ...node }: PlanNode) =>
  /search_query|to_tsquery/.test(JSON.stringify(node));
/** Whether it reads the claims. */
export const asksForClaims = ({ Plans: _, ...node }: PlanNode) =>
  /current_setting|app_hidden\.(current|can|has)_/.test(JSON.stringify(node));

/** The tables of ours that a scan reads, or a join puts together; none of another node. */
export function tablesOf(node: PlanNode): string[] {
  const own = scannedTable(node);
  if (own) return [own];
  if (!/Join|Nested Loop/.test(node['Node Type'])) return [];
  const inputs = (node.Plans ?? []).filter((child) =>
    /Outer|Inner/.test(child['Parent Relationship'] ?? ''),
  );
  return inputs.flatMap(nodesOf).flatMap((child) => scannedTable(child) ?? []);
}

/** A bitmap scan of an index names only that, which begins with its table. */
function scannedTable(node: PlanNode): string | undefined {
  if (String(node.Schema).startsWith('app_')) return node['Relation Name'];
  if (node['Node Type'] !== 'Bitmap Index Scan') return undefined;
  return node['Index Name']?.replace(/_(org_id|user_id|pkey|id).*$/, '');
}

/** Whether more than ten times as many rows came as were expected, or the other way round. */
export function isMisjudged(node: PlanNode): boolean {
  if (node['Actual Loops'] === 0) return false;
  const ratio = Math.max(node['Plan Rows'], 1) / Math.max(node['Actual Rows'], 1);
  return ratio > 10 || ratio < 1 / 10;
}

/** Pages touched, cached or not, by the node and all below it. */
export const buffersOf = (plan: PlanNode | undefined) =>
  plan ? plan['Shared Hit Blocks'] + plan['Shared Read Blocks'] : Number.NaN;

/** What a plan of too many pages has to show for them: the nodes that touch most, without those below. */
export function costliestOf(plan: PlanNode): string[] {
  const ownBuffers = (node: PlanNode) =>
    (node.Plans ?? []).reduce((rest, child) => rest - buffersOf(child), buffersOf(node));
  return nodesOf(plan)
    .map((node) => ({ node, pages: ownBuffers(node) }))
    .sort((a, b) => b.pages - a.pages)
    .slice(0, 3)
    .filter(({ pages }) => pages > 0)
    .map(({ node, pages }) => `${pages} pages: ${describeNode(node)}`);
}

/** A node in a sentence, for a test that fails. */
export const describeNode = (node: PlanNode) =>
  `${node['Node Type']} on ${node['Relation Name'] ?? node['Index Name'] ?? '(join)'}: ` +
  `${node['Plan Rows']} rows expected, ${node['Actual Rows']} seen, in ${node['Actual Loops']} loops`;

const baseSchema = z.looseObject({
  'Node Type': z.string(),
  'Parent Relationship': z.string().optional(),
  'Relation Name': z.string().optional(),
  'Index Name': z.string().optional(),
  'Plan Rows': z.number(),
  /** Per loop. */
  'Actual Rows': z.number(),
  'Actual Loops': z.number(),
  'Shared Hit Blocks': z.number(),
  'Shared Read Blocks': z.number(),
});
/** Parses one. */
export const nodeSchema: z.ZodType<PlanNode> = baseSchema.extend({
  get Plans() {
    return z.array(nodeSchema).optional();
  },
});
