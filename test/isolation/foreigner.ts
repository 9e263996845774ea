import {
  isInputObjectType,
  isInterfaceType,
  isNonNullType,
  isObjectType,
} from 'postgraphile/graphql';
import { makeRandom } from '../support/tcpProxy.ts';
import { makeGenerator } from './generator.ts';
import { Knowledge, strangerOf } from './knowledge.ts';
import type { Seat, World } from './world.ts';

/** What somebody can ask about rows of another organization by their ids. */
export type Foreigner = {
  /** Carol of Globex. */
  seat: Seat;
  /** The types that have ids. */
  types: string[];
  /** Ids of Acme that Carol has no way to know. */
  idsOf(type: string): string[];
  /** Every field that takes an id of a type, as an operation with the variable `$id`. */
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

function fieldsOf({ schema }: World, type: string): string[] {
  const queries = Object.values(schema.getQueryType()?.getFields() ?? {})
    .filter(({ name, args, type: result }) => {
      const isFitting = name === 'node' || String(result) === type;
      return isFitting && args.length === 1 && args[0]?.name === 'id';
    })
    .map(({ name }) => `query ($id: ID!) { found: ${name}(id: $id) { __typename id } }`);
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {}).flatMap((field) => {
    const input = field.args[0] && isNonNullType(field.args[0].type) && field.args[0].type.ofType;
    if (!isInputObjectType(input) || !isObjectType(field.type)) return [];
    const isAbout = Object.values(field.type.getFields()).some(
      ({ type: of }) => String(of) === type,
    );
    const needed = Object.values(input.getFields())
      .filter((each) => isNonNullType(each.type))
      .map(({ name }) => (name === 'id' ? 'id: $id' : name === 'patch' ? 'patch: {}' : 'more'))
      .sort();
    if (!isAbout || needed[0] !== 'id: $id' || needed.includes('more')) return [];
    return [
      `mutation ($id: ID!) { found: ${field.name}(input: {${needed.join(', ')}}) { __typename } }`,
    ];
  });
  return [...queries, ...mutations];
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
