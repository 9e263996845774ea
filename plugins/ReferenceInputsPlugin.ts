import 'postgraphile/graphile-build-pg';

/**
 * An input field for each reference whose column callers may write.
 *
 * PostGraphile leaves it out where they may not write the table that is referred to, as if to point at a
 * user were to add one. What counts is the grant of the column: without it there is no field.
 */
export const ReferenceInputsPlugin: GraphileConfig.Plugin = {
  name: 'ReferenceInputsPlugin',
  description: 'Takes references to tables that callers only read',
  version: '1.0.0',

  schema: {
    entityBehavior: {
      pgCodecRelation: {
        inferred: {
          // The privileges of tables have been looked at by then.
          after: ['postInferred'],
          provides: ['referenceInputs'],
          before: ['override'],
          callback(behavior, { isUnique, isReferencee, localCodec, localAttributes }) {
            if (!isUnique || isReferencee) return behavior;
            const isGranted = (privilege: 'canInsert' | 'canUpdate') =>
              localAttributes.every(
                (name: string) => localCodec.attributes[name]?.extensions?.[privilege] === true,
              );
            return [
              behavior,
              ...(isGranted('canInsert') ? (['nodeId:insert'] as const) : []),
              ...(isGranted('canUpdate') ? (['nodeId:update'] as const) : []),
            ];
          },
        },
      },
    },
  },
};
