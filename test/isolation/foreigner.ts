import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLNamedInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'postgraphile/graphql';
import { makeRandom } from '../support/tcpProxy.ts';
import { acceptable, makeGenerator } from './generator.ts';
import { fittingTypes, Knowledge, strangerOf } from './knowledge.ts';
import type { Seat, World } from './world.ts';

/** What somebody can ask about rows of another organization by their ids. */
export type Foreigner = {
  /** Carol of Globex. */
  seat: Seat;
  /** The types that have ids. */
  types: string[];
  /** Ids of Acme that Carol has no way to know. */
  idsOf(type: string): string[];
  /** Every place that takes an id of a type, as an operation with the variable `$id`. */
  fieldsOf(type: string): string[];
  /** An id of the same type that nothing has. */
  invent(id: string): string;
};

/** Lets Acme look at all it has, and Carol at all she has. Needs `fewCallers` in the world. */
export async function meetForeigner(world: World): Promise<Foreigner> {
  const draw = makeRandom(20_200_101);
  const foreign = new Knowledge();
  const own = new Knowledge();
  const { schema, seats } = world;
  const seat = seats.find(({ caller }) => caller.userId === 'user_carol') as Seat;
  const node = schema.getType('Node');
  const types = isInterfaceType(node) ? schema.getPossibleTypes(node).map(({ name }) => name) : [];
  const idsOf = (type: string) => foreign.idsOf(type).filter((id) => !own.idsOf(type).includes(id));
  // What is there is asked for until nothing new shows; who administers sees most.
  const used = new Set<string>();
  const generator = makeGenerator(schema, foreign, (part) => used.has(part));
  const query = schema.getQueryType();
  for (
    let round = 0;
    query && round < 30 && !types.every((type) => idsOf(type).length > 0);
    round += 1
  ) {
    for (const name of Object.keys(query.getFields())) {
      const operation = generator.of(query, name, draw, { isPlain: true });
      for (const parts of operation.uses.values()) for (const part of parts) used.add(part);
      for (const asking of seats) {
        const { text } = await world.ask(asking, 'shared', operation);
        (asking === seat ? own : foreign).learn(JSON.parse(text).data);
      }
    }
  }
  return {
    seat,
    types,
    idsOf,
    fieldsOf: (type) => fieldsOf(world, type),
    invent: (id) => strangerOf(id, draw),
  };
}

/** Where an operation takes an id: each argument or input field below a root field. */
type IdPlace = {
  /** As the schema names it: `Query.document(id)`, `FileCondition.owner`. */
  name: string;
  /** Types whose ids belong there. */
  types: string[];
  /** The operation, with the variable `$id` in this place and no more than is needed in others. */
  query: string;
};

function fieldsOf({ schema }: World, type: string): string[] {
  return idPlaces(schema)
    .filter(({ types }) => types.includes(type))
    .map(({ query }) => query);
}

/**
 * Every place that takes an id.
 * @throws Error that names those that nothing here asks for.
 */
export function idPlaces(schema: GraphQLSchema): IdPlace[] {
  const node = schema.getType('Node');
  const nodes = isInterfaceType(node) ? schema.getPossibleTypes(node).map(({ name }) => name) : [];
  const places = asked(schema).flatMap(({ head, parent, tail }) =>
    Object.values(parent.getFields()).flatMap((field) =>
      field.args.flatMap((arg) =>
        waysToId(`${parent.name}.${field.name}(${arg.name})`, arg).map(({ name, value }) => ({
          name,
          types: typesAt(name, field, nodes),
          query: `${head} ${write(field, arg, value)} ${tail}`,
        })),
      ),
    ),
  );
  const known = new Set(places.map(({ name }) => name));
  const left = idsOfSchema(schema).filter((name) => !known.has(name));
  if (left.length > 0) throw new Error(`No operation gives an id to ${left.join(', ')}.`);
  return places;
}

/** The types whose fields are asked for: the roots, and what a query shows for the asking, such as the caller. */
function asked(schema: GraphQLSchema): { head: string; parent: GraphQLObjectType; tail: string }[] {
  const [query, mutation] = [schema.getQueryType(), schema.getMutationType()];
  const shown = Object.values(query?.getFields() ?? {}).flatMap(({ name, args, type }) => {
    const parent = getNamedType(type);
    const isFree = args.every((arg) => !isNonNullType(arg.type) || arg.defaultValue !== undefined);
    const isOne = isObjectType(parent) && !('edges' in parent.getFields());
    return isFree && isOne ? [{ head: `query ($id: ID!) { ${name} {`, parent, tail: '} }' }] : [];
  });
  return [
    ...(query ? [{ head: 'query ($id: ID!) {', parent: query, tail: '}' }] : []),
    ...(mutation ? [{ head: 'mutation ($id: ID!) {', parent: mutation, tail: '}' }] : []),
    ...shown,
  ];
}

type Input = GraphQLArgument | GraphQLInputField;

/** The ways to ids through an argument or an input field, with everything else that is needed beside them. */
function waysToId(
  name: string,
  { type }: Input,
  above: readonly string[] = [],
): { name: string; value: string }[] {
  const named = getNamedType(type);
  const wrap = (value: string) => (isListType(getNullableType(type)) ? `[${value}]` : value);
  if (named.name === 'ID') return [{ name, value: wrap('$id') }];
  if (!isInputObjectType(named) || above.includes(named.name)) return [];
  const fields = Object.values(named.getFields());
  return fields.flatMap((field) =>
    waysToId(`${named.name}.${field.name}`, field, [...above, named.name]).map((way) => {
      const beside = fields
        .filter((other) => other !== field && (isNonNullType(other.type) || other.name === 'patch'))
        .map((other) => `${other.name}: ${filled(other)}`);
      const value = `{${[`${field.name}: ${way.value}`, ...beside].join(', ')}}`;
      return { name: way.name, value: wrap(value) };
    }),
  );
}

/** A value that is accepted, as GraphQL writes it. A patch changes something, else nobody looks for the row. */
function filled({ name, type }: Input): string {
  const named = getNamedType(type);
  if (isListType(getNullableType(type))) return `[${filledOne(name, named)}]`;
  return filledOne(name, named);
}

function filledOne(name: string, named: GraphQLNamedInputType): string {
  const [known] = acceptable[name] ?? [];
  if (known !== undefined) return JSON.stringify(known);
  if (!isInputObjectType(named)) return named.name === 'String' ? '"text"' : '1';
  const fields = Object.values(named.getFields());
  const needed = fields.filter((field) => isNonNullType(field.type));
  const some = needed.length > 0 ? needed : fields.slice(0, 1);
  return `{${some.map((field) => `${field.name}: ${filled(field)}`).join(', ')}}`;
}

function write(
  { name, args, type }: GraphQLField<unknown, unknown>,
  arg: GraphQLArgument,
  value: string,
): string {
  const beside = args
    .filter((other) => other !== arg && isNonNullType(other.type) && !other.defaultValue)
    .map((other) => `${other.name}: ${filled(other)}`);
  const named = getNamedType(type);
  const isConnection = isObjectType(named) && 'edges' in named.getFields();
  const below = isConnection ? '__typename edges { node { __typename id } }' : '__typename';
  const given = [`${arg.name}: ${value}`, ...beside].join(', ');
  return `found: ${name}(${given}) { ${below} }`;
}

/** The type that the place names, or that the field is about; where neither says it, any. */
function typesAt(
  name: string,
  { type }: GraphQLField<unknown, unknown>,
  nodes: readonly string[],
): string[] {
  const last = /(\w+)\)?$/.exec(name)?.[1] ?? '';
  const named = fittingTypes(nodes, last);
  if (named.length > 0) return named;
  const result = getNamedType(type);
  const held = isObjectType(result) && last === 'id' ? Object.values(result.getFields()) : [];
  const about = [result.name, ...held.map((field) => getNamedType(field.type).name)];
  const fitting = nodes.filter((node) => about.includes(node));
  return last === 'id' && fitting.length > 0 ? fitting : [...nodes];
}

/** All arguments and input fields of the schema that are ids. */
function idsOfSchema(schema: GraphQLSchema): string[] {
  const isId = ({ type }: Input) => getNamedType(type).name === 'ID';
  return Object.values(schema.getTypeMap()).flatMap((type) => {
    if (isInputObjectType(type)) {
      return Object.values(type.getFields())
        .filter(isId)
        .map((field) => `${type.name}.${field.name}`);
    }
    if (!isObjectType(type)) return [];
    return Object.values(type.getFields()).flatMap((field) =>
      field.args.filter(isId).map((arg) => `${type.name}.${field.name}(${arg.name})`),
    );
  });
}

/** How much longer a foreign id takes than an invented one. */
export type Difference = {
  query: string;
  /** The chance that one of the first takes longer than one of the second; a half for what is alike. */
  chance: number;
  /** By how much the first take longer in the middle, in microseconds. */
  microseconds: number;
};

/**
 * Asks for a foreign and an invented id, again and again: in turns and in either order, so that
 * whatever else the machine does befalls both.
 */
export async function timeBoth(
  world: World,
  { seat, invent }: Foreigner,
  query: string,
  ids: readonly string[],
  pairs: number,
): Promise<Difference> {
  const times = { known: [] as number[], invented: [] as number[] };
  const differences: number[] = [];
  const ask = async (id: string) => {
    const startedMs = performance.now();
    await world.ask(seat, 'shared', { query, variables: { id } });
    return performance.now() - startedMs;
  };
  for (let i = -warmUp; i < pairs; i += 1) {
    const id = ids[Math.abs(i) % ids.length] ?? '';
    const stranger = invent(id);
    const isFirst = i % 2 === 0;
    const before = isFirst ? await ask(id) : await ask(stranger);
    const after = isFirst ? await ask(stranger) : await ask(id);
    if (i < 0) continue;
    const [known, invented] = isFirst ? [before, after] : [after, before];
    times.known.push(known);
    times.invented.push(invented);
    differences.push(known - invented);
  }
  differences.sort((a, b) => a - b);
  return {
    query,
    chance: chanceOfLonger(times.known, times.invented),
    microseconds: Math.round((differences[differences.length >> 1] ?? 0) * 1000),
  };
}

const warmUp = 10;

function chanceOfLonger(first: readonly number[], second: readonly number[]): number {
  const wins = first.flatMap((a) => second.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)));
  return wins.reduce((sum: number, win) => sum + win, 0) / wins.length;
}
