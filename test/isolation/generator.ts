import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'postgraphile/graphql';
import type { Knowledge } from './knowledge.ts';

/** An operation, and what of the schema it uses: `Type.field`, `Type.field(argument)`, `Input.field`, `Enum.VALUE`. */
export type Operation = {
  query: string;
  variables: Record<string, unknown>;
  isMutation: boolean;
  uses: ReadonlySet<string>;
  /** What its variables are for. */
  places: readonly Place[];
};

/** A variable: its type, and words about where it stands. */
type Place = { variable: string; type: GraphQLInputType; about: string };

/** Draws a number from 0 up to 1. */
export type Draw = () => number;

/** Something in the schema that no value can be made for. Its message says what to write where. */
export class Unprovable extends Error {
  override readonly name = 'Unprovable';
}

/** Everything of a schema that an operation can use. @throws Unprovable for what the proof does not know. */
export function partsOf(schema: GraphQLSchema): Set<string> {
  if (schema.getSubscriptionType()) {
    throw new Unprovable(
      'The schema has subscriptions, which the proof does not ask yet: let test/isolation/proof.ts subscribe as each caller.',
    );
  }
  const parts = new Set<string>();
  const seen = new Set<string>();
  const visitInput = (type: GraphQLInputType) => {
    const named = getNamedType(type);
    if (seen.has(named.name)) return;
    seen.add(named.name);
    if (isEnumType(named))
      for (const { name } of named.getValues()) parts.add(`${named.name}.${name}`);
    else if (isInputObjectType(named)) {
      for (const field of Object.values(named.getFields())) {
        parts.add(`${named.name}.${field.name}`);
        visitInput(field.type);
      }
    } else if (!scalarValues[named.name]) {
      throw new Unprovable(
        `The proof can make no value of the scalar ${named.name}: add it to \`scalarValues\` in test/isolation/generator.ts.`,
      );
    }
  };
  const visit = (type: GraphQLOutputType) => {
    const named = getNamedType(type);
    if (isLeafType(named) || seen.has(named.name)) return;
    seen.add(named.name);
    if (isAbstractType(named)) {
      for (const possible of schema.getPossibleTypes(named)) visit(possible);
      return;
    }
    for (const field of Object.values(named.getFields())) {
      parts.add(`${named.name}.${field.name}`);
      for (const arg of field.args) {
        parts.add(`${named.name}.${field.name}(${arg.name})`);
        visitInput(arg.type);
      }
      visit(field.type);
    }
  };
  for (const root of [schema.getQueryType(), schema.getMutationType()]) if (root) visit(root);
  return parts;
}

/** For each type that can be reached, the root field by which least else is. */
export function shortestWays(
  schema: GraphQLSchema,
): Map<string, { root: GraphQLObjectType; name: string }> {
  const ways = new Map<string, { root: GraphQLObjectType; name: string; size: number }>();
  for (const root of [schema.getQueryType(), schema.getMutationType()]) {
    for (const field of Object.values(root?.getFields() ?? {})) {
      const reached = reachedBy(schema, field);
      for (const type of reached) {
        if (root && reached.size < (ways.get(type)?.size ?? Number.POSITIVE_INFINITY)) {
          ways.set(type, { root, name: field.name, size: reached.size });
        }
      }
    }
  }
  return ways;
}

function reachedBy(schema: GraphQLSchema, field: GraphQLField<unknown, unknown>): Set<string> {
  const reached = new Set<string>();
  const visit = (type: GraphQLOutputType | GraphQLInputType) => {
    const named = getNamedType(type);
    if (reached.has(named.name)) return;
    reached.add(named.name);
    if (isAbstractType(named)) for (const one of schema.getPossibleTypes(named)) visit(one);
    else if (isInputObjectType(named)) {
      for (const one of Object.values(named.getFields())) visit(one.type);
    } else if (isObjectType(named)) {
      for (const one of Object.values(named.getFields())) {
        visit(one.type);
        for (const arg of one.args) visit(arg.type);
      }
    }
  };
  visit(field.type);
  for (const arg of field.args) visit(arg.type);
  return reached;
}

/** Values of scalars; most come from answers that were given before, to whomever. */
const scalarValues: Record<string, (knowledge: Knowledge, draw: Draw, about: string) => unknown> = {
  ID: (knowledge, draw, about) => knowledge.id(draw, about),
  Cursor: (knowledge, draw) => pick(draw, [...knowledge.cursors, 'W10=', 'nonsense', '']),
  String: (knowledge, draw) => pick(draw, [...knowledge.texts, ...oddTexts]),
  Int: (_, draw) => pick(draw, [0, 1, 2, 3, 5, 20, 100, 101, -1]),
  Float: (_, draw) => pick(draw, [0, 1.5, -1]),
  Boolean: (_, draw) => draw() < 0.5,
  Datetime: (knowledge, draw) =>
    pick(draw, [...knowledge.times, '2020-01-01T00:00:00Z', 'yesterday']),
  Date: (_, draw) => pick(draw, ['2020-01-01', '2026-01-01']),
  Time: (_, draw) => pick(draw, ['12:00:00', '00:00:00']),
  UUID: (knowledge, draw) =>
    pick(draw, [...knowledge.uuids, '00000000-0000-7000-8000-000000000000']),
  BigInt: (_, draw) => pick(draw, ['0', '1', '100', '9007199254740993']),
  BigFloat: (_, draw) => pick(draw, ['0', '1.5']),
  JSON: (_, draw) => pick(draw, [{}, [], { a: 1 }, 'text']),
  Base64EncodedBinary: (_, draw) => pick(draw, ['', 'AAAA']),
};

const oddTexts = [
  '',
  'a',
  'title',
  'long',
  'org_acme',
  'org_globex',
  `"of org_globex"`,
  "'; select 1 --",
  '%',
  'x'.repeat(600),
];

export function pick<Value>(draw: Draw, from: readonly Value[]): Value {
  return from[Math.floor(draw() * from.length)] as Value;
}

const maxDepth = 7;
/** From here on no more lists and objects are added: planning a large document takes longest. */
const enoughFields = 25;

/** Makes operations of a schema; what was not used yet comes first. */
export function makeGenerator(
  schema: GraphQLSchema,
  knowledge: Knowledge,
  isCovered: (part: string) => boolean,
) {
  return {
    /** The same document with other values. */
    again({ places, uses, ...operation }: Operation, draw: Draw): Operation {
      const more = new Set(uses);
      const variables = Object.fromEntries(
        places.map(({ variable, type, about }) => [variable, makeValue(type, draw, more, about)]),
      );
      return { ...operation, places, variables, uses: more };
    },
    /** @param share the chance of a mutation */
    next(draw: Draw, share = 0.25): Operation {
      const mutation = schema.getMutationType();
      const root = mutation && draw() < share ? mutation : schema.getQueryType();
      if (!root) throw new Unprovable('The schema has no queries.');
      return write(root, root === mutation, draw);
    },
    /** One that asks for a field of a root type, and for whatever is below it; plainly, without what may be left out. */
    of(root: GraphQLObjectType, field: string, draw: Draw, { isPlain = false } = {}): Operation {
      return write(root, root === schema.getMutationType(), draw, { only: field, isPlain });
    },
  };

  function write(
    root: GraphQLObjectType,
    isMutation: boolean,
    draw: Draw,
    { only, isPlain = false }: { only?: string; isPlain?: boolean } = {},
  ): Operation {
    const uses = new Set<string>();
    const variables: Record<string, unknown> = {};
    const places: Place[] = [];
    const context: Context = { draw, uses, variables, places, isPlain, size: 0 };
    const fields = Object.values(root.getFields());
    const fresh = fields.filter(({ name }) => !isCovered(`${root.name}.${name}`));
    const count = isMutation || only ? 1 : 1 + Math.floor(draw() * 3);
    const chosen = new Set<string>();
    for (let i = 0; i < count; i += 1)
      chosen.add(only ?? pick(draw, fresh.length > 0 ? fresh : fields).name);
    const selections = [...chosen].map((name) => writeField(root, name, 0, context));
    const declared = places.map(({ variable, type }) => `$${variable}: ${type}`).join(', ');
    const head = declared && `(${declared})`;
    const query = `${isMutation ? 'mutation' : 'query'} Proof${head} { ${selections.join(' ')} }`;
    return { query, variables, isMutation, uses, places };
  }

  type Context = {
    draw: Draw;
    uses: Set<string>;
    variables: Record<string, unknown>;
    places: Place[];
    isPlain: boolean;
    /** How many fields there are so far. */
    size: number;
  };

  function writeField(
    type: GraphQLObjectType,
    name: string,
    depth: number,
    context: Context,
  ): string {
    const field = type.getFields()[name];
    if (!field) throw new Unprovable(`${type.name} has no field ${name}.`);
    const { draw, uses, variables, places, isPlain } = context;
    const about = `${name} ${getNamedType(field.type).name}`;
    uses.add(`${type.name}.${name}`);
    context.size += 1;
    const args = field.args.flatMap((arg) => {
      const part = `${type.name}.${name}(${arg.name})`;
      const isNeeded = isNonNullType(arg.type) && arg.defaultValue === undefined;
      if (!isNeeded && (isPlain || !isWanted(arg, part, draw))) return [];
      uses.add(part);
      const variable = `v${places.length}`;
      const place = { variable, type: arg.type, about: `${about} ${arg.name}` };
      places.push(place);
      variables[variable] = makeValue(arg.type, draw, uses, place.about);
      return [`${arg.name}: $${variable}`];
    });
    const called = args.length > 0 ? `${name}(${args.join(', ')})` : name;
    const below = writeSelection(field.type, depth + 1, context);
    return below === '' ? called : `${called} { ${below} }`;
  }

  function writeSelection(type: GraphQLOutputType, depth: number, context: Context): string {
    const named = getNamedType(type);
    if (isLeafType(named)) return '';
    const { draw, isPlain } = context;
    if (isAbstractType(named)) {
      const possible = pick(draw, schema.getPossibleTypes(named));
      return `__typename ... on ${possible.name} { ${writeSelection(possible, depth, context)} }`;
    }
    if (!isObjectType(named)) return '';
    const chosen = Object.values(named.getFields()).filter((field) => {
      const below = getNamedType(field.type);
      const part = `${named.name}.${field.name}`;
      const isStructure =
        ['edges', 'node', 'pageInfo', 'cursor'].includes(field.name) || field.name === 'id';
      if (isLeafType(below)) return isStructure || !isCovered(part) || draw() < 0.5;
      if (depth >= maxDepth) return false;
      if (isStructure) return true;
      if (context.size > enoughFields) return false;
      if (isPlain) return depth < 4;
      return draw() < (isCovered(part) ? 0.3 : 0.8) / Math.max(1, depth - 2);
    });
    return [
      '__typename',
      ...chosen.map(({ name }) => writeField(named, name, depth, context)),
    ].join(' ');
  }

  function isWanted(
    { type, name, defaultValue }: GraphQLArgument | GraphQLInputField,
    part: string,
    draw: Draw,
  ): boolean {
    if (isNonNullType(type) && defaultValue === undefined) return true;
    const chance = /^(before|last)$/.test(name) ? 0.15 : 0.4;
    return draw() < (isCovered(part) ? chance : 0.8);
  }

  function makeValue(
    type: GraphQLInputType,
    draw: Draw,
    uses: Set<string>,
    about: string,
  ): unknown {
    if (isNonNullType(type)) return makeValue(type.ofType, draw, uses, about);
    if (isListType(type)) {
      return Array.from({ length: 1 + Math.floor(draw() * 2) }, () =>
        makeValue(type.ofType, draw, uses, about),
      );
    }
    if (isEnumType(type)) {
      const values = type.getValues().map(({ name }) => name);
      const value = pick(
        draw,
        values.find((name) => !isCovered(`${type.name}.${name}`))
          ? values.filter((name) => !isCovered(`${type.name}.${name}`))
          : values,
      );
      uses.add(`${type.name}.${value}`);
      return value;
    }
    if (isInputObjectType(type)) {
      const fields = Object.values(type.getFields());
      const some = type.isOneOf
        ? [pick(draw, fields)]
        : fields.filter((field) => isWanted(field, `${type.name}.${field.name}`, draw));
      return Object.fromEntries(
        some.map((field) => {
          uses.add(`${type.name}.${field.name}`);
          return [field.name, makeValue(field.type, draw, uses, `${type.name} ${field.name}`)];
        }),
      );
    }
    const make = scalarValues[type.name];
    if (!make) throw new Unprovable(`The proof can make no value of the scalar ${type.name}.`);
    return make(knowledge, draw, about);
  }
}
