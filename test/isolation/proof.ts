import { makeRandom } from '../support/tcpProxy.ts';
import { type Draw, makeGenerator, type Operation, partsOf } from './generator.ts';
import { Knowledge } from './knowledge.ts';
import type { Reply, Seat, World } from './world.ts';

/** An answer that is not the oracle's: something of another organization shows. */
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
  /** Parts of the schema that no accepted operation used. */
  uncovered: string[];
  /** Object types that no answer held, so that nothing is proved of them. */
  unseen: string[];
  knowledge: Knowledge;
};

export type ProofOptions = {
  seed: number;
  operations: number;
  /** Stops after so many leaks. */
  maxLeaks?: number;
  onProgress?: (done: number) => void;
};

/**
 * Asks the shared database and the callers' oracles the same, and compares the answers byte by byte.
 * What a mutation makes up (ids and times) is compared by its place.
 * @throws Unprovable where the schema has something that cannot be asked for.
 */
export async function prove(world: World, options: ProofOptions): Promise<ProofResult> {
  const { seed, operations, maxLeaks = 1, onProgress } = options;
  const draw = makeRandom(seed);
  const parts = partsOf(world.schema);
  const covered = new Set<string>();
  const knowledge = new Knowledge();
  const generator = makeGenerator(world.schema, knowledge, (part) => covered.has(part));
  const leaks: Leak[] = [];
  let mutations = 0;

  const run = async (operation: Operation, seat: Seat, number: number) => {
    const { query, variables, isMutation } = operation;
    const body = { query, variables };
    const [shared, oracle] = await Promise.all([
      world.ask(seat, 'shared', body),
      world.ask(seat, 'oracle', body),
    ]);
    if (isMutation) {
      mutations += 1;
      await world.sync(seat);
    }
    if (!isSame(shared, oracle, isMutation)) {
      const smaller = isMutation ? body : await shrink(world, seat, body);
      leaks.push({
        seed,
        number,
        caller: seat.name,
        ...smaller,
        shared: show(await again(shared, smaller, body, () => world.ask(seat, 'shared', smaller))),
        oracle: show(await again(oracle, smaller, body, () => world.ask(seat, 'oracle', smaller))),
      });
      return;
    }
    const data = shared.status === 200 ? JSON.parse(shared.text).data : undefined;
    if (data === undefined) return;
    for (const part of operation.uses) covered.add(part);
    knowledge.learn(data);
  };

  let number = 0;
  const next = async (operation: Operation, seat: Seat) => {
    number += 1;
    await run(operation, seat, number);
    if (number % 1000 === 0) onProgress?.(number);
  };
  // First everybody looks at everything, so that there is something to ask each other's for.
  const query = world.schema.getQueryType();
  for (const seat of world.seats) {
    for (const name of query ? Object.keys(query.getFields()) : []) {
      if (query && leaks.length < maxLeaks) await next(generator.of(query, name, draw), seat);
    }
  }
  while (number < operations && leaks.length < maxLeaks) {
    await next(generator.next(draw), chooseSeat(world, draw));
  }
  return {
    operations: number,
    mutations,
    leaks,
    uncovered: [...parts].filter((part) => !covered.has(part)),
    unseen: [...new Set([...parts].map((part) => part.replace(/\..*/, '')))].filter(
      (type) => isOutput(world, type) && !knowledge.types.has(type),
    ),
    knowledge,
  };
}

function chooseSeat({ seats }: World, draw: Draw): Seat {
  return seats[Math.floor(draw() * seats.length)] as Seat;
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
  return isMutation && masked(shared.text) === masked(oracle.text);
}

/** What a mutation makes up, named so: ids that are new, times of today, and both inside of ids and cursors. */
function masked(text: string): string {
  return text
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

async function again(
  known: Reply,
  smaller: object,
  body: object,
  ask: () => Promise<Reply>,
): Promise<Reply> {
  return smaller === body ? known : ask();
}

/** Takes parts of a query away as long as the answers still differ. */
async function shrink(
  world: World,
  seat: Seat,
  body: { query: string; variables: Record<string, unknown> },
): Promise<{ query: string; variables: Record<string, unknown> }> {
  const { parse, print, visit, Kind } = await import('postgraphile/graphql');
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
