import { type PgSelectStep, TYPES } from 'postgraphile/@dataplan/pg';
import { type ConnectionStep, type FieldArgs, lambda } from 'postgraphile/grafast';

/**
 * Best match first, with cursors that hold.
 *
 * A set-returning function tagged `@rankedBy schema.function` has its rows
 * ordered by `schema.function(row, <the function's first argument>)`, best
 * first, then newest first. With a tag `@rankedByRow schema.other` the second argument is
 * `schema.other(<first argument>)`, which is asked for once. PostGraphile on its own numbers a function's rows,
 * and such a cursor points elsewhere as soon as a row is added.
 */
export const RankedByPlugin: GraphileConfig.Plugin = {
  name: 'RankedByPlugin',
  description: 'Orders the rows of search functions by their rank',
  version: '1.0.0',
  after: ['PageLimitsPlugin'],

  schema: {
    hooks: {
      GraphQLObjectType_fields_field(field, build, { scope }) {
        const { plan } = field;
        const resource = scope.pgFieldResource;
        const rankedBy = resource?.extensions?.tags?.rankedBy;
        const queryName = resource?.parameters?.[0]?.name;
        if (!scope.isPgFieldConnection || !plan || typeof rankedBy !== 'string' || !queryName) {
          return field;
        }
        const { sql } = build;
        const key = build
          .pgTableResource(resource.codec)
          ?.uniques.find(({ isPrimary }) => isPrimary);
        if (!key) throw new Error(`${resource.name} is ranked, so its rows need a primary key.`);
        const tieBreakers = resource.codec.attributes.created_at
          ? ['created_at', ...key.attributes]
          : key.attributes;
        const rank = sql.identifier(...rankedBy.split('.'));
        const { rankedByRow } = resource?.extensions?.tags ?? {};
        const row =
          typeof rankedByRow === 'string' ? sql.identifier(...rankedByRow.split('.')) : undefined;
        const codec = resource?.parameters?.[0]?.codec ?? TYPES.text;
        return {
          ...field,
          plan(...args) {
            const $connection = plan(...args) as ConnectionStep<unknown>;
            const fieldArgs: FieldArgs = args[1];
            const $select = $connection.getSubplan() as unknown as PgSelectStep;
            const $query = lambda(fieldArgs.getRaw(queryName), textOrNull, true);
            const asked = $select.placeholder($query, codec);
            const other = row ? sql`(select ${row}(${asked}))` : asked;
            $select.orderBy({
              fragment: sql`${rank}(${$select.alias}, ${other})`,
              codec: row ? TYPES.float : TYPES.float4,
              direction: 'DESC',
              nullable: false,
            });
            for (const attribute of tieBreakers) $select.orderBy({ attribute, direction: 'DESC' });
            $select.setOrderIsUnique();
            return $connection;
          },
        };
      },
    },
  },
};

function textOrNull(value: unknown): string | null {
  return value == null ? null : String(value);
}
