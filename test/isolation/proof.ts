import {
  type GraphQLObjectType,
  getNamedType,
  isInputObjectType,
  Kind,
  parse,
  print,
  visit,
} from 'postgraphile/graphql';
import { makeRandom } from '../support/tcpProxy.ts';
import { makeGenerator, type Operation, partsOf, pick, shortestWays } from './generator.ts';
import { Knowledge } from './knowledge.ts';
import type { Reply, Seat, World } from './world.ts';
import { differentWrites, strayWrites, tellChange } from './writes.ts';

/** An answer or a write that is not the oracle's: something of another organization shows, or was changed. */
export type Leak = {
  seed: number;
  number: number;
  caller: string;
  query: string;
  variables: object;
  shared: string;
  oracle: string;
};

/** What a proof tried. */
export type ProofResult = {
  operations: number;
  mutations: number;
  leaks: Leak[];
  /** Parts of the schema that no root field answered without an error has used. */
  uncovered: string[];
  /** Root fields with too few such answers, and how many; a refusal that is alike proves little. */
  scarce: string[];
  /** Object types that no answer held, so that nothing is proved of them. */
  unseen: string[];
  knowledge: Knowledge;
};

export type ProofOptions = {
  seed: number;
  /** At least so many; up to eight times as many until each part is covered. */
  operations: number;
  /** After so long it ends and tells what it has, however little; never by default. */
  withinMs?: number;
  /** Root fields to ask for; all by default. */
  fields?: readonly string[];
  onProgress?: (done: number) => void;
};

/**
 * Asks the shared database and the callers' oracles the same, and compares the answers byte by byte, and
 * what mutations wrote: in both the same, and nothing that is not of the caller's organization.
 * What a mutation makes up (ids and times) is compared by its place.
 * @throws Unprovable where the schema has something that cannot be asked for.
 */
export async function prove(world: World, options: ProofOptions): Promise<ProofResult> {
  const { seed, operations, withinMs = Number.POSITIVE_INFINITY, fields, onProgress } = options;
  const endsAtMs = performance.now() + withinMs;
  const draw = makeRandom(seed);
  const parts = partsOf(world.schema);
  const ways = shortestWays(world.schema);
  const covered = new Set<string>();
  const floor = Math.max(2, Math.floor(operations / 500));
  /** Answers without an error, by root field. */
  const accepted = new Map<string, number>();
  const isScarce = ({ name }: { name: string }) => (accepted.get(name) ?? 0) < floor;
  const knowledge = new Knowledge();
  const generator = makeGenerator(world.schema, knowledge, (part) => covered.has(part));
  const leaks: Leak[] = [];
  let mutations = 0;

  /** Asks both, and returns what is to be done with the answers, in the order of the operations. */
  const compare = async ({ query, variables, isMutation, uses }: Operation, seat: Seat) => {
    const body = { query, variables };
    const ask = (asked: object) =>
      Promise.all([world.ask(seat, 'shared', asked), world.ask(seat, 'oracle', asked)]);
    let [shared, oracle] = await ask(body);
    const at = number;
    if (isMutation) {
      mutations += 1;
      const written = await world.sync(seat);
      const stray = strayWrites(world.tables, seat.caller, written.shared);
      const differ = differentWrites(world.tables, written.shared, written.oracle, masked);
      if (stray.length > 0 || differ.shared.length > 0 || differ.oracle.length > 0) {
        const foreign = stray.map((change) => tellChange(world.tables, change));
        const told = {
          shared: ['wrote', ...(foreign.length > 0 ? foreign : differ.shared)].join('\n'),
          oracle: ['wrote', ...differ.oracle].join('\n'),
        };
        leaks.push({ seed, number: at, caller: seat.name, ...body, ...told });
        return async () => {};
      }
    }
    return async () => {
      if (!isSame(shared, oracle, isMutation)) {
        const smaller = isMutation ? body : await shrink(world, seat, body);
        if (smaller !== body) [shared, oracle] = await ask(smaller);
        const told = { shared: show(shared), oracle: show(oracle) };
        leaks.push({ seed, number: at, caller: seat.name, ...smaller, ...told });
        return;
      }
      const { data, errors = [] } = shared.status === 200 ? JSON.parse(shared.text) : {};
      if (!data) return;
      for (const [name, used] of uses) {
        const isRefused = errors.some(
          ({ path }: { path?: unknown[] }) => (path?.[0] ?? name) === name,
        );
        if (isRefused || (isMutation && data[name] === null)) continue;
        accepted.set(name, (accepted.get(name) ?? 0) + 1);
        for (const part of used) covered.add(part);
      }
      knowledge.learn(data, seat.name, { isMutation });
    };
  };

  /** Sees what there is, without a judgement. */
  const learn = async ({ query, variables }: Operation, seat: Seat) => {
    const { status, text } = await world.ask(seat, 'shared', { query, variables });
    if (status === 200) knowledge.learn(JSON.parse(text).data);
  };

  let number = 0;
  /** Queries change nothing, so some are asked at once. */
  let queries: { operation: Operation; seat: Seat }[] = [];
  const flush = async () => {
    const asked = queries;
    queries = [];
    const done = await Promise.all(asked.map(({ operation, seat }) => compare(operation, seat)));
    for (const finish of done) await finish();
    const written = await world.written();
    if (written.length === 0) return;
    leaks.push({
      seed,
      number,
      caller: [...new Set(asked.map(({ seat }) => seat.name))].join(' or '),
      query: asked.map(({ operation }) => operation.query).join('\n'),
      variables: asked.map(({ operation }) => operation.variables),
      shared: `wrote ${written.map((one) => tellChange(world.tables, one)).join('\n')}`,
      oracle: 'queries write nothing',
    });
  };
  const add = async (operation: Operation, seat: Seat) => {
    number += 1;
    if (number % 1000 === 0) onProgress?.(number);
    if (operation.isMutation) {
      await flush();
      await (await compare(operation, seat))();
    } else if (queries.push({ operation, seat }) === atOnce) await flush();
  };

  // First everybody looks at everything, so that there is something to ask each other's for.
  for (const seat of world.seats) {
    for (const { root, name } of rootFields([world.schema.getQueryType()])) {
      const operation = generator.of(root, name, draw, { isPlain: true });
      if (!fields || fields.includes(name)) await add(operation, seat);
      else await learn(operation, seat);
    }
  }
  const roots = rootFields([world.schema.getQueryType(), world.schema.getMutationType()]);
  const wanted = roots.filter(({ name }) => fields?.includes(name));
  /** Asked before. Planning a new document costs more than answering it. */
  const documents: Operation[] = [];
  /** Types that no answer has held so far, and could. */
  const types = [...new Set([...parts].map((part) => part.replace(/\..*/, '')))].filter((type) =>
    isOutput(world, type),
  );
  const hidden = () => types.filter((type) => !knowledge.types.has(type));
  /** What makes rows; other mutations use them up. */
  const makers = rootFields([world.schema.getMutationType()]).filter(({ root, name }) => {
    const input = getNamedType(root.getFields()[name]?.args[0]?.type);
    return isInputObjectType(input) && !('id' in input.getFields());
  });
  const supplied = (
    { root, name }: { root: GraphQLObjectType; name: string },
    asker: string,
    how: { isPlain?: boolean; wanted?: string } = {},
  ): Operation => {
    const isUp = root === world.schema.getMutationType() && makers.length > 0 && draw() < 0.4;
    if (!isUp) return generator.of(root, name, draw, { asker, ...how });
    const maker = pick(draw, makers);
    return generator.of(maker.root, maker.name, draw, { asker, isPlain: true });
  };
  const make = (asker: string): Operation => {
    const scarce = fields ? [] : roots.filter(isScarce);
    if (scarce.length > 0 && draw() < 0.3) return supplied(pick(draw, scarce), asker);
    const missing = fields ? [] : [...parts].filter((part) => !covered.has(part)).concat(hidden());
    const part = pick(draw, missing) ?? '';
    const [type = '', field] = part.split(/[.(]/);
    const way =
      draw() < 0.4 || number > operations
        ? (roots.find(({ root, name }) => root.name === type && name === field) ?? ways.get(type))
        : undefined;
    // What is refused for the company it is in is asked for by itself.
    if (way) return supplied(way, asker, { isPlain: draw() < 0.6, wanted: part });
    if (documents.length >= freshDocuments && draw() > freshShare) {
      return generator.again(pick(draw, documents), draw, asker);
    }
    const { root, name } = pick(draw, fields ? wanted : roots);
    const operation = fields
      ? generator.of(root, name, draw, { asker })
      : generator.next(draw, asker);
    const place = documents.length < maxDocuments ? documents.length : draw() * maxDocuments;
    documents[Math.floor(place)] = operation;
    return operation;
  };
  const isIncomplete = () =>
    !fields &&
    (roots.some(isScarce) || [...parts].some((part) => !covered.has(part)) || hidden().length > 0);
  /** What is rarely accepted gets more time. */
  const most = operations * 8;
  const isDue = () => number < operations || (number < most && isIncomplete());
  while (leaks.length === 0 && performance.now() < endsAtMs && isDue()) {
    const seat = pick(draw, world.seats);
    await add(make(seat.name), seat);
  }
  await flush();
  return {
    operations: number,
    mutations,
    leaks,
    uncovered: [...parts].filter((part) => !covered.has(part)),
    scarce: fields
      ? []
      : roots.filter(isScarce).map(({ name }) => `${name}: ${accepted.get(name) ?? 0} of ${floor}`),
    unseen: hidden(),
    knowledge,
  };
}

const atOnce = 8;

/** Documents to begin with, the share of new ones after that, and how many are kept to be asked again. */
const freshDocuments = 100;
const freshShare = 0.1;
const maxDocuments = 500;

function rootFields(
  roots: readonly (GraphQLObjectType | null | undefined)[],
): { root: GraphQLObjectType; name: string }[] {
  return roots.flatMap((root) =>
    root ? Object.keys(root.getFields()).map((name) => ({ root, name })) : [],
  );
}

function isOutput({ schema }: World, name: string): boolean {
  const roots = [schema.getQueryType(), schema.getMutationType()];
  const type = schema.getType(name);
  return (
    type?.astNode === undefined &&
    !!type &&
    'getInterfaces' in type &&
    !roots.includes(type as never)
  );
}

function isSame(shared: Reply, oracle: Reply, isMutation: boolean): boolean {
  if (shared.status !== oracle.status) return false;
  if (shared.text === oracle.text) return true;
  // A signed URL is made for the moment, and so is until when it is valid.
  const isMadeUp = isMutation || /X-Amz-Signature|"expiresAt":/.test(shared.text);
  return isMadeUp && masked(shared.text) === masked(oracle.text);
}

/** What an answer makes up, named so: ids that are new, times of today, both inside of ids and cursors, signatures. */
function masked(text: string): string {
  return text
    .replace(/X-Amz-[^"]*/g, '<signature>')
    .replace(/uploadId=\w+/g, '<upload>')
    .replace(/00-[0-9a-f]{32}-[0-9a-f]{16}-01/g, '<trace>')
    .replace(/"(W[\w+/]{8,}=*)"/g, (_, encoded: string) =>
      JSON.stringify(Buffer.from(encoded, 'base64').toString('utf8')),
    )
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, (id) =>
      isNew(id) ? '<new id>' : id,
    )
    .replace(
      /20(?:2[6-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?/g,
      '<now>',
    );
}

/** Whether Postgres made this id since the tests were started: such ids begin with the time. */
function isNew(id: string): boolean {
  const atMs = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
  return Math.abs(atMs - Date.now()) < 86_400_000;
}

function show({ status, text }: Reply): string {
  return `${status} ${text.length > 3_000 ? `${text.slice(0, 3_000)}…` : text}`;
}

/** Takes parts of a query away as long as the answers still differ. */
async function shrink(
  world: World,
  seat: Seat,
  body: { query: string; variables: Record<string, unknown> },
): Promise<{ query: string; variables: Record<string, unknown> }> {
  let best = body;
  for (let at = 0, tries = 0; tries < 150; tries += 1) {
    let count = 0;
    let isDone = true;
    const smaller = visit(parse(best.query), {
      enter(node) {
        if (node.kind !== Kind.FIELD && node.kind !== Kind.INLINE_FRAGMENT) return undefined;
        count += 1;
        if (count - 1 !== at) return undefined;
        isDone = false;
        return null;
      },
    });
    if (isDone) break;
    const candidate = withoutUnused(print(smaller), best.variables);
    if (candidate && !(await isAnsweredAlike(world, seat, candidate))) best = candidate;
    else at += 1;
  }
  return best;
}

async function isAnsweredAlike(world: World, seat: Seat, body: object): Promise<boolean> {
  const shared = await world.ask(seat, 'shared', body);
  const oracle = await world.ask(seat, 'oracle', body);
  return shared.status !== 200 || isSame(shared, oracle, false);
}

function withoutUnused(query: string, variables: Record<string, unknown>) {
  if (/\{\s*\}/.test(query)) return undefined;
  const body = query.slice(query.indexOf('{'));
  const isUsed = (name: string) => new RegExp(`\\$${name}\\b`).test(body);
  const kept = Object.entries(variables).filter(([name]) => isUsed(name));
  const head = query.slice(0, query.indexOf('{'));
  const declared = [...head.matchAll(/\$(\w+): [^,)]+/g)].filter(([, name = '']) => isUsed(name));
  const list = declared.map(([text]) => text).join(', ');
  return {
    query: `query Proof${list && `(${list})`} ${body}`,
    variables: Object.fromEntries(kept),
  };
}

/** A leak as it is told: everything that is needed to see it again. */
export function tell({ seed, number, caller, query, variables, shared, oracle }: Leak): string {
  return [
    `PROOF_SEED=${seed}, operation ${number}, asked by ${caller}:`,
    query,
    `variables: ${JSON.stringify(variables)}`,
    `the shared database: ${shared}`,
    `the caller's rows alone: ${oracle}`,
  ].join('\n');
}
