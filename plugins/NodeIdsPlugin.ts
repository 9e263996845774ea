import type { PgCodec } from 'postgraphile/@dataplan/pg';
import { notAllowed } from '../platform/errors/registry.ts';

/**
 * A node id whose key cannot be a key of its table is nobody's id: lookups answer
 * null and mutations `NOT_FOUND`, as for any unknown id; where an input refers to
 * it, it is refused like a reference that leads nowhere. Without this a caller's
 * invention would reach Postgres and come back as a type error.
 */
export const NodeIdsPlugin: GraphileConfig.Plugin = {
  name: 'NodeIdsPlugin',
  description: 'Node ids with malformed keys match nothing',
  version: '1.0.0',

  schema: {
    hooks: {
      GraphQLInputObjectType_fields_field(field, _build, { scope }) {
        const { apply } = field as { apply?: (...args: unknown[]) => unknown };
        if (!apply || !scope.fieldBehaviorScope?.startsWith('nodeId:')) return field;
        return {
          ...field,
          apply(...args: unknown[]) {
            try {
              return apply(...args);
            } catch (cause) {
              throw notAllowed(scope.fieldName, cause);
            }
          },
        };
      },

      init: {
        after: ['PgTableNodePlugin'],
        callback(_, build) {
          for (const resource of Object.values(build.pgResources)) {
            const key = resource.uniques.find(({ isPrimary }) => isPrimary);
            if (resource.parameters || !key || !resource.codec.attributes) continue;
            const handler = build.getNodeIdHandler?.(build.inflection.tableType(resource.codec));
            if (!handler) continue;
            const attributes = resource.codec.attributes;
            const canBeKey = key.attributes.map((name) => keyCheck(attributes[name]?.codec));
            const matchesType = handler.match;
            handler.match = (specifier) =>
              matchesType(specifier) &&
              Array.isArray(specifier) &&
              specifier.length === canBeKey.length + 1 &&
              canBeKey.every((canBe, i) => canBe(specifier[i + 1]));
          }
          return _;
        },
      },
    },
  },
};

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a decoded value can be read by Postgres as a value of this type. */
function keyCheck(codec: PgCodec | undefined): (value: unknown) => boolean {
  switch (codec?.name) {
    case 'uuid':
      return (value) => typeof value === 'string' && uuid.test(value);
    case 'text':
      return (value) => typeof value === 'string' && !value.includes('\0') && value.isWellFormed();
    case 'int4':
      return (value) => Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31;
    case 'int8':
      return (value) => typeof value === 'string' && /^-?\d{1,18}$/.test(value);
    default:
      // Of other types Postgres says itself what it cannot read, as an error of the input.
      return (value) => ['string', 'number', 'boolean'].includes(typeof value);
  }
}
