import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import type { WithPgClient } from 'postgraphile/@dataplan/pg';
import type { ExecutionResult } from 'postgraphile/graphql';
import { pgSettings } from '../../db/claims.ts';
import { openPool } from '../../db/pool.ts';
import { makeWithPgClient } from '../../db/scope/makeWithPgClient.ts';
import { type ScopeSettings, scopeSignal } from '../../db/scope/settings.ts';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../support/database.ts';
import { makeOperations, type RunOperation } from '../support/operations.ts';
import { type Fault, makeRandom, openTcpProxy } from '../support/tcpProxy.ts';

/** How hard the pool is tried. */
export type PoisonOptions = {
  requests: number;
  seed: number;
  /** Requests under way at any time. */
  concurrency: number;
  /** Of a fault, for each chunk of data on the network. */
  chance: number;
};

/** What was tried, and what fell. */
export type PoisonReport = {
  /** How many requests ended in which way: `answered`, or the code of their error. */
  outcomes: Record<string, number>;
  faults: Record<Fault, number>;
  /** Answers that held something of another user's or organization's, or what is worse. */
  leaks: string[];
  /** Documents that were acknowledged and are not there, or are there twice. */
  broken: string[];
  /** What is not as it was on the connections of the pool afterwards. */
  unclean: string[];
  /** Back-ends that Postgres has of the pool afterwards, with all its connections had at once. */
  connections: number;
  /** What back-ends of the pool are still busy with, once nobody asks any more. */
  busy: string[];
};

const organizations = 5;
const usersOfEach = 10;
export const poolSize = 10;
const applicationName = 'poisoned';
/** Statements end after a second, and half open connections are buried after two. */
const settledWithinMs = 10_000;

/**
 * Sends mixed requests of many users of several organizations through one pool
 * whose connections are cut, stalled, garbled and lost at random, then looks at
 * what is left of it. Every document's title names its writer and their
 * organization, so that each answer shows whose it is.
 */
export async function poisonPool(options: PoisonOptions): Promise<PoisonReport> {
  const database = await openTestDatabase();
  const proxy = await openTcpProxy(database.apiUrl);
  const pool = openPool({
    connectionString: proxy.url,
    size: poolSize,
    applicationName,
    statementTimeoutMs: 1_000,
    answerTimeoutMs: 500,
    onConnectionError: () => {},
  });
  try {
    const members = Array.from({ length: organizations * usersOfEach }, (_, i) => makeMember(i));
    for (const member of members) await database.provision(member);
    const run = await makeOperations(pool);
    const report = await attack({ ...options, database, pool, run, members }, proxy);
    return { ...report, faults: proxy.happened };
  } finally {
    await pool.end();
    await proxy.close();
    await database.close();
  }
}

type Member = TestCaller & { orgRole: string; permissions: string[] };
type Scene = PoisonOptions & {
  database: TestDatabase;
  pool: Pool;
  run: RunOperation;
  members: readonly Member[];
};
/** One request: what it came to, and whose names its answer may hold. */
type Request = (member: Member, mark: string, draw: () => number) => Promise<unknown>;

function makeMember(i: number): Member {
  const orgId = `org<${i % organizations}>`;
  return {
    userId: `user<${i}>`,
    orgId,
    orgRole: i < organizations ? 'admin' : 'member',
    permissions: i % 3 === 0 ? ['org:docs:manage'] : [],
  };
}

async function attack(
  scene: Scene,
  proxy: Awaited<ReturnType<typeof openTcpProxy>>,
): Promise<Omit<PoisonReport, 'faults'>> {
  const { pool, members, requests, concurrency, seed, chance } = scene;
  const draw = makeRandom(seed);
  const outcomes: Record<string, number> = {};
  const leaks: string[] = [];
  const acknowledged: string[] = [];
  const kinds = Object.values(makeRequests(scene, acknowledged));
  proxy.stallMs = 20;
  proxy.atRandom({
    seed,
    chance,
    kinds: ['cut', 'cut', 'garble', 'garble', 'stall', 'halfOpen'],
  });

  let sent = 0;
  const worker = async () => {
    while (sent < requests) {
      const mark = `n<${sent++}>`;
      const member = pick(members, draw);
      const outcome = await pick(kinds, draw)(member, mark, draw).then(
        (answer) => {
          leaks.push(...foreignNames(answer, member).map((name) => `${member.userId} saw ${name}`));
          return outcomeOf(answer);
        },
        (error) => {
          if (error instanceof LeakError) leaks.push(error.message);
          leaks.push(...foreignNames(String(error), member));
          return String(error.code ?? error.name);
        },
      );
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  proxy.atRandom(undefined);

  const broken = await findBroken(scene.database, acknowledged);
  return { outcomes, leaks, broken, ...(await probe(pool, scene.database)) };
}

/** An answer held what is another member's, of the same organization or not. */
class LeakError extends Error {
  override readonly name = 'LeakError';
}

const pick = <Item>(items: readonly Item[], draw: () => number): Item =>
  items[Math.floor(draw() * items.length)] as Item;

/** Names of other organizations and their users; a member may see those of their own. */
function foreignNames(answer: unknown, { orgId }: Member): string[] {
  const text = typeof answer === 'string' ? answer : JSON.stringify(answer ?? null);
  const own = Number(orgId.match(/\d+/)?.[0]);
  const foreign = [...text.matchAll(/(org|user)<(\d+)>/g)].filter(
    ([, , number]) => Number(number) % organizations !== own,
  );
  // A login that can see a table at all is as bad.
  return [...foreign.map(([name]) => name), ...(text.includes('"seen"') ? [text] : [])];
}

function outcomeOf(answer: unknown): string {
  const [error] = (answer as ExecutionResult).errors ?? [];
  return error ? String(error.extensions.code) : 'answered';
}

type MeAnswer = { me?: { rowId: string }; viewer?: { organization?: { name: string } } };

/** The key in a global id. */
const keyOf = (id: string): string => JSON.parse(Buffer.from(id, 'base64').toString('utf8'))[1];

/** The requests that are mixed. Those that change something note what was acknowledged. */
function makeRequests({ pool, run, members }: Scene, acknowledged: string[]) {
  const withPgClient = makeWithPgClient(pool) as unknown as WithPgClient;
  const title = ({ userId, orgId }: Member, mark: string) => `${mark} of ${userId} in ${orgId}`;
  const scopeOf = (member: Member, mark: string): ScopeSettings => pgSettings(member, mark);
  const insert = 'insert into app_public.documents (title) values ($1) returning title';

  const requests: Record<string, Request> = {
    me: async (member) => {
      const answer = await run(
        member,
        '{ me { rowId: id } viewer { role permissions organization { name } } }',
      );
      const { me, viewer } = (answer.data ?? {}) as MeAnswer;
      // The name of an organization is its id here.
      for (const [seen, own] of [
        [me?.rowId && keyOf(me.rowId), member.userId],
        [viewer?.organization?.name, member.orgId],
      ]) {
        if (seen && seen !== own) throw new LeakError(`${member.userId} was taken for ${seen}`);
      }
      return answer;
    },
    page: (member) =>
      run(
        member,
        '{ documents(first: 50) { edges { node { title owner { memberships { edges { node { organization { name } } } } } } } } }',
      ),
    mine: async (member) => {
      const answer = await run(
        member,
        '{ me { documents(first: 50) { edges { node { title } } } } }',
      );
      const others = [...JSON.stringify(answer).matchAll(/user<(\d+)>/g)].filter(
        ([name]) => name !== member.userId,
      );
      if (others.length > 0)
        throw new LeakError(`${member.userId} was given ${others[0]} as their own`);
      return answer;
    },
    search: (member) =>
      run(member, '{ searchDocuments(query: "of in") { edges { node { title } } } }'),
    create: async (member, mark) => {
      const wanted = title(member, mark);
      const answer = await run(
        member,
        'mutation ($title: String!) { createDocument(input: {document: {title: $title}}) { document { title owner { documents(first: 3) { edges { node { title } } } } } } }',
        { title: wanted },
      );
      const { createDocument } = (answer.data ?? {}) as {
        createDocument?: { document?: { title: string } };
      };
      if (createDocument?.document?.title === wanted) acknowledged.push(wanted);
      return answer;
    },
    refused: (member) =>
      run(
        member,
        'mutation { createDocument(input: {document: {title: ""}}) { document { title } } }',
      ),
    twoStatements: (member, mark) =>
      run(
        member,
        `mutation ($title: String!) {
          a: createDocument(input: {document: {title: $title}}) { document { title } }
          b: createDocument(input: {document: {title: ""}}) { document { title } }
        }`,
        { title: title(member, mark) },
      ),
    transaction: async (member, mark) => {
      const wanted = title(member, mark);
      const answer = await withPgClient(scopeOf(member, mark), (client) =>
        client.withTransaction(async (inner) => {
          const { rows } = await inner.query<{ title: string }>({ text: insert, values: [wanted] });
          const seen = await inner.query({
            text: 'select title from app_public.documents limit 50',
          });
          return [...rows, ...seen.rows];
        }),
      );
      acknowledged.push(wanted);
      return answer;
    },
    undone: (member, mark) =>
      withPgClient(scopeOf(member, mark), (client) =>
        client.withTransaction(async (inner) => {
          await inner.query({ text: insert, values: [`undone ${title(member, mark)}`] });
          throw Object.assign(new Error('undone'), { code: 'undone' });
        }),
      ),
    swallowed: (member, mark) =>
      withPgClient(scopeOf(member, mark), (client) =>
        client.withTransaction(async (inner) => {
          await inner.query({ text: insert, values: [`undone ${title(member, mark)}`] });
          await inner.query({ text: 'select 1 / 0' }).catch(() => {});
        }),
      ),
    leaving: async (member, mark, draw) => {
      const leaving = new AbortController();
      const settings = { ...scopeOf(member, mark), [scopeSignal]: leaving.signal };
      const timer = setTimeout(() => leaving.abort(), draw() * 20);
      const text = 'select title, pg_sleep(0.0001) from app_public.documents limit 50';
      return withPgClient(settings, (client) => client.query({ text })).finally(() =>
        clearTimeout(timer),
      );
    },
    // The other end of a leak: whoever brings no claims sees nothing.
    anonymous: async () => {
      const { rows } = await pool.query(
        `select case when current_user <> session_user then 'other' else '' end as role, ${claims}`,
      );
      const [found] = rows;
      // Texts alone: of '' with a type that was garbled on its way something else is read.
      const left = Object.values(found).filter(
        (value) => typeof value === 'string' && value !== '',
      );
      if (left.length > 0) return { seen: left };
      return pool.query('select title as seen from app_public.documents').then(
        ({ rows: seen }) => ({ seen }),
        // Permission denied, or a bad connection: either way nothing was seen.
        () => ({}),
      );
    },
    noClaims: async () => {
      const send = (text: string) =>
        withPgClient({ role: 'app_user', transaction_read_only: 'on' }, (client) =>
          client.query<Record<string, string>>({ text }),
        );
      const { rows } = await send('select title as seen from app_public.documents');
      return rows;
    },
    foreignChange: (member, mark, draw) => {
      const other = pick(members, draw);
      if (other.orgId === member.orgId) return run(member, '{ me { name } }');
      return withPgClient(scopeOf(member, mark), (client) =>
        client.query({
          text: 'update app_public.documents set title = $1 where title like $2 returning title',
          values: [title(member, mark), `% of ${other.userId} in ${other.orgId}`],
        }),
      );
    },
  };
  return requests;
}

const claims = Object.keys(pgSettings({ userId: '', orgId: '', orgRole: '', permissions: [] }, ''))
  .filter((name) => name.includes('.'))
  .map((name) => `coalesce(current_setting('${name}', true), '') as "${name}"`)
  .join(', ');

/** An acknowledged document is there once; any other at most once, and none that was undone. */
async function findBroken(
  { superuser }: TestDatabase,
  acknowledged: readonly string[],
): Promise<string[]> {
  type Row = { title: string; n: number; org_id: string; owner_id: string };
  const { rows } = await superuser.query<Row>(
    'select title, org_id, owner_id, count(*)::int as n from app_public.documents group by 1, 2, 3',
  );
  const counts = new Map(rows.map(({ title, n }) => [title, n]));
  return [
    ...acknowledged.filter((title) => !counts.has(title)).map((title) => `lost: ${title}`),
    ...rows.filter(({ n }) => n > 1).map(({ title, n }) => `${n} times: ${title}`),
    ...rows.filter(({ title }) => title.startsWith('undone')).map(({ title }) => `not ${title}`),
    // Of what can be read: a title may be garbled on its way there.
    ...rows
      .filter(({ title, org_id }) => (title.match(/org<\d+>/)?.[0] ?? org_id) !== org_id)
      .map(({ title, org_id }) => `in ${org_id}: ${title}`),
    ...rows
      .filter(({ title, owner_id }) => (title.match(/user<\d+>/)?.[0] ?? owner_id) !== owner_id)
      .map(({ title, owner_id }) => `of ${owner_id}: ${title}`),
  ];
}

/** Takes every connection of the pool at once, and looks whether each is as it came. */
async function probe(
  pool: Pool,
  database: TestDatabase,
): Promise<Pick<PoisonReport, 'unclean' | 'connections' | 'busy'>> {
  const unclean: string[] = [];
  const clients: PoolClient[] = [];
  for (let i = 0; i < poolSize; i++) clients.push(await connected(pool));
  for (const client of clients) {
    const { rows } = await client.query(
      `select current_user = session_user as is_login, ${claims},
         current_setting('transaction_read_only') = 'off' as may_write`,
    );
    const { is_login, may_write, ...found } = rows[0];
    const left = Object.entries(found).filter(([, value]) => value !== '');
    if (!is_login) unclean.push('another role than the login');
    if (!may_write) unclean.push('still read-only');
    if (left.length > 0) unclean.push(JSON.stringify(left));
    if (client.getTransactionStatus() !== 'I') unclean.push('in a transaction');
    const denied = client.query('select title from app_public.documents');
    if (
      await denied.then(
        () => true,
        () => false,
      )
    )
      unclean.push('the login can read');
  }
  const settled = await settledBackends(database);
  for (const client of clients) client.release();
  return { unclean, ...settled };
}

/**
 * The back-ends of the pool as Postgres knows them, with those that the pool has let go of:
 * after the time in which the last of them hears that its client is gone.
 */
async function settledBackends({
  superuser,
}: TestDatabase): Promise<Pick<PoisonReport, 'connections' | 'busy'>> {
  for (const deadlineMs = performance.now() + settledWithinMs; ; await sleep(50)) {
    const { rows } = await superuser.query<{ state: string; query: string }>(
      `select state, query from pg_stat_activity
       where datname = current_database() and application_name = $1`,
      [applicationName],
    );
    const busy = rows.filter(({ state }) => state !== 'idle');
    const isSettled = rows.length === poolSize && busy.length === 0;
    if (isSettled || performance.now() > deadlineMs) {
      return {
        connections: rows.length,
        busy: busy.map(({ state, query }) => `${state}: ${query}`),
      };
    }
  }
}

/** A connection, also where the last of the bad ones has yet to be found out. */
async function connected(pool: Pool, triesLeft = 5): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    if (triesLeft === 0) throw error;
    await sleep(10);
    return connected(pool, triesLeft - 1);
  }
}
