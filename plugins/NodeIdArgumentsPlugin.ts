import { type FieldArgs, lambda } from 'postgraphile/grafast';
import { makeReadNodeId } from './uploads.ts';

/**
 * Global ids where a function wants the id of a row.
 *
 * A function tagged `@argumentIs Type` gets its first argument, a uuid, from clients as the global
 * id of a `Type`. What is no such id is told as null, so that it finds what a random id finds.
 */
export const NodeIdArgumentsPlugin: GraphileConfig.Plugin = {
  name: 'NodeIdArgumentsPlugin',
  description: 'Reads global ids for functions that take the id of a row',
  version: '1.0.0',
  after: ['RankedByPlugin', 'PageLimitsPlugin'],

  schema: {
    hooks: {
      GraphQLObjectType_fields_field(field, build, { scope }) {
        const { plan, args } = field;
        const resource = scope.pgFieldResource;
        const typeName = resource?.extensions?.tags?.argumentIs;
        const name = resource?.parameters?.[0]?.name;
        if (!plan || !name || typeof typeName !== 'string') return field;
        const { GraphQLID, GraphQLNonNull } = build.graphql;
        const readId = makeReadNodeId(build, typeName);
        return {
          ...field,
          args: { ...args, [name]: { ...args?.[name], type: new GraphQLNonNull(GraphQLID) } },
          plan($parent, fieldArgs, info) {
            const getRaw = (path: string | readonly string[]) => {
              const $raw = fieldArgs.getRaw(path as never);
              return String(path) === name ? lambda($raw, readId, true) : $raw;
            };
            const read: FieldArgs = Object.create(fieldArgs, { getRaw: { value: getRaw } });
            return plan($parent, read, info);
          },
        };
      },
    },
  },
};
