import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputObjectType,
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

/** An operation, and what of the schema each of its root fields uses: `Type.field`, `Type.field(argument)`, `Input.field`, `Enum.VALUE`. */
export type Operation = {
  query: string;
  variables: Record<string, unknown>;
  isMutation: boolean;
  uses: ReadonlyMap<string, ReadonlySet<string>>;
  /** What its variables are for. */
  places: readonly Place[];
};

/** A variable: its type, words about where it stands, and below which root field. */
type Place = { variable: string; type: GraphQLInputType; about: string; root: string };

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

/** What values are made of: what was seen, of everybody, and sometimes rather what is one's own. */
type Source = { knowledge: Knowledge; draw: Draw; asker: string | undefined };

/** Values of scalars; most come from answers that were given before, to whomever. */
const scalarValues: Record<string, (source: Source, about: string) => unknown> = {
  ID: ({ knowledge, draw, asker }, about) => knowledge.id(draw, about, asker),
  Cursor: ({ knowledge, draw }, about) =>
    draw() < oddShare
      ? pick(draw, [...knowledge.cursorsOf(), 'W10=', 'nonsense', ''])
      : pick(draw, knowledge.cursorsOf(about)),
  String: ({ knowledge, draw }, about) =>
    wellFormed(draw, about) ?? pick(draw, [...knowledge.texts, ...oddTexts]),
  Int: ({ draw }, about) =>
    wellFormed(draw, about) ?? pick(draw, [0, 1, 2, 3, 5, 20, 100, 101, -1]),
  Float: ({ draw }) => pick(draw, [0, 1.5, -1]),
  Boolean: ({ draw }) => draw() < 0.5,
  Datetime: ({ knowledge, draw }) =>
    draw() < oddShare
      ? pick(draw, ['2020-01-01T00:00:00Z', 'yesterday'])
      : pick(draw, [...knowledge.times, '2020-01-01T00:00:00Z']),
  Date: ({ draw }) => pick(draw, ['2020-01-01', '2026-01-01']),
  Time: ({ draw }) => pick(draw, ['12:00:00', '00:00:00']),
  UUID: ({ knowledge, draw }) =>
    pick(draw, [...knowledge.uuids, '00000000-0000-7000-8000-000000000000']),
  BigInt: ({ draw }, about) =>
    wellFormed(draw, about) ?? pick(draw, ['0', '1', '100', '9007199254740993']),
  BigFloat: ({ draw }) => pick(draw, ['0', '1.5']),
  JSON: ({ draw }) => pick(draw, [{}, [], { a: 1 }, 'text']),
  Base64EncodedBinary: ({ draw }) => pick(draw, ['', 'AAAA']),
};

/** How often something is given that cannot be right: an operation has many values, and one is enough to refuse it. */
const oddShare = 0.1;

/** What is accepted, by the name of the argument or input field; chance alone does not come by it. */
export const acceptable: Record<string, readonly unknown[]> = {
  checksumSha256: ['47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='],
  contentType: ['text/plain', 'image/png'],
  byteSize: ['1', '100', '1500', '1500'],
  fileName: ['report.txt', 'picture.png'],
  query: ['title', 'long'],
  month: ['2020-01', '2026-11'],
  etag: ['"d41d8cd98f00b204e9800998ecf8427e"'],
  partNumber: [1],
  maxTokens: [1, 100],
  ttlSeconds: [60],
  first: [1, 2, 3, 5, 20, 100],
  last: [1, 2, 20],
};

function wellFormed(draw: Draw, about: string): unknown {
  const values = acceptable[about.slice(about.lastIndexOf(' ') + 1)];
  return values && draw() >= oddShare ? pick(draw, values) : undefined;
}

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

/** The chance of a mutation. */
const mutationShare = 0.25;

/** Words about what an argument of a field may name: of a payload, what it holds. */
function aboutField({ name, type }: GraphQLField<unknown, unknown>): string {
  const named = getNamedType(type);
  const isPayload = isObjectType(named) && named.name.endsWith('Payload');
  const held = isPayload
    ? Object.values(named.getFields()).map((one) => getNamedType(one.type))
    : [];
  return [name, named.name, ...held.filter(isObjectType).map((one) => one.name)].join(' ');
}

/** Makes operations of a schema; what was not used yet comes first. */
export function makeGenerator(
  schema: GraphQLSchema,
  knowledge: Knowledge,
  isCovered: (part: string) => boolean,
) {
  return {
    /** The same document with other values. */
    again({ places, uses, ...operation }: Operation, draw: Draw, asker?: string): Operation {
      const more = new Map([...uses].map(([name, parts]) => [name, new Set(parts)]));
      const source = { knowledge, draw, asker: halfOfTheTime(asker, draw) };
      const variables = Object.fromEntries(
        places.map(({ variable, type, about, root }) => [
          variable,
          makeValue(type, source, more.get(root) ?? new Set(), about),
        ]),
      );
      return { ...operation, places, variables, uses: more };
    },
    /** @param asker who is going to ask */
    next(draw: Draw, asker?: string): Operation {
      const mutation = schema.getMutationType();
      const root = mutation && draw() < mutationShare ? mutation : schema.getQueryType();
      if (!root) throw new Unprovable('The schema has no queries.');
      return write(root, root === mutation, draw, { asker });
    },
    /**
     * One that asks for a field of a root type, and for whatever is below it; plainly, without what may be left out
     * but for the part that is wanted.
     */
    of(
      root: GraphQLObjectType,
      field: string,
      draw: Draw,
      { isPlain, asker, wanted }: { isPlain?: boolean; asker?: string; wanted?: string } = {},
    ): Operation {
      return write(root, root === schema.getMutationType(), draw, {
        only: field,
        isPlain,
        asker,
        wanted,
      });
    },
  };

  function write(
    root: GraphQLObjectType,
    isMutation: boolean,
    draw: Draw,
    {
      only,
      isPlain = false,
      asker,
      wanted = '',
    }: {
      only?: string | undefined;
      isPlain?: boolean | undefined;
      asker?: string | undefined;
      wanted?: string | undefined;
    } = {},
  ): Operation {
    const uses = new Map<string, Set<string>>();
    const variables: Record<string, unknown> = {};
    const places: Place[] = [];
    const context: Context = {
      source: { knowledge, draw, asker: halfOfTheTime(asker, draw) },
      draw,
      uses: new Set(),
      root: '',
      variables,
      places,
      isPlain,
      wanted,
      isMutation,
      size: 0,
    };
    const fields = Object.values(root.getFields());
    const fresh = fields.filter(({ name }) => !isCovered(`${root.name}.${name}`));
    const count = isMutation || only ? 1 : 1 + Math.floor(draw() * 3);
    const chosen = new Set<string>();
    for (let i = 0; i < count; i += 1)
      chosen.add(only ?? pick(draw, fresh.length > 0 && draw() < 0.5 ? fresh : fields).name);
    const selections = [...chosen].map((name) => {
      context.root = name;
      context.uses = new Set();
      uses.set(name, context.uses);
      return writeField(root, name, 0, context);
    });
    const declared = places.map(({ variable, type }) => `$${variable}: ${type}`).join(', ');
    const head = declared && `(${declared})`;
    const query = `${isMutation ? 'mutation' : 'query'} Proof${head} { ${selections.join(' ')} }`;
    return { query, variables, isMutation, uses, places };
  }

  /** As often one asks for what is one's own as for what is anybody's. */
  function halfOfTheTime(asker: string | undefined, draw: Draw): string | undefined {
    return asker !== undefined && draw() < 0.5 ? asker : undefined;
  }

  type Context = {
    source: Source;
    draw: Draw;
    /** Of the present root field. */
    uses: Set<string>;
    root: string;
    variables: Record<string, unknown>;
    places: Place[];
    isPlain: boolean;
    wanted: string;
    isMutation: boolean;
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
    const { draw, uses, variables, places, isPlain, wanted } = context;
    const about = aboutField(field);
    uses.add(`${type.name}.${name}`);
    context.size += 1;
    const args = field.args.flatMap((arg) => {
      const part = `${type.name}.${name}(${arg.name})`;
      const isNeeded = isNonNullType(arg.type) && arg.defaultValue === undefined;
      const isMeant = part === wanted || wanted.startsWith(`${getNamedType(arg.type).name}.`);
      if (!isNeeded && (isPlain ? !isMeant : !isWanted(arg, part, draw))) return [];
      uses.add(part);
      const variable = `v${places.length}`;
      const place = {
        variable,
        type: arg.type,
        about: `${about} ${arg.name}`,
        root: context.root,
      };
      places.push(place);
      variables[variable] = makeValue(arg.type, context.source, uses, place.about);
      return [`${arg.name}: $${variable}`];
    });
    const called = args.length > 0 ? `${name}(${args.join(', ')})` : name;
    const below = writeSelection(field.type, depth + 1, context);
    return below === '' ? called : `${called} { ${below} }`;
  }

  function writeSelection(type: GraphQLOutputType, depth: number, context: Context): string {
    const named = getNamedType(type);
    if (isLeafType(named)) return '';
    const { draw, isPlain, isMutation, wanted } = context;
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
      if (wanted === part || wanted.startsWith(`${part}(`)) return true;
      if (isLeafType(below)) return isStructure || !isCovered(part) || draw() < 0.5;
      if (depth >= maxDepth) return false;
      if (isStructure) return true;
      if (context.size > enoughFields) return false;
      if (isPlain) return depth < 4;
      // Without the row that was made nobody learns its id.
      if (isMutation && depth === 1) return draw() < 0.8;
      return draw() < (isCovered(part) ? 0.3 : 0.8) / Math.max(1, depth - 2);
    });
    return [
      '__typename',
      ...chosen.map(({ name }) => writeField(named, name, depth, context)),
    ].join(' ');
  }

  /** What an id is for: that of the field of the same name of the row that the input is about. */
  function referredType({ name }: GraphQLInputObjectType, field: GraphQLInputField): string {
    if (getNamedType(field.type).name !== 'ID') return '';
    const row = schema.getType(name.replace(/(?:Input|Patch|Condition)$/, ''));
    const shown = isObjectType(row) ? row.getFields()[field.name] : undefined;
    const referred = shown && getNamedType(shown.type);
    return isObjectType(referred) ? referred.name : '';
  }

  function isWanted(
    { type, name, defaultValue }: GraphQLArgument | GraphQLInputField,
    part: string,
    draw: Draw,
  ): boolean {
    if (isNonNullType(type) && defaultValue === undefined) return true;
    const chance = /^(before|after|last)$/.test(name) ? 0.12 : 0.4;
    return draw() < (isCovered(part) ? chance : Math.min(0.8, 3 * chance));
  }

  function makeValue(
    type: GraphQLInputType,
    source: Source,
    uses: Set<string>,
    about: string,
  ): unknown {
    const { draw } = source;
    if (isNonNullType(type)) return makeValue(type.ofType, source, uses, about);
    if (isListType(type)) {
      return Array.from({ length: 1 + Math.floor(draw() * 2) }, () =>
        makeValue(type.ofType, source, uses, about),
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
          return [
            field.name,
            makeValue(
              field.type,
              source,
              uses,
              `${about} ${type.name} ${field.name} ${referredType(type, field)}`.trimEnd(),
            ),
          ];
        }),
      );
    }
    const make = scalarValues[type.name];
    if (!make) throw new Unprovable(`The proof can make no value of the scalar ${type.name}.`);
    return make(source, about);
  }
}
