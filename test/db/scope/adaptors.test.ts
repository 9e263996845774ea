import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import type { PgClient, WithPgClient } from 'postgraphile/@dataplan/pg';
import { makeWithPgClient } from '../../../db/scope/makeWithPgClient.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { adaptors, addPlayground, openTestPool, query, writing } from './playground.ts';

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await openTestDatabase();
  await addPlayground(database);
  pool = openTestPool(database, { statementTimeoutMs: 1_000 });
});
afterAll(async () => {
  await pool.end();
  await database.close();
});
beforeEach(async () => {
  await database.superuser.query('truncate play.things, play.parts');
});

describe.each(adaptors)('%s', (_, makeAdaptor) => {
  let withPgClient: WithPgClient;
  beforeAll(() => {
    withPgClient = makeAdaptor(pool);
  });

  const ask = <Row>(text: string, values?: unknown[]) =>
    query<Row>(withPgClient, writing, text, values);
  const inTransaction = <Result>(work: (client: PgClient) => Promise<Result>) =>
    withPgClient(writing, (client) => client.withTransaction(work));
  const add = (client: PgClient, id: number) =>
    client.query({ text: 'insert into play.things (id) values ($1)', values: [id] });
  const ids = async () => {
    const { rows } = await database.superuser.query('select id from play.things order by id');
    return rows.map(({ id }) => id);
  };

  describe('a statement', () => {
    test('answers with rows by column name', async () => {
      expect(await ask('select $1::int as one, $2::text as two', [1, 'b'])).toEqual([
        { one: 1, two: 'b' },
      ]);
    });

    test('answers with arrays in array mode, equal names and all', async () => {
      const text = 'select n, n * 2 as n from generate_series(1, 3) n';
      const { rows } = await withPgClient(writing, (client) =>
        client.query({ text, arrayMode: true }),
      );
      expect(rows).toEqual([
        [1, 2],
        [2, 4],
        [3, 6],
      ]);
    });

    test.each([
      ['select 1 where false', { rows: [], rowCount: 0 }],
      ['select', { rows: [{}], rowCount: 1 }],
      ['insert into play.things (id) values (1), (2)', { rows: [], rowCount: 2 }],
      ['insert into play.things (id) values (7) returning id', { rows: [{ id: 7 }], rowCount: 1 }],
      ['update play.things set name = name', { rows: [], rowCount: 0 }],
      ['create temporary table t (x int) on commit drop', { rows: [], rowCount: null }],
      ['', { rows: [], rowCount: null }],
    ])('%j tells how many rows it touched', async (text, expected) => {
      const result = await withPgClient(writing, (client) => client.query({ text }));
      expect(result).toMatchObject({ ...expected, notices: [] });
    });

    test('is prepared once per connection when it has a name', async () => {
      const named = (value: number) =>
        withPgClient(writing, (client) =>
          client.query({ text: 'select $1::int as n', values: [value], name: `named ${_}` }),
        );
      expect((await named(1)).rows).toEqual([{ n: 1 }]);
      expect((await named(2)).rows).toEqual([{ n: 2 }]);
      const [known] = await ask<{ times: string }>(
        `select generic_plans + custom_plans as times from pg_prepared_statements
         where name = $1`,
        [`named ${_}`],
      );
      expect(known).toEqual({ times: '2' });
    });

    test('is not kept without a name', async () => {
      await ask('select $1::int as unnamed', [1]);
      const known = await ask(
        "select 1 from pg_prepared_statements where statement like '%as unnamed'",
      );
      expect(known).toEqual([]);
    });

    test.each([
      ['text', 'plain'],
      ['text', 'Zoë said: "it’s 100% \\ fine" \u{1f3e0}\n\t'],
      ['text', ''],
      ['text', null],
      ['text', 'x'.repeat(200_000)],
      ['int', 42],
      ['bigint', '9007199254740993'],
      ['bigint', 9007199254740993n],
      ['numeric', '12345678901234567890.123456789'],
      ['double precision', 0.1],
      ['double precision', 'NaN'],
      ['boolean', true],
      ['uuid', '0198c7f2-7e8b-7e61-a3d3-3c9f0a4f2f10'],
      ['timestamptz', new Date('2020-02-29T12:34:56.789Z')],
      ['timestamptz', 'infinity'],
      ['timestamp', '2020-02-29 12:34:56.789012'],
      ['date', '2020-02-29'],
      ['interval', '1 day 02:03:04'],
      ['json', { a: [1, null, 'x'], b: { c: true } }],
      ['jsonb', JSON.stringify([1, { a: 'b' }])],
      ['jsonb', 'null'],
      ['bytea', Buffer.from([0, 1, 255, 39, 92])],
      ['bytea', new Uint8Array([7, 0, 7])],
      ['text[]', ['a', 'b,c', '"quoted"', 'back\\slash', '', null, 'NULL']],
      ['int[]', [1, 2, 3]],
      ['int[]', []],
      [
        'int[]',
        [
          [1, 2],
          [3, 4],
        ],
      ],
      ['bytea[]', [Buffer.from('a'), Buffer.from('b')]],
      ['play.mood', 'GOOD'],
      ['point', '(1,2)'],
      ['inet', '10.0.0.1'],
      ['tstzrange', '[2020-01-01 00:00:00+00,)'],
    ])('carries %s %p there and back as node-postgres does', async (type, value) => {
      const text = `select $1::${type} as value, ($1::${type})::text as text, array[$1::${type}] as list`;
      const { rows } = await database.superuser.query(text, [value]);
      expect(await ask(text, [value])).toEqual(rows);
    });

    test('is read by the type parsers of its connection', async () => {
      const types = {
        getTypeParser: (oid: number) => (text: string) => `${oid}: ${text}`,
      } as unknown as NonNullable<Pool['options']['types']>;
      const own = openTestPool(database);
      own.options.types = types;
      const rows = await query(makeAdaptor(own), writing, 'select 1 as n, array[true] as list');
      await own.end();
      expect(rows).toEqual([{ n: '23: 1', list: '1000: {t}' }]);
    });

    test('runs with the caller’s role and claims', async () => {
      const text = `select current_user, session_user, app_hidden.current_user_id() as user_id,
        app_hidden.current_org_id() as org_id, app_hidden.current_org_role() as org_role,
        app_hidden.has_permission('b') as permitted, app_hidden.current_request_id() as request_id`;
      expect(await ask(text)).toEqual([
        {
          current_user: 'app_user',
          session_user: 'rowhouse_api',
          user_id: 'user_alice',
          org_id: 'org_acme',
          org_role: 'admin',
          permitted: true,
          request_id: 'request-1',
        },
      ]);
    });

    test('runs as the login without settings', async () => {
      expect(await query(withPgClient, null, 'select current_user')).toEqual([
        { current_user: 'rowhouse_api' },
      ]);
    });

    test('is canceled at the statement timeout', async () => {
      await expect(ask('select pg_sleep(20)')).rejects.toMatchObject({ code: '57014' });
      expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
    });

    test('cannot copy from a client that sends no rows', async () => {
      await expect(ask('copy play.things from stdin')).rejects.toMatchObject({ code: '57014' });
      expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
    });

    test('many at once get each their own answer', async () => {
      const wide = openTestPool(database, { size: 4 });
      const scope = makeAdaptor(wide);
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => query(scope, writing, 'select $1::int as n', [i])),
      );
      await wide.end();
      expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => [{ n: i }]));
    });
  });

  describe('what the server remarks', () => {
    const remarks = (what: string) => [
      expect.objectContaining({ severity: 'NOTICE', message: `first ${what}`, code: '00000' }),
      expect.objectContaining({
        severity: 'WARNING',
        message: `second ${what}`,
        code: 'RW999',
        hint: 'a hint',
        detail: 'a detail',
        line: expect.any(Number),
        routine: 'exec_stmt_raise',
      }),
    ];
    const remark = (client: PgClient, what: string) =>
      client.query({ text: 'select play.remark($1)', values: [what] });

    test('comes with the result', async () => {
      const { notices } = await withPgClient(writing, (client) => remark(client, 'one'));
      expect(notices).toEqual(remarks('one'));
    });

    test('comes with no other result', async () => {
      await inTransaction(async (client) => {
        expect((await client.query({ text: 'select 1' })).notices).toEqual([]);
        expect((await remark(client, 'two')).notices).toEqual(remarks('two'));
        expect((await client.query({ text: 'select 1' })).notices).toEqual([]);
      });
    });

    test('before an error never shows in the result of the next caller', async () => {
      await expect(ask('select play.remark($1)', ['fatal'])).rejects.toThrow('third fatal');
      const { notices } = await withPgClient(writing, (client) =>
        client.query({ text: 'select 1' }),
      );
      expect(notices).toEqual([]);
    });
  });

  describe('an error', () => {
    test.each([
      ['select 1 frm x', { code: '42601', position: '14' }],
      ['select * from play.nothing', { code: '42P01', position: '15' }],
      ['select 1 / 0', { code: '22012' }],
      [
        "insert into play.things (id, name) values (1, 'forbidden')",
        {
          code: '23514',
          schema: 'play',
          table: 'things',
          constraint: 'things_name_check',
          detail: expect.stringContaining('Failing row'),
        },
      ],
      [
        'insert into play.things (id) values (3), (3)',
        { code: '23505', constraint: 'things_pkey', detail: 'Key (id)=(3) already exists.' },
      ],
      [
        'insert into play.things (id, name) values (1, null)',
        { code: '23502', table: 'things', column: 'name' },
      ],
      [
        'insert into play.parts values (1, 99)',
        { code: '23503', constraint: 'parts_thing_id_fkey' },
      ],
      ['select play.refuse()', { code: 'RW400', hint: 'field', detail: 'because' }],
    ])('of %s keeps what Postgres said', async (text, expected) => {
      await expect(ask(text)).rejects.toMatchObject({ ...expected, severity: 'ERROR' });
      expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
    });

    test('undoes the statement', async () => {
      await expect(
        ask("insert into play.things (id, name) values (1, ''), (2, 'forbidden')"),
      ).rejects.toMatchObject({ code: '23514' });
      expect(await ids()).toEqual([]);
    });

    test('of a callback comes out as it is', async () => {
      const failure = new Error('No such luck.');
      await expect(withPgClient(writing, () => Promise.reject(failure))).rejects.toBe(failure);
      await expect(inTransaction(() => Promise.reject(failure))).rejects.toBe(failure);
    });
  });

  describe('a transaction', () => {
    test('is committed when its work is done, and gives its result', async () => {
      const result = await inTransaction(async (client) => {
        await add(client, 1);
        const { rows } = await client.query({ text: 'select id from play.things' });
        expect(await ids()).toEqual([]);
        return rows;
      });
      expect(result).toEqual([{ id: 1 }]);
      expect(await ids()).toEqual([1]);
    });

    test('holds the caller’s role and claims in each statement', async () => {
      const text = 'select current_user, app_hidden.current_user_id() as id';
      await inTransaction(async (client) => {
        for (const _time of [1, 2, 3]) {
          const { rows } = await client.query({ text });
          expect(rows).toEqual([{ current_user: 'app_user', id: 'user_alice' }]);
        }
      });
    });

    test('is rolled back when its work fails', async () => {
      await expect(
        inTransaction(async (client) => {
          await add(client, 1);
          throw new Error('No such luck.');
        }),
      ).rejects.toThrow('No such luck.');
      expect(await ids()).toEqual([]);
    });

    test('is rolled back when a statement fails', async () => {
      await expect(
        inTransaction(async (client) => {
          await add(client, 1);
          await add(client, 1);
        }),
      ).rejects.toMatchObject({ code: '23505', constraint: 'things_pkey' });
      expect(await ids()).toEqual([]);
    });

    test('fails at the commit when a deferred constraint does', async () => {
      await expect(
        inTransaction((client) => client.query({ text: 'insert into play.parts values (1, 99)' })),
      ).rejects.toMatchObject({ code: '23503', constraint: 'parts_thing_id_fkey' });
      expect(await ask('select * from play.parts')).toEqual([]);
    });

    test('may have nothing to do', async () => {
      expect(await inTransaction(async () => 'nothing')).toBe('nothing');
    });

    test('answers statements sent at once in turn', async () => {
      const answers = await inTransaction((client) =>
        Promise.all(
          Array.from({ length: 30 }, async (_, i) => {
            const { rows } = await client.query({ text: 'select $1::int as n', values: [i] });
            return rows;
          }),
        ),
      );
      expect(answers).toEqual(Array.from({ length: 30 }, (_, i) => [{ n: i }]));
    });

    test('hands out its connection', async () => {
      await inTransaction(async (client) => {
        const { rawClient } = client as PgClient & { rawClient: Pool };
        const { rows } = await rawClient.query('select current_user, now() = $1 as same', [
          (await client.query<{ now: Date }>({ text: 'select now()::text as now' })).rows[0]?.now,
        ]);
        expect(rows).toEqual([{ current_user: 'app_user', same: true }]);
      });
    });

    test('goes on when a nested one fails, without what that did', async () => {
      await inTransaction(async (client) => {
        await add(client, 1);
        const failing = client.withTransaction(async (nested) => {
          await add(nested, 2);
          await add(nested, 1);
        });
        await expect(failing).rejects.toMatchObject({ code: '23505' });
        await add(client, 3);
      });
      expect(await ids()).toEqual([1, 3]);
    });

    test('keeps what nested ones did, and undoes it when it fails itself', async () => {
      const work = async (client: PgClient) => {
        await add(client, 1);
        await client.withTransaction(async (nested) => {
          await add(nested, 2);
          await nested.withTransaction((deeper) => add(deeper, 3));
        });
      };
      await expect(
        inTransaction(async (client) => {
          await work(client);
          throw new Error('No such luck.');
        }),
      ).rejects.toThrow('No such luck.');
      expect(await ids()).toEqual([]);
      await inTransaction(work);
      expect(await ids()).toEqual([1, 2, 3]);
    });

    test('nests many at once without mixing them', async () => {
      await inTransaction(async (client) => {
        const nested = Array.from({ length: 10 }, (_, i) =>
          client.withTransaction(async (inner) => {
            await add(inner, i);
            await inner.withTransaction((deeper) => add(deeper, 100 + i));
            if (i % 2 === 1) throw new Error('odd');
          }),
        );
        const outcomes = await Promise.allSettled(nested);
        expect(outcomes.map(({ status }) => status)).toEqual(
          Array.from({ length: 10 }, (_, i) => (i % 2 === 1 ? 'rejected' : 'fulfilled')),
        );
      });
      expect(await ids()).toEqual([0, 2, 4, 6, 8, 100, 102, 104, 106, 108]);
    });

    test('does not lose with a nested one what was sent beside that', async () => {
      await inTransaction(async (client) => {
        const failing = client.withTransaction(async (nested) => {
          await add(nested, 1);
          await nested.query({ text: 'select pg_sleep(0.02)' });
          throw new Error('No such luck.');
        });
        const beside = add(client, 2);
        await expect(failing).rejects.toThrow('No such luck.');
        await beside;
      });
      expect(await ids()).toEqual([2]);
    });
  });
});

/** What the scope does otherwise, and on purpose. */
describe('unlike the stock adaptor, the scope', () => {
  const ours = () => makeWithPgClient(pool) as unknown as WithPgClient;
  const stock = () => adaptors[0]?.[1](pool) as WithPgClient;
  const count = async () =>
    (await database.superuser.query('select count(*)::int from play.things')).rows[0]?.count;
  const swallow = async (client: PgClient) => {
    await client.query({ text: 'insert into play.things (id) values (1)' });
    await client.query({ text: 'select 1 / 0' }).catch(() => {});
    return 'done';
  };

  test('does not call a transaction done whose failed statement was swallowed', async () => {
    expect(await stock()(writing, swallow)).toBe('done');
    expect(await count()).toBe(0);
    const ourTransaction = ours()(writing, (client) => client.withTransaction(swallow));
    await expect(ourTransaction).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await count()).toBe(0);
  });

  test('tells the remarks of statements sent at once apart', async () => {
    const atOnce = (client: PgClient) =>
      client.withTransaction(async (inner) => {
        const texts = ['select 1', "select play.remark('one')", 'select 1'];
        const results = await Promise.all(texts.map((text) => inner.query({ text })));
        return results.map(({ notices }) => notices?.length);
      });
    expect(await stock()(writing, atOnce)).toEqual([0, 2, 2]);
    expect(await ours()(writing, atOnce)).toEqual([0, 2, 0]);
  });

  test('commits each statement outside withTransaction by itself', async () => {
    const twoStatements = (withPgClient: WithPgClient) =>
      withPgClient(writing, async (client) => {
        await client.query({ text: 'insert into play.things (id) values (1)' });
        await client.query({ text: 'select 1 / 0' });
      });
    await expect(twoStatements(stock())).rejects.toMatchObject({ code: '22012' });
    expect(await count()).toBe(0);
    await expect(twoStatements(ours())).rejects.toMatchObject({ code: '22012' });
    expect(await count()).toBe(1);
  });

  test('hands out no connection outside withTransaction', async () => {
    const raw = (withPgClient: WithPgClient) =>
      withPgClient(writing, async (client) => typeof (client as { rawClient?: object }).rawClient);
    expect(await raw(stock())).toBe('object');
    await expect(raw(ours())).rejects.toThrow('outside withTransaction');
  });

  test('takes one statement in a text, and not several', async () => {
    const text = 'select 1; drop table play.things';
    await expect(query(ours(), writing, text)).rejects.toMatchObject({ code: '42601' });
    expect(await count()).toBe(0);
  });

  test('does not call a transaction done that was ended from within', async () => {
    const work = ours()(writing, (client) =>
      client.withTransaction(async (inner) => {
        await inner.query({ text: 'insert into play.things (id) values (1)' });
        await (inner as PgClient & { rawClient: Pool }).rawClient.query('rollback');
        // Would run as the login.
        await inner.query({ text: 'select current_user' }).catch(() => {});
      }),
    );
    await expect(work).rejects.toThrow('ended from within');
    expect(await count()).toBe(0);
  });

  test('waits for a nested transaction that nobody waited for', async () => {
    await ours()(writing, (client) =>
      client.withTransaction(async (outer) => {
        void outer.withTransaction(async (inner) => {
          await inner.query({ text: 'insert into play.things (id) values (1)' });
          await inner.query({ text: 'select pg_sleep(0.05)' });
          await inner.query({ text: 'insert into play.things (id) values (2)' });
        });
      }),
    );
    expect(await count()).toBe(2);
  });

  test.each([
    ['a role', 'set session role app_user'],
    ['a claim', "select set_config('jwt.user_id', 'mallory', false)"],
    ['that nothing may be written', 'set session characteristics as transaction read only'],
    ['no time limit', 'set statement_timeout = 0'],
    ['a channel', 'listen gossip'],
  ])('lets nobody inherit what raw statements set for the session: %s', async (_what, text) => {
    const state = `select current_user, current_setting('statement_timeout') as lasts,
      nullif(current_setting('jwt.user_id', true), '') as claim,
      current_setting('default_transaction_read_only') as cannot_write,
      array(select pg_listening_channels()) as channels`;
    const before = (await pool.query(state)).rows;
    await ours()(writing, (client) =>
      client.withTransaction(async (inner) => {
        await (inner as PgClient & { rawClient: Pool }).rawClient.query(text);
      }),
    );
    expect((await pool.query(state)).rows).toEqual(before);
  });

  test('sends nothing after the end of a transaction', async () => {
    let late: PgClient | undefined;
    await ours()(writing, (client) =>
      client.withTransaction(async (inner) => {
        late = inner;
        await inner.query({ text: 'select 1' });
      }),
    );
    await expect(late?.query({ text: 'select current_user' })).rejects.toThrow('has ended');
    expect(() => (late as { rawClient?: object } | undefined)?.rawClient).toThrow('has ended');
  });
});
