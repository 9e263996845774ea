import { type ConnectionStep, type FieldArgs, lambda, type Step } from 'postgraphile/grafast';
import { RowhouseError } from '../platform/errors/registry.ts';

/** Edges of a page for which neither `first` nor `last` is given. */
const defaultPageSize = 20;
/** The most edges a page may have. */
const maxPageSize = 100;

/**
 * Every page ends: 20 edges unless `first` or `last` says otherwise, at most
 * 100, at every level; more, or a negative number, is `BAD_USER_INPUT`.
 * PostGraphile on its own returns all rows when neither is given.
 *
 * There is no `offset`: its cost grows with the distance, cursors' does not.
 * There is no `nodes`: Relay reads edges.
 */
export const PageLimitsPlugin: GraphileConfig.Plugin = {
  name: 'PageLimitsPlugin',
  description: 'A default and a maximum for the size of every page',
  version: '1.0.0',
  after: ['PgFirstLastBeforeAfterArgsPlugin', 'ConnectionPlugin'],

  schema: {
    hooks: {
      GraphQLObjectType_fields(fields, _build, { scope }) {
        if (!scope.isConnectionType) return fields;
        const { nodes: _nodes, ...kept } = fields;
        return kept;
      },

      GraphQLObjectType_fields_field_args(args, _build, { scope }) {
        if (!scope.isPgFieldConnection || !args.first) return args;
        const { first, last, offset: _offset, ...kept } = args;
        return {
          // The field's plan below applies both together.
          first: {
            ...first,
            description: `How many edges from the start of the list: ${defaultPageSize} when neither \`first\` nor \`last\` is given, at most ${maxPageSize}.`,
            applyPlan: undefined,
          },
          ...(last && {
            last: {
              ...last,
              description: `How many edges from the end of the list, at most ${maxPageSize}.`,
              applyPlan: undefined,
            },
          }),
          ...kept,
        };
      },

      GraphQLObjectType_fields_field(field, _build, { scope }) {
        const { plan } = field;
        if (!scope.isPgFieldConnection || !plan) return field;
        return {
          ...field,
          plan(...args) {
            const $connection = plan(...args) as Connection;
            const fieldArgs: FieldArgs = args[1];
            limitPage($connection, fieldArgs.getRaw('first'), fieldArgs.getRaw('last'));
            return $connection;
          },
        };
      },
    },
  },
};

type Connection = ConnectionStep<unknown>;

function limitPage($connection: Connection, $first: Step, $last: Step | undefined): void {
  if ($last) {
    $connection.setFirst(lambda([$first, $last], firstOrDefault));
    $connection.setLast(lambda($last, (last) => pageSize('last', last)));
  } else {
    $connection.setFirst(lambda($first, (first) => pageSize('first', first) ?? defaultPageSize));
  }
}

function firstOrDefault([first, last]: readonly [unknown, unknown]): number | null {
  return pageSize('first', first) ?? (last == null ? defaultPageSize : null);
}

function pageSize(field: 'first' | 'last', requested: unknown): number | null {
  if (requested == null) return null;
  if (typeof requested === 'number' && requested >= 0 && requested <= maxPageSize) return requested;
  throw new RowhouseError('BAD_USER_INPUT', {
    field,
    message: `\`${field}\` must be between 0 and ${maxPageSize}; page on with the cursor.`,
  });
}
