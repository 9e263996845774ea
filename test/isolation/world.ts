import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { Client, type Pool } from 'pg';
import { buildClientSchema, type GraphQLSchema, getIntrospectionQuery } from 'postgraphile/graphql';
import { type LocalStore, openLocalStore } from '../../dev/store.ts';
import type { Uploads } from '../../plugins/uploads.ts';
import { makeGraphql } from '../../server/graphql.ts';
import { stateOf } from '../../server/http/requestState.ts';
import { makeOperationsPlugin } from '../../server/OperationsPlugin.ts';
import { makePreset } from '../../server/preset.ts';
import { openStorage } from '../../services/storage/openStorage.ts';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../support/database.ts';
import { claimsOf } from '../support/operations.ts';
import { send } from '../support/send.ts';
import { unreachableGenerations } from '../support/unreachableGenerations.ts';
import { readCatalogue, type Table } from './catalogue.ts';
import { fillTables, type Member } from './fixture.ts';
import { readMatrix, samplesOf } from './matrix.ts';
import {
  type Change,
  copiedTables,
  fillOracle,
  logChanges,
  readTables,
  syncOracle,
  takeChanges,
} from './oracles.ts';

/** Somebody who asks, of the shared database and of an oracle of their own. */
export type Seat = {
  name: string;
  caller: TestCaller;
  oracle: TestDatabase;
  /** Whether each request comes from somebody who has just signed in. */
  isFresh?: boolean;
};

/** An answer as it went over the wire. */
export type Reply = { status: number; text: string };

/** A database of many organizations, and beside it for each caller one that holds nothing but what concerns them. */
export type World = {
  shared: TestDatabase;
  seats: Seat[];
  tables: Table[];
  schema: GraphQLSchema;
  /** Sends an operation as a caller to the API on a database. */
  ask(seat: Seat, where: 'shared' | 'oracle', body: object): Promise<Reply>;
  /** After a mutation: gives the oracles the rows as the shared database has them. Returns what it changed in both before. */
  sync(seat: Seat): Promise<{ shared: Change[]; oracle: Change[] }>;
  /** What changed in the shared database since it was last asked. */
  written(): Promise<Change[]>;
  close(): Promise<void>;
};

export type WorldOptions = {
  /** SQL that is run as the owner on each database, as a migration would be. */
  migration?: string;
  /** Rows for each member in each table. */
  rounds?: number;
  /** Fills the shared database further, as its superuser. */
  crowd?: (client: Client) => Promise<void>;
  /** Organizations beside those of the callers. */
  others?: number;
  /** Who asks; all callers by default. */
  names?: readonly CallerName[];
};

type CallerName = keyof typeof callers;

/** One store for all, as in production; files above a thousand bytes come in parts. */
const uploadsOf = ({ settings }: LocalStore): Uploads => ({
  storage: openStorage({
    bucket: settings.S3_BUCKET_UPLOADS,
    region: settings.AWS_REGION,
    endpoint: settings.S3_ENDPOINT,
    credentials: {
      accessKeyId: settings.AWS_ACCESS_KEY_ID,
      secretAccessKey: settings.AWS_SECRET_ACCESS_KEY,
    },
    timeoutMs: 30_000,
  }),
  observe: () => {},
  limits: {
    allowedTypes: ['*/*'],
    maxBytes: 1e9,
    singleMaxBytes: 1e3,
    partBytes: 2e3,
    ttlSeconds: 900,
    multipartTtlSeconds: 900,
    quotaBytes: 1e12,
    quotaFiles: 1e6,
  },
  urlTtlSeconds: 900,
  inlineTypes: [],
  maxDownloadTtlSeconds: 3_600,
});

/** Two organizations, and a stranger; Alice belongs to both, and has a space of her own. */
const callers = {
  'Alice of Acme': { userId: 'user_alice', orgId: 'org_acme' },
  'Ann, who administers Acme': { userId: 'user_ann', orgId: 'org_acme', orgRole: 'admin' },
  'Alice of Globex, impersonated': {
    userId: 'user_alice',
    orgId: 'org_globex',
    actorId: 'user_support',
  },
  'Carol, who administers Globex': { userId: 'user_carol', orgId: 'org_globex', orgRole: 'admin' },
  'Alice alone': { userId: 'user_alice', orgId: 'user_alice' },
  'a stranger': { userId: 'user_stranger', orgId: 'org_void' },
} satisfies Record<string, TestCaller>;

/** A member and an administrator of one, and an administrator of the other: enough where time is short. */
export const fewCallers: readonly CallerName[] = [
  'Alice of Acme',
  'Ann, who administers Acme',
  'Carol, who administers Globex',
];

/** Who asks once more as somebody who has just signed in, where a policy wants that. */
const freshCallers: readonly string[] = ['Alice of Acme', 'Ann, who administers Acme'];

/** Opens a world. Close it. */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const { migration, rounds = 3, others = 10, crowd } = options;
  const { names = Object.keys(callers) as CallerName[] } = options;
  const open: TestDatabase[] = [];
  const openOne = async () => {
    const database = await openTestDatabase();
    open.push(database);
    if (migration) await asOwner(database, migration);
    return database;
  };
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-proof-'));
  let store: LocalStore | undefined;
  const closeAll = async () => {
    await Promise.all(open.map((database) => database.close()));
    await store?.close();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const shared = await openOne();
    await populate(shared, rounds, others, crowd);
    const tables = await readTables(shared.superuser);
    const copied = copiedTables(tables);
    await logChanges(shared.superuser, tables);
    const named: Seat[] = [];
    for (const name of names) {
      const caller: TestCaller = callers[name];
      const oracle = await openOne();
      await fillOracle(shared.superuser, oracle.superuser, copied, caller);
      await logChanges(oracle.superuser, tables);
      named.push({ name, caller, oracle });
    }
    const { asksHowFresh } = await readCatalogue(shared.superuser);
    const fresh = named.filter(({ name }) => asksHowFresh && freshCallers.includes(name));
    const seats = [
      ...named,
      // The same rows concern them, so the oracle is the same.
      ...fresh.map((seat) => ({
        ...seat,
        name: `${seat.name}, signed in just now`,
        isFresh: true,
      })),
    ];
    store = await openLocalStore({ dir });
    const api = await openSharedApi(shared.api, uploadsOf(store));
    const ask: World['ask'] = ({ caller, oracle, isFresh }, where, body) =>
      api.ask(
        where === 'shared' ? shared.api : oracle.api,
        isFresh ? { ...caller, firstFactorAtMs: Date.now() } : caller,
        body,
      );
    const schema = await readSchema((body) => ask(seats[0] as Seat, 'shared', body));
    return {
      shared,
      seats,
      tables,
      schema,
      ask,
      async sync(seat) {
        const changes = await takeChanges(shared.superuser);
        const undone = await takeChanges(seat.oracle.superuser);
        for (const { caller, oracle } of named) {
          const due = oracle === seat.oracle ? [...changes, ...undone] : changes;
          const mine = due.filter(
            ({ key }) => (key.org_id ?? caller.orgId) === caller.orgId || key.user_id,
          );
          await syncOracle(shared.superuser, oracle.superuser, copied, caller, mine);
        }
        return { shared: changes, oracle: undone };
      },
      written: () => takeChanges(shared.superuser),
      async close() {
        await api.close();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Runs SQL as the owner of the tables, as a migration would be. */
export async function asOwner(database: TestDatabase, sql: string): Promise<void> {
  const client = new Client({ connectionString: database.ownerUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function populate(
  database: TestDatabase,
  rounds: number,
  others: number,
  crowd: WorldOptions['crowd'],
): Promise<void> {
  const strangers = Array.from({ length: others * 2 }, (_, n) => ({
    userId: `user_${n}`,
    orgId: `org_${Math.floor(n / 2)}`,
  }));
  const bob = { userId: 'user_bob', orgId: 'org_acme' };
  for (const caller of [...Object.values(callers), bob, ...strangers])
    await database.provision(caller);
  const client = new Client({
    connectionString: String(database.superuser.options.connectionString),
  });
  await client.connect();
  try {
    await client.query('begin');
    await client.query(`
      update app_public.users set created_at = '2020-01-01', updated_at = '2020-01-01', name = 'Name of ' || id;
      update app_public.organizations set created_at = '2020-01-01', updated_at = '2020-01-01';
      update app_public.memberships set created_at = '2020-01-01', updated_at = '2020-01-01'`);
    const catalogue = await readCatalogue(client);
    const { rows: members } = await client.query<Member>(
      `select org_id as "orgId", user_id as "personId" from app_public.memberships order by 1, 2`,
    );
    await fillTables(client, catalogue, members, samplesOf(readMatrix()), { rounds });
    // One document of each organization is long enough for a job.
    await client.query(`
      update app_public.documents set body = repeat('long ', 5000)
      where id in (select distinct on (org_id) id from app_public.documents order by org_id, id)`);
    // Those of one model alone are similar.
    await client.query(`
      update app_public.document_embeddings
      set model = 'model', vector = array[1, pg_catalog.hashtext(document_id::text) % 100 / 100.0]`);
    await crowd?.(client);
    await client.query('commit');
    await client.query('analyze');
  } finally {
    await client.end();
  }
}

type SharedApi = {
  ask(pool: Pool, caller: TestCaller, body: object): Promise<Reply>;
  close(): Promise<void>;
};

/** The API's own GraphQL handler over HTTP. Each request says which database it is for; claims come from the caller. */
async function openSharedApi(first: Pool, uploads: Uploads): Promise<SharedApi> {
  const current = new AsyncLocalStorage<Pool>();
  const pool = { on: () => pool, connect: () => (current.getStore() ?? first).connect() };
  const graphql = makeGraphql();
  await graphql.build(
    makePreset({
      pool: pool as unknown as Pool,
      processPlugins: [makeOperationsPlugin(() => {})],
      uploads,
      generations: unreachableGenerations(),
      aiBudgetMicros: 1_000_000,
    }),
  );
  const waiting = new Map<string, { pool: Pool; caller: TestCaller }>();
  const server = createServer((request, response) => {
    const about = waiting.get(String(request.headers['x-proof']));
    if (!about) return void response.writeHead(400).end();
    stateOf(request).claims = claimsOf(about.caller);
    current.run(about.pool, () =>
      graphql.answer(request, response, (error) => {
        response.writeHead(500).end(String(error));
      }),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A connection that idles while the machine is busy elsewhere is not to be closed as it is used again.
  server.keepAliveTimeout = 600_000;
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/graphql`;
  const agent = new Agent({ keepAlive: true });
  let count = 0;
  return {
    async ask(askedPool, caller, body) {
      count += 1;
      const number = String(count);
      waiting.set(number, { pool: askedPool, caller });
      const { status, text } = await send(url, {
        agent,
        body: JSON.stringify(body),
        headers: {
          'content-type': 'application/json',
          'x-proof': number,
          // Errors and what is written carry these, and they must not tell two answers apart.
          'x-request-id': 'proof',
          traceparent: `00-${'0'.repeat(31)}1-${'0'.repeat(15)}1-00`,
        },
      });
      waiting.delete(number);
      return { status, text };
    },
    async close() {
      agent.destroy();
      server.closeAllConnections();
      server.close();
      await graphql.close();
    },
  };
}

async function readSchema(ask: (body: object) => Promise<Reply>): Promise<GraphQLSchema> {
  const { text } = await ask({ query: getIntrospectionQuery({ inputValueDeprecation: true }) });
  return buildClientSchema(JSON.parse(text).data);
}

/** grafast prints every cursor and id that it cannot read, of which the proof sends many. */
export function silenceGrafast(): void {
  jest.spyOn(console, 'error').mockImplementation(() => {});
  jest.spyOn(console, 'warn').mockImplementation(() => {});
}
