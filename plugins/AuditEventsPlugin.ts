import { type PgCondition, sqlValueWithCodec, TYPES } from 'postgraphile/@dataplan/pg';
import { sql } from 'postgraphile/pg-sql2';
import { addPgTableCondition } from 'postgraphile/utils';
import { notAllowed } from '../platform/errors/registry.ts';
import 'postgraphile/graphile-build-pg';

const auditEvents = { schemaName: 'app_public', tableName: 'audit_events' };

/**
 * What the audit trail is asked for besides actor and table: a thing by its id, and a
 * time. Ids of events begin with their time, so a range of time is a range of ids, and
 * Postgres looks in the partitions of those months alone.
 */
const RowPlugin = addPgTableCondition(auditEvents, 'row', (build) => ({
  type: build.graphql.GraphQLID,
  description: 'Only what happened to the thing with this id; it may be gone.',
  apply(condition: PgCondition, id: unknown) {
    if (id == null) return;
    const row = rowOfNodeId(build, String(id));
    if (!row) throw notAllowed('row', new Error('It is no id of a thing.'));
    const { table, rowId, orgId } = row;
    const text = (value: string) => sqlValueWithCodec(value, TYPES.text);
    condition.where(
      sql`${condition.alias}.row_id = ${text(rowId)} and ${condition.alias}.table_name = ${text(table)}`,
    );
    // The same user is a member elsewhere, too.
    if (orgId !== undefined) condition.where(sql`${condition.alias}.org_id = ${text(orgId)}`);
  },
}));

const SincePlugin = addPgTableCondition(auditEvents, 'since', (build) => ({
  type: build.getInputTypeByName('Datetime'),
  description: 'Only what happened then or later.',
  apply(condition: PgCondition, since: unknown) {
    if (since != null) condition.where(sql`${condition.alias}.id >= ${firstIdAt(since)}`);
  },
}));

const UntilPlugin = addPgTableCondition(auditEvents, 'until', (build) => ({
  type: build.getInputTypeByName('Datetime'),
  description: 'Only what happened before.',
  apply(condition: PgCondition, until: unknown) {
    if (until != null) condition.where(sql`${condition.alias}.id < ${firstIdAt(until)}`);
  },
}));

/** The conditions of `auditEvents` that are no columns. */
export const AuditEventsPlugins: GraphileConfig.Plugin[] = [RowPlugin, SincePlugin, UntilPlugin];

const firstIdAt = (time: unknown) =>
  sql`app_hidden.first_uuid_at(${sqlValueWithCodec(String(time), TYPES.timestamptz)})`;

/** A row as the trail names it: by its table and its id in there; the organization, where the node id says it. */
type AuditedRow = { table: string; rowId: string; orgId?: string | undefined };

/** The row that a node id stands for, whether or not it is there; null for what is no node id. */
export function rowOfNodeId(build: GraphileBuild.Build, nodeId: string): AuditedRow | null {
  const [typeName, ...key] = decoded(nodeId);
  for (const resource of Object.values(build.input.pgRegistry.pgResources)) {
    const primary = resource.uniques.find(({ isPrimary }) => isPrimary);
    if (!primary || resource.parameters || !resource.codec.attributes) continue;
    if (build.inflection.tableType(resource.codec) !== typeName) continue;
    if (key.length !== primary.attributes.length) return null;
    const orgAt = key.length === 1 ? -1 : primary.attributes.indexOf('org_id');
    const ofRow = key.filter((_, i) => i !== orgAt);
    return { table: resource.codec.name, rowId: ofRow.join(','), orgId: key[orgAt] };
  }
  return null;
}

function decoded(nodeId: string): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(nodeId, 'base64').toString('utf8'));
    return Array.isArray(parts) ? parts.map(String) : [];
  } catch {
    return [];
  }
}
