import type { PgCodec } from 'postgraphile/@dataplan/pg';
import 'postgraphile/graphile-build-pg';

/**
 * Words for what Postgres has no comments for. Orders, references in conditions
 * and ids of deleted rows are described here, those in inputs as their columns are; values of enums and arguments of
 * functions by the tag `describe` of their type or function, texts by name.
 */
export const DescriptionsPlugin: GraphileConfig.Plugin = {
  name: 'DescriptionsPlugin',
  description: 'Describes what has no comment in the database',
  version: '1.0.0',

  schema: {
    hooks: {
      GraphQLEnumType_values(values, build, { scope, Self }) {
        const texts = scope.isPgRowSortEnum
          ? orderTexts(build, scope.pgCodec as PgCodec | undefined)
          : tagTexts(enumCodec(build, Self.name));
        return Object.fromEntries(
          Object.entries(values).map(([name, value]) => [
            name,
            { ...value, description: value.description ?? texts[name] },
          ]),
        );
      },

      GraphQLInputObjectType_fields_field(field, build, { scope }) {
        if (field.description) return field;
        const description = scope.isPgCondition
          ? `Only those whose \`${scope.fieldName}\` has this id.`
          : referenceText(build, scope.pgCodec as PgCodec | undefined, scope.fieldName);
        return description ? { ...field, description } : field;
      },

      GraphQLObjectType_fields_field(field, _build, { scope }) {
        if (field.description || !scope.isPgMutationPayloadDeletedNodeIdField) return field;
        return { ...field, description: 'Id of what was deleted.' };
      },

      GraphQLObjectType_fields_field_args_arg(arg, _build, { scope }) {
        const text = tagTexts(scope.pgFieldResource)[scope.argName];
        return arg.description || !text ? arg : { ...arg, description: text };
      },
    },
  },
};

type Texts = Record<string, string | undefined>;
type Tagged = { extensions?: { tags?: object } | undefined };

function tagTexts(tagged: Tagged | undefined): Texts {
  const { describe } = (tagged?.extensions?.tags ?? {}) as { describe?: Texts };
  return describe ?? {};
}

function enumCodec(build: GraphileBuild.Build, typeName: string): PgCodec | undefined {
  return Object.values(build.pgCodecs).find(
    (codec) => 'values' in codec && build.inflection.enumType(codec as never) === typeName,
  );
}

/** What the column says whose place an id takes, and of what the id is. */
function referenceText(
  { inflection, input: { pgRegistry } }: GraphileBuild.Build,
  codec: PgCodec | undefined,
  fieldName: string,
): string | undefined {
  const relations = Object.entries(pgRegistry.pgRelations[codec?.name ?? ''] ?? {});
  const [, relation] =
    relations.find(
      ([relationName, { isReferencee, isUnique }]) =>
        !isReferencee &&
        isUnique &&
        inflection.nodeIdAttribute({
          registry: pgRegistry,
          codec: codec as never,
          relationName,
        }) === fieldName,
    ) ?? [];
  const column = codec?.attributes?.[relation?.localAttributes[0] ?? ''];
  if (!relation || !column?.description) return undefined;
  return `${column.description} The id of a \`${inflection.tableType(relation.remoteResource.codec)}\`.`;
}

function orderTexts({ inflection }: GraphileBuild.Build, codec: PgCodec | undefined): Texts {
  const texts: Texts = {};
  for (const attributeName of Object.keys(codec?.attributes ?? {})) {
    const details = { codec: codec as never, attributeName };
    const field = inflection.attribute(details);
    const nameOf = (variant: 'asc' | 'desc') =>
      inflection.orderByAttributeEnum({ ...details, variant });
    texts[nameOf('asc')] = `By \`${field}\`, ascending.`;
    texts[nameOf('desc')] = `By \`${field}\`, descending.`;
  }
  return texts;
}
