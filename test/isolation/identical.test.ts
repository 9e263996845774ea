import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { isInterfaceType } from 'postgraphile/graphql';
import { makeRandom } from '../support/tcpProxy.ts';
import { makeGenerator, partsOf } from './generator.ts';
import { Knowledge, strangerOf } from './knowledge.ts';
import { fewCallers, openWorld, type Seat, silenceGrafast, type World } from './world.ts';

/** An id of another organization is answered like one that never was: same status, same bytes, same time. */

const draw = makeRandom(20_200_101);
const foreign = new Knowledge();
const own = new Knowledge();
let world: World;
let carol: Seat;

beforeAll(async () => {
  silenceGrafast();
  world = await openWorld({ others: 2, names: fewCallers });
  const [alice, ann] = world.seats;
  carol = world.seats.find(({ caller }) => caller.userId === 'user_carol') as Seat;
  // What is there is asked for until nothing new shows; who administers sees most.
  const used = new Set<string>();
  const generator = makeGenerator(world.schema, foreign, (part) => used.has(part));
  const query = world.schema.getQueryType();
  const isKnown = () =>
    nodeTypes().every((type) => idsOfAcme().some((known) => known.type === type));
  for (let round = 0; query && round < 30 && !isKnown(); round += 1) {
    for (const name of Object.keys(query.getFields())) {
      const operation = generator.of(query, name, draw, { isPlain: true });
      for (const part of operation.uses) used.add(part);
      for (const seat of [alice, ann, carol] as Seat[]) {
        const { text } = await world.ask(seat, 'shared', operation);
        (seat === carol ? own : foreign).learn(JSON.parse(text).data);
      }
    }
  }
}, 60_000);
afterAll(() => world?.close());

/** The types that have ids. */
function nodeTypes(): string[] {
  const node = world.schema.getType('Node');
  return isInterfaceType(node) ? world.schema.getPossibleTypes(node).map(({ name }) => name) : [];
}

/** Ids that Carol of Globex has no way to know. */
function idsOfAcme(): { type: string; id: string }[] {
  return foreign.idTypes.flatMap((type) =>
    foreign
      .idsOf(type)
      .filter((id) => !own.idsOf(type).includes(id))
      .map((id) => ({ type, id })),
  );
}

/** Every field that takes an id, as an operation with the variable `$id`. */
function fieldsByIdOf(type: string): string[] {
  const { schema } = world;
  const queries = Object.values(schema.getQueryType()?.getFields() ?? {})
    .filter(({ name, args, type: result }) => {
      const isFitting = name === 'node' || String(result) === type;
      return isFitting && args.length === 1 && args[0]?.name === 'id';
    })
    .map(({ name }) => `query ($id: ID!) { found: ${name}(id: $id) { __typename id } }`);
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {})
    .filter(({ name, args }) => name.endsWith(type) && /^input$/.test(args[0]?.name ?? ''))
    .flatMap(({ name }) => {
      if (name === `delete${type}`) {
        return [`mutation ($id: ID!) { found: ${name}(input: {id: $id}) { __typename } }`];
      }
      return name === `update${type}`
        ? [`mutation ($id: ID!) { found: ${name}(input: {id: $id, patch: {}}) { __typename } }`]
        : [];
    });
  return [...queries, ...mutations];
}

test('each type with an id is asked for by an id of another organization and by an invented one', async () => {
  partsOf(world.schema);
  const types = nodeTypes();
  const known = idsOfAcme();
  expect([...new Set(known.map(({ type }) => type))].sort()).toEqual([...types].sort());
  let compared = 0;
  for (const { type, id } of known.filter((_, i) => i % 3 === 0)) {
    for (const query of fieldsByIdOf(type)) {
      const answers = [];
      for (const asked of [id, strangerOf(id, draw)]) {
        answers.push(await world.ask(carol, 'shared', { query, variables: { id: asked } }));
      }
      expect(answers[0]).toEqual(answers[1]);
      compared += 1;
    }
  }
  expect(compared).toBeGreaterThan(types.length);
}, 60_000);

test('neither takes longer than the other', async () => {
  for (const type of foreign.idTypes) {
    const ids = idsOfAcme().filter((one) => one.type === type);
    const [query] = fieldsByIdOf(type);
    if (!query || ids.length === 0) continue;
    const times = { known: [] as number[], invented: [] as number[] };
    // In turns, and in either order, so that whatever else the machine does befalls both.
    for (let i = 0; i < 120; i += 1) {
      const id = ids[i % ids.length]?.id ?? '';
      const pair = [
        ['known', id],
        ['invented', strangerOf(id, draw)],
      ] as const;
      for (const [kind, asked] of i % 2 === 0 ? pair : [...pair].reverse()) {
        const startedMs = performance.now();
        await world.ask(carol, 'shared', { query, variables: { id: asked } });
        if (i >= 20) times[kind].push(performance.now() - startedMs);
      }
    }
    // The chance that one of the first takes longer than one of the second; a half for what is alike.
    const chance = chanceOfLonger(times.known, times.invented);
    expect({ type, chance, isAlike: chance > 0.25 && chance < 0.75 }).toMatchObject({
      isAlike: true,
    });
  }
}, 60_000);

function chanceOfLonger(first: readonly number[], second: readonly number[]): number {
  const wins = first.flatMap((a) => second.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)));
  return wins.reduce((sum: number, win) => sum + win, 0) / wins.length;
}
