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
  getClass(): { getConstraints(): Constraint[] } | undefined;
  getForeignClass(): { getForeignConstraints(): Constraint[] } | undefined;
};

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
    }
  }

  for (const index of introspection.indexes) {
    if (index.indkey.length > 1 && isTenantKey(index.indrelid, index.indkey[0])) {
      index.indkey = index.indkey.slice(1);
    }
  }
}

/** Tables whose primary key is `(org_id, id)`, with the number of their tenant column. */
function tenantTables({ attributes, constraints }: Introspection): Map<string, number> {
  const attnumOf = (table: string, name: string) =>
    attributes.find((a) => a.attrelid === table && a.attname === name)?.attnum;
  const found = new Map<string, number>();
  for (const { contype, conrelid, conkey } of constraints) {
    if (contype !== 'p' || conkey?.length !== 2) continue;
    const tenant = attnumOf(conrelid, tenantColumn);
    if (tenant !== undefined && conkey[0] === tenant && conkey[1] === attnumOf(conrelid, 'id')) {
      found.set(conrelid, tenant);
    }
  }
  return found;
}

function remove(constraint: Constraint, list: Constraint[] = []): void {
  const index = list.indexOf(constraint);
  if (index >= 0) list.splice(index, 1);
}
