import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import type { PgClientQuery, WithPgClient } from 'postgraphile/@dataplan/pg';
import { makeWithPgClient } from '../../../db/scope/makeWithPgClient.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addPlayground, openTestPool, reading, writing } from './playground.ts';

let database: TestDatabase;
let pool: Pool;
let withPgClient: WithPgClient;

beforeAll(async () => {
  database = await openTestDatabase();
  await addPlayground(database);
});
afterAll(() => database.close());
beforeEach(() => {
  pool = openTestPool(database);
  withPgClient = makeWithPgClient(pool) as unknown as WithPgClient;
});
afterEach(() => pool.end());

const send = (statement: PgClientQuery, settings = writing) =>
  withPgClient(settings, (client) => client.query<Record<string, unknown>>(statement));
const ask = async (text: string, values?: unknown[], name?: string) =>
  (await send({ text, ...(values && { values }), ...(name && { name }) })).rows;
const numbered = (n: number) => ask(`select $1::int + ${n} as n`, [0], `numbered ${n}`);

/** Names of the connection's prepared statements, as Postgres knows them. */
async function known(): Promise<string[]> {
  const { rows } = await pool.query('select name from pg_prepared_statements order by 1');
  return rows.map(({ name }) => name);
}

describe('a prepared statement', () => {
  test('is one beside that of the scope', async () => {
    await numbered(1);
    await numbered(1);
    expect(await known()).toEqual(['numbered 1', 'rowhouse_scope']);
  });

  test('makes room for the 101st when it is the one not used for longest', async () => {
    // The scope's own is one of the hundred, and always just used.
    for (let n = 0; n < 99; n++) expect(await numbered(n)).toEqual([{ n }]);
    expect(await known()).toHaveLength(100);
    await numbered(0);
    expect(await numbered(99)).toEqual([{ n: 99 }]);
    const names = await known();
    expect(names).toHaveLength(100);
    expect(names).not.toContain('numbered 1');
    expect(names).toEqual(expect.arrayContaining(['numbered 0', 'numbered 99', 'rowhouse_scope']));
  });

  test('is none that is long: a hundred of them would be much to keep', async () => {
    const long = (length: number) => `select 1 as n${' '.repeat(length - 13)}`;
    expect(await ask(long(10_001), [], 'too long')).toEqual([{ n: 1 }]);
    expect(await ask(long(10_000), [], 'long')).toEqual([{ n: 1 }]);
    expect(await known()).toEqual(['long', 'rowhouse_scope']);
  });

  test('that had to go is prepared again', async () => {
    for (let n = 0; n < 250; n++) expect(await numbered(n)).toEqual([{ n }]);
    for (let n = 0; n < 250; n += 50) expect(await numbered(n)).toEqual([{ n }]);
    expect(await known()).toHaveLength(100);
  });

  test('makes room in a transaction that sends them all at once', async () => {
    const answers = await withPgClient(writing, (client) =>
      client.withTransaction((inner) =>
        Promise.all(
          Array.from({ length: 250 }, async (_, n) => {
            const text = `select $1::int + ${n} as n`;
            return (await inner.query({ text, values: [0], name: `numbered ${n}` })).rows;
          }),
        ),
      ),
    );
    expect(answers).toEqual(Array.from({ length: 250 }, (_, n) => [{ n }]));
    expect(await known()).toHaveLength(100);
    expect(await numbered(0)).toEqual([{ n: 0 }]);
  });

  test('that did not parse can be sent again, when it does', async () => {
    const late = () => ask('select count(*)::int as n from play.late', [], 'late');
    await expect(late()).rejects.toMatchObject({ code: '42P01' });
    await expect(late()).rejects.toMatchObject({ code: '42P01' });
    await database.superuser.query(
      'create table play.late (); grant select on play.late to app_user',
    );
    expect(await late()).toEqual([{ n: 0 }]);
    expect(await late()).toEqual([{ n: 0 }]);
  });

  test('that failed is not prepared twice', async () => {
    const divide = (by: number) => ask('select 1 / $1::int as n', [by], 'divide');
    await expect(divide(0)).rejects.toMatchObject({ code: '22012' });
    expect(await divide(1)).toEqual([{ n: 1 }]);
    expect(await known()).toEqual(['divide', 'rowhouse_scope']);
  });

  test('gives way to another text of its name, and is not mistaken for it', async () => {
    for (const _round of [1, 2]) {
      expect(await ask("select 'first' as text", [], 'same')).toEqual([{ text: 'first' }]);
      expect(await ask("select 'second' as text", [], 'same')).toEqual([{ text: 'second' }]);
    }
    expect(await known()).toEqual(['rowhouse_scope', 'same']);
  });

  test('whose tables changed under it is prepared anew, on another connection', async () => {
    await database.superuser.query(
      'create table play.changing as select 1 as n; grant select on play.changing to app_user',
    );
    const read = () => ask('select * from play.changing', [], 'changing');
    expect(await read()).toEqual([{ n: 1 }]);
    await database.superuser.query('alter table play.changing alter column n type text');
    expect(await read()).toEqual([{ n: '1' }]);
  });

  test('that somebody dropped is prepared anew, on another connection', async () => {
    await numbered(1);
    await pool.query('deallocate all');
    expect(await numbered(1)).toEqual([{ n: 1 }]);
  });

  test('is none where they are switched off', async () => {
    withPgClient = makeWithPgClient(pool, false) as unknown as WithPgClient;
    expect(await numbered(1)).toEqual([{ n: 1 }]);
    expect(await known()).toEqual([]);
  });
});

describe('a value', () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const throwing = {
    toPostgres() {
      throw new Error('no such value');
    },
  };

  test.each([
    ['that refers to itself', circular, /circular/i],
    ['that cannot be written as JSON', { n: 1n }, /BigInt/],
    ['that throws', throwing, /no such value/],
    ['that throws in a list', [throwing], /no such value/],
  ])('%s is refused before anything is sent', async (_, value, why) => {
    await expect(ask('select $1::text', [value], 'refused')).rejects.toThrow(why);
    expect(await ask('select $1::text as text', ['fine'], 'refused')).toEqual([{ text: 'fine' }]);
    expect(pool.totalCount).toBe(1);
  });

  test('that is refused first in a transaction leaves the rest in the scope', async () => {
    const rows = await withPgClient(writing, (client) =>
      client.withTransaction(async (inner) => {
        const refused = inner.query({ text: 'select $1', values: [circular] });
        await expect(refused).rejects.toThrow(/circular/i);
        await inner.query({ text: 'insert into play.things (id) values (1)' });
        return (
          await inner.query({
            text: 'select current_user, pg_current_xact_id_if_assigned() is null as is_new',
          })
        ).rows;
      }),
    );
    expect(rows).toEqual([{ current_user: 'app_user', is_new: false }]);
  });

  test('with a zero byte is refused by Postgres, and the connection stays', async () => {
    await expect(ask('select $1::text', ['a\0b'])).rejects.toMatchObject({ code: '22021' });
    expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
    expect(pool.totalCount).toBe(1);
  });

  test.each([
    ['too many for the protocol', Array.from({ length: 70_000 }, () => 1)],
    ['too few', []],
    ['too many for the statement', [1, 2, 3]],
  ])('of a list that is %s is refused, and the connection stays', async (_, values) => {
    await expect(ask('select $1::int, $2::int', values)).rejects.toMatchObject({ code: '08P01' });
    expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
  });
});

describe('a text', () => {
  test('with a zero byte is refused, and the connection is not used wrongly', async () => {
    await expect(ask("select 'a\0b'")).rejects.toMatchObject({ severity: 'ERROR' });
    expect(await ask('select 1 as n')).toEqual([{ n: 1 }]);
  });

  test('of a megabyte goes through', async () => {
    const long = 'x'.repeat(1_000_000);
    expect(await ask(`select length('${long}') as length`)).toEqual([{ length: 1_000_000 }]);
  });
});

describe('a row that its type’s parser cannot read', () => {
  const failing = { rows: 'select n::int8 from generate_series(1, 5) n' };
  beforeEach(() => {
    pool.options.types = {
      getTypeParser: (oid: number) => (text: string) => {
        if (oid === 20 && text === '3') throw new Error('cannot read 3');
        return text;
      },
    } as never;
  });

  test('fails the statement, and the connection stays', async () => {
    await expect(ask(failing.rows)).rejects.toThrow('cannot read 3');
    expect(await ask('select 1 as n')).toEqual([{ n: '1' }]);
    expect(pool.totalCount).toBe(1);
  });

  test('fails once, however often it may be sent', async () => {
    await expect(send({ text: failing.rows }, reading)).rejects.toThrow('cannot read 3');
  });

  test('fails its transaction', async () => {
    const work = withPgClient(writing, (client) =>
      client.withTransaction(async (inner) => {
        await inner.query({ text: 'insert into play.things (id) values (5)' });
        await inner.query({ text: failing.rows });
      }),
    );
    await expect(work).rejects.toThrow('cannot read 3');
    expect(await ask('select id from play.things where id = 5')).toEqual([]);
  });
});
