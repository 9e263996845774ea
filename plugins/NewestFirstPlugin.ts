import type { PgCodec, PgSelectQueryBuilder, PgSelectStep } from 'postgraphile/@dataplan/pg';
import { type ConnectionStep, type FieldArg, lambda } from 'postgraphile/grafast';

/**
 * Newest first, wherever rows have a `created_at`: the default of every
 * `orderBy`, also when it is null or empty.
 *
 * The tie-breaker is the primary key in the same direction, which lets Postgres
 * take the next page by one row comparison on one index, however far one pages.
 *
 * A table with the tag `sortsByTime` has a key that says the time itself: there the
 * order is that of the key alone, which a partitioned table has partition by partition.
 */
export const NewestFirstPlugin: GraphileConfig.Plugin = {
  name: 'NewestFirstPlugin',
  description: 'Orders connections by (created_at desc, primary key desc) unless asked otherwise',
  version: '1.0.0',
  after: ['PgConnectionArgOrderByPlugin', 'PgConnectionArgOrderByDefaultValuePlugin'],

  schema: {
    hooks: {
      GraphQLEnumType_values(values, _build, { scope }) {
        if (!scope.isPgRowSortEnum || !scope.pgCodec?.attributes?.created_at) return values;
        // No stable meaning, and nothing that CREATED_AT does not say better.
        const { NATURAL: _1, PRIMARY_KEY_ASC, PRIMARY_KEY_DESC, ...kept } = values;
        if (!timeKeyOf(scope.pgCodec) || !PRIMARY_KEY_ASC || !PRIMARY_KEY_DESC) return kept;
        const CREATED_AT_ASC = { ...PRIMARY_KEY_ASC, description: 'By `createdAt`, ascending.' };
        const CREATED_AT_DESC = { ...PRIMARY_KEY_DESC, description: 'By `createdAt`, descending.' };
        return { ...kept, CREATED_AT_ASC, CREATED_AT_DESC };
      },

      GraphQLObjectType_fields_field_args_arg(arg, build, { scope }) {
        const { argName, isPgFieldConnection, isPgMutationPayloadEdgeField, pgFieldResource } =
          scope;
        const codec = isPgMutationPayloadEdgeField ? scope.pgCodec : pgFieldResource?.codec;
        if (argName !== 'orderBy' || !codec?.attributes?.created_at) return arg;
        const { inflection } = build;
        const orderBy = build.getTypeByName(inflection.orderByType(inflection.tableType(codec)));
        if (!build.graphql.isEnumType(orderBy)) return arg;
        const newestFirst = orderBy.getValue(
          inflection.orderByAttributeEnum({ codec, attributeName: 'created_at', variant: 'desc' }),
        );
        if (!newestFirst) return arg;
        return {
          ...arg,
          defaultValue: [newestFirst.value],
          ...(isPgFieldConnection && { applyPlan: makeApplyOrderBy(timeKeyOf(codec)) }),
        };
      },
    },
  },
};

/** The attribute by which rows sort by time, where it is not `created_at`. */
function timeKeyOf(codec: PgCodec): string | undefined {
  const tag = codec.extensions?.tags?.sortsByTime;
  return typeof tag === 'string' ? tag : undefined;
}

function makeApplyOrderBy(timeKey: string | undefined) {
  const newestFirst = (query: PgSelectQueryBuilder) => {
    query.orderBy({ attribute: timeKey ?? 'created_at', direction: 'DESC' });
    if (timeKey) query.setOrderIsUnique();
  };
  return (_parent: unknown, $connection: ConnectionStep<unknown>, orderBy: FieldArg): void => {
    const $select = $connection.getSubplan() as unknown as PgSelectStep;
    orderBy.apply($select);
    $select.apply(
      lambda(orderBy.getRaw(), (given) => (isEmpty(given) ? newestFirst : noOrder), true),
    );
  };
}

const isEmpty = (given: unknown) => given == null || (Array.isArray(given) && given.length === 0);
const noOrder = () => {};
