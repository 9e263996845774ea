import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import { makeSchema } from 'postgraphile';
import {
  loadOneWithPgClient,
  type PgClient,
  sideEffectWithPgClient,
  sideEffectWithPgClientTransaction,
} from 'postgraphile/@dataplan/pg';
import { makePgService } from 'postgraphile/adaptors/pg';
import { constant, context, grafast, lambda, listen, object } from 'postgraphile/grafast';
import type { ExecutionResult } from 'postgraphile/graphql';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { extendSchema } from 'postgraphile/utils';
import { makeScopedPgService } from '../../../db/scope/makeScopedPgService.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { until } from '../../support/until.ts';
import { addPlayground, openTestPool, writing } from './playground.ts';

/** What a plugin's author does with PostGraphile's clients, over either adaptor. */

const whoAmI = 'select current_user || $1 || app_hidden.current_user_id() as who';

const TestPlugin = extendSchema((build) => {
  const executor = build.input.pgRegistry.pgExecutors.main;
  if (!executor) throw new Error('There is no executor.');
  const addThings = async (client: PgClient, ids: readonly number[]) => {
    for (const id of ids) {
      await client.query({ text: 'insert into play.things (id) values ($1)', values: [id] });
    }
    const { rows } = await client.query<{ count: string }>({
      text: 'select count(*) as count from play.things',
    });
    return Number(rows[0]?.count);
  };
  return {
    typeDefs: /* GraphQL */ `
      extend type Query { whoAmI(between: String!): String, bySideEffect: String }
      extend type Mutation { addThings(ids: [Int!]!): Int, addNested(ids: [Int!]!): Int }
      extend type Subscription { heard(topic: String!): String }
    `,
    objects: {
      Query: {
        plans: {
          whoAmI: (_, { $between }) =>
            loadOneWithPgClient(executor, $between as never, async (client, betweens) => {
              const { rows } = await client.query<{ who: string }>({
                text: 'select current_user || b || app_hidden.current_user_id() as who from unnest($1::text[]) b',
                values: [betweens],
              });
              return rows.map(({ who }) => who);
            }),
          bySideEffect: () =>
            sideEffectWithPgClient(executor, {}, async (client) => {
              const { rows } = await client.query<{ who: string }>({
                text: whoAmI,
                values: [' / '],
              });
              return rows[0]?.who;
            }),
        },
      },
      Mutation: {
        plans: {
          addThings: (_, { $ids = constant([]) }) =>
            sideEffectWithPgClientTransaction(executor, { ids: $ids }, (client, { ids }) =>
              addThings(client, ids as number[]),
            ),
          addNested: (_, { $ids = constant([]) }) =>
            sideEffectWithPgClientTransaction(executor, { ids: $ids }, async (client, { ids }) => {
              const adding = (ids as number[]).map((id) =>
                client.withTransaction((nested) => addThings(nested, [id])),
              );
              await Promise.allSettled(adding);
              return addThings(client, []);
            }),
        },
      },
      Subscription: {
        plans: {
          heard: {
            subscribePlan: (_, { $topic }) =>
              listen(context().get('pgSubscriber') as never, $topic as never, ($event) =>
                object({ text: $event }),
              ),
            plan: ($event) => lambda($event as never, ({ text }: { text: string }) => text, true),
          },
        },
      },
    },
  };
}, 'TestPlugin');

type Run = (source: string) => Promise<unknown>;

describe.each([
  ['the stock adaptor', (pool: Pool) => makePgService({ pool, schemas: ['play'] })],
  ['the scope', (pool: Pool) => makeScopedPgService({ pool, schemas: ['play'], pubsub: true })],
])('over %s', (_, makeService) => {
  let database: TestDatabase;
  let pool: Pool;
  let service: ReturnType<typeof makeService>;
  let run: Run;

  beforeAll(async () => {
    database = await openTestDatabase();
    await addPlayground(database);
    pool = openTestPool(database, { size: 3 });
    service = makeService(pool);
    const { schema, resolvedPreset } = await makeSchema({
      extends: [PostGraphileAmberPreset],
      plugins: [TestPlugin],
      pgServices: [service],
      grafast: { context: () => ({ pgSettings: writing }) },
    });
    run = (source) =>
      grafast({ schema, source, resolvedPreset, requestContext: {} as never }) as Promise<unknown>;
  });
  afterAll(async () => {
    await service.release?.();
    await pool.end();
    await database.close();
  });

  const dataOf = async (source: string) => JSON.parse(JSON.stringify(await run(source)));

  test('a plan’s own statement runs as the caller', async () => {
    expect(
      await dataOf('{ a: whoAmI(between: "-") b: whoAmI(between: "+") bySideEffect }'),
    ).toEqual({
      data: {
        a: 'app_user-user_alice',
        b: 'app_user+user_alice',
        bySideEffect: 'app_user / user_alice',
      },
    });
  });

  test('generated fields read and write', async () => {
    const created = await dataOf(
      'mutation { createThing(input: {thing: {rowId: 100, name: "made"}}) { thing { rowId name } } }',
    );
    expect(created).toEqual({
      data: { createThing: { thing: { rowId: 100, name: 'made' } } },
    });
    expect(await dataOf('{ allThings { edges { node { rowId name } } } }')).toEqual({
      data: { allThings: { edges: [{ node: { rowId: 100, name: 'made' } }] } },
    });
    await dataOf('mutation { deleteThingByRowId(input: {rowId: 100}) { clientMutationId } }');
  });

  test('a transaction of a plan is whole or not at all', async () => {
    expect(await dataOf('mutation { addThings(ids: [1, 2]) }')).toEqual({ data: { addThings: 2 } });
    const { errors, data } = await dataOf('mutation { addThings(ids: [3, 1]) }');
    expect(data).toEqual({ addThings: null });
    expect(errors[0].message).toMatch('things_pkey');
    expect(await dataOf('mutation { addThings(ids: []) }')).toEqual({ data: { addThings: 2 } });
  });

  test('nested transactions of a plan are undone one by one', async () => {
    expect(await dataOf('mutation { addNested(ids: [10, 10, 11, 1]) }')).toEqual({
      data: { addNested: 4 },
    });
  });

  test('a subscription hears what is notified, until it ends', async () => {
    const heard = (await run(
      'subscription { heard(topic: "news") }',
    )) as AsyncGenerator<ExecutionResult>;
    await until('the listener', async () => {
      const { rows } = await database.superuser.query(
        `select 1 from pg_stat_activity where datname = current_database() and query = 'LISTEN "news"'`,
      );
      return rows[0];
    });
    await database.superuser.query("select pg_notify('news', 'one'), pg_notify('news', 'two')");
    for (const text of ['one', 'two']) {
      expect(JSON.parse(JSON.stringify(await heard.next()))).toEqual({
        done: false,
        value: { data: { heard: text } },
      });
    }
    // The connection that listens is nobody else's meanwhile.
    expect(await dataOf('{ whoAmI(between: "-") }')).toEqual({
      data: { whoAmI: 'app_user-user_alice' },
    });
    expect(await heard.return(undefined)).toMatchObject({ done: true });
  });
});
