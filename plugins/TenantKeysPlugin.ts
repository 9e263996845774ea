import 'postgraphile/graphile-build-pg';

/** The column that names the tenant in every tenant table. */
const tenantColumn = 'org_id';

/**
 * Takes the tenant column out of keys, references and indexes as PostGraphile
 * sees them, so that the composite key `(org_id, id)` reads as `id`.
 *
 * Row-level security already pins `org_id` to the caller's organization, so an
 * API that repeated it would only be longer: a node id would carry the
 * organization, a reference would be called `orgDocument`, and an optional
 * reference would become a required one.
 *
 * A tenant table is one whose primary key is `(org_id, id)`. `memberships` is
 * none: its rows span organizations for one caller, and it keeps its whole key.
 * A reference of a tenant table to it, `(org_id, reviewer_id)`, reads as one to the
 * user: whom else a row of the organization can name, Postgres sees to.
 */
export const TenantKeysPlugin: GraphileConfig.Plugin = {
  name: 'TenantKeysPlugin',
  description: 'Takes the tenant column out of the keys that the API shows',
  version: '1.0.0',

  gather: {
    hooks: {
      pgIntrospection_introspection(_info, { introspection }) {
        hideTenantColumn(introspection);
      },
    },
  },

  schema: {
    entityBehavior: {
      pgCodecAttribute: {
        inferred: {
          after: ['inferred'],
          provides: ['postInferred'],
          callback(behavior, [codec, attributeName], build) {
            if (attributeName !== tenantColumn) return behavior;
            const primaryKey = build
              .pgTableResource(codec)
              ?.uniques.find((unique: { isPrimary?: boolean }) => unique.isPrimary);
            const isHidden =
              primaryKey !== undefined && !primaryKey.attributes.includes(tenantColumn);
            return isHidden ? [behavior, '-*'] : behavior;
          },
        },
      },
    },
  },
};

/** What this plugin reads and changes of pg-introspection's result. */
type Introspection = {
  attributes: readonly { attrelid: string; attname: string; attnum: number }[];
  constraints: readonly Constraint[];
  indexes: readonly { indrelid: string; indkey: readonly number[] }[];
};
type Constraint = {
  contype: string;
  conrelid: string;
  confrelid: string | null;
  conkey: readonly number[] | null;
  confkey: readonly number[] | null;
  getClass(): Class | undefined;
  getForeignClass(): Class | undefined;
};
type Class = { getConstraints(): Constraint[]; getForeignConstraints(): Constraint[] };

function hideTenantColumn(introspection: Introspection): void {
  const tenantAttnums = tenantTables(introspection);
  const isTenantKey = (table: string | null, attnum: number | undefined) =>
    table !== null && attnum !== undefined && tenantAttnums.get(table) === attnum;

  for (const constraint of introspection.constraints) {
    const { conkey, confkey, conrelid, confrelid } = constraint;
    if (!conkey || !isTenantKey(conrelid, conkey[0])) continue;
    if (constraint.contype === 'f' && conkey.length === 1) {
      // `org_id → organizations` alone says nothing to a caller who has one organization.
      remove(constraint, constraint.getClass()?.getConstraints());
      remove(constraint, constraint.getForeignClass()?.getForeignConstraints());
    } else if (conkey.length > 1 && (!confkey || isTenantKey(confrelid, confkey[0]))) {
      constraint.conkey = conkey.slice(1);
      constraint.confkey = confkey?.slice(1) ?? null;
    } else if (constraint.contype === 'f') throughBelonging(constraint, introspection);
  }

  for (const index of introspection.indexes) {
    if (index.indkey.length > 1 && isTenantKey(index.indrelid, index.indkey[0])) {
      index.indkey = index.indkey.slice(1);
    }
  }
}

/** Where a reference goes to an organization and an id that is itself a reference, takes it to where that one goes. */
function throughBelonging(reference: Constraint, introspection: Introspection): void {
  const { conkey, confkey, confrelid } = reference;
  if (conkey?.length !== 2 || confkey?.length !== 2 || confrelid === null) return;
  if (confkey[0] !== attnumOf(introspection, confrelid, tenantColumn)) return;
  const onward = introspection.constraints.find(
    ({ contype, conrelid, conkey: key }) =>
      contype === 'f' && conrelid === confrelid && key?.length === 1 && key[0] === confkey[1],
  );
  if (!onward) return;
  remove(reference, onward.getClass()?.getForeignConstraints());
  reference.conkey = conkey.slice(1);
  reference.confkey = onward.confkey;
  reference.confrelid = onward.confrelid;
  reference.getForeignClass = () => onward.getForeignClass();
  onward.getForeignClass()?.getForeignConstraints().push(reference);
}

function attnumOf({ attributes }: Introspection, table: string, name: string): number | undefined {
  return attributes.find((a) => a.attrelid === table && a.attname === name)?.attnum;
}

/** Tables whose primary key is `(org_id, id)`, with the number of their tenant column. */
function tenantTables(introspection: Introspection): Map<string, number> {
  const found = new Map<string, number>();
  for (const { contype, conrelid, conkey } of introspection.constraints) {
    if (contype !== 'p' || conkey?.length !== 2) continue;
    const tenant = attnumOf(introspection, conrelid, tenantColumn);
    if (
      tenant !== undefined &&
      conkey[0] === tenant &&
      conkey[1] === attnumOf(introspection, conrelid, 'id')
    ) {
      found.set(conrelid, tenant);
    }
  }
  return found;
}

function remove(constraint: Constraint, list: Constraint[] = []): void {
  const index = list.indexOf(constraint);
  if (index >= 0) list.splice(index, 1);
}
