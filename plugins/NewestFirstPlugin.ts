import type { PgSelectQueryBuilder, PgSelectStep } from 'postgraphile/@dataplan/pg';
import { type ConnectionStep, type FieldArg, lambda } from 'postgraphile/grafast';

/**
 * Newest first, wherever rows have a `created_at`: the default of every
 * `orderBy`, also when it is null or empty.
 *
 * The tie-breaker is the primary key in the same direction, which lets Postgres
 * take the next page by one row comparison on one index, however far one pages.
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
        const { NATURAL: _1, PRIMARY_KEY_ASC: _2, PRIMARY_KEY_DESC: _3, ...kept } = values;
        return kept;
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
          ...(isPgFieldConnection && { applyPlan: applyOrderBy }),
        };
      },
    },
  },
};

function applyOrderBy(
  _parent: unknown,
  $connection: ConnectionStep<unknown>,
  orderBy: FieldArg,
): void {
  const $select = $connection.getSubplan() as unknown as PgSelectStep;
  orderBy.apply($select);
  $select.apply(
    lambda(orderBy.getRaw(), (given) => (isEmpty(given) ? newestFirst : noOrder), true),
  );
}

const isEmpty = (given: unknown) => given == null || (Array.isArray(given) && given.length === 0);
const noOrder = () => {};
const newestFirst = (query: PgSelectQueryBuilder) =>
  query.orderBy({ attribute: 'created_at', direction: 'DESC' });
