import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  alice,
  aliceAlone,
  ask,
  bob,
  carol,
  commitAs,
  editor,
  nobody,
  provisionAll,
} from '../callers.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
  await commitAs(database, alice, (client) =>
    client.query(`
      insert into app_public.documents (title, body) values
        ('Spring release', 'What we ship, and when.'),
        ('Notes', 'The spring release is late. Spring cleaning comes first.'),
        ('Hiring', 'Two engineers in spring.'),
        ('Release notes', 'Nothing yet.'),
        ('Çatalhöyük', 'Naïve café')`),
  );
  await commitAs(database, carol, (client) =>
    client.query("insert into app_public.documents (title) values ('Spring release of Globex')"),
  );
});
afterAll(() => database.close());

/** Titles as the API orders them: best match first. */
async function search(query: string, caller = alice): Promise<string[]> {
  const { rows } = await ask(
    database,
    caller,
    'select title from app_public.search_documents($1) d order by app_hidden.document_rank(d, $1) desc, id desc',
    [query],
  );
  return rows.map(({ title }) => title);
}

describe('search', () => {
  test('finds a word in title or body, title first', async () => {
    expect(await search('spring')).toEqual(['Spring release', 'Notes', 'Hiring']);
  });

  test('finds other forms of a word, in any case', async () => {
    expect(await search('ENGINEER ships')).toEqual([]);
    expect(await search('ENGINEER')).toEqual(['Hiring']);
    expect(await search('shipping')).toEqual(['Spring release']);
  });

  test('wants every word', async () => {
    expect(await search('spring engineers')).toEqual(['Hiring']);
  });

  test('takes "exact phrases"', async () => {
    expect(await search('"notes release"')).toEqual([]);
    expect(await search('"release notes"')).toEqual(['Release notes']);
  });

  test('takes -not', async () => {
    expect(await search('spring -release')).toEqual(['Hiring']);
    expect(await search('spring -"spring release"')).toEqual(['Hiring']);
  });

  test('takes or', async () => {
    expect((await search('engineers or cleaning')).sort()).toEqual(['Hiring', 'Notes']);
  });

  test('finds words beyond ASCII', async () => {
    expect(await search('çatalhöyük')).toEqual(['Çatalhöyük']);
    expect(await search('NAÏVE')).toEqual(['Çatalhöyük']);
  });

  test.each(['', ' ', 'the', 'of and', '?!', '""', '-', '😀'])(
    'finds nothing for what holds no word: %j',
    async (query) => {
      expect(await search(query)).toEqual([]);
    },
  );

  test('finds nothing for null', async () => {
    const sql = 'select from app_public.search_documents(null)';
    expect((await ask(database, alice, sql)).rowCount).toBe(0);
  });

  test('stays inside the organization of the caller', async () => {
    expect(await search('spring', editor)).toHaveLength(3);
    expect(await search('spring', bob)).toEqual([]);
    expect(await search('spring', carol)).toEqual(['Spring release of Globex']);
    expect(await search('spring or globex or release', aliceAlone)).toEqual([]);
    expect(await search('spring or -spring', nobody)).toEqual([]);
  });
});

describe('the rank', () => {
  const rank = async (query: string, title: string): Promise<number> => {
    const sql = `select app_hidden.document_rank(d, $1)::float8 as rank from app_public.documents d where title = $2`;
    return (await ask(database, alice, sql, [query, title])).rows[0].rank;
  };

  test('is higher for a title than for a body, and for more occurrences', async () => {
    const ranks = [];
    for (const title of ['Spring release', 'Notes', 'Hiring', 'Çatalhöyük']) {
      ranks.push(await rank('spring', title));
    }
    expect(ranks).toEqual([...ranks].sort((a, b) => b - a));
    expect(new Set(ranks).size).toBe(ranks.length);
    expect(ranks.at(-1)).toBe(0);
  });

  test('is null only where there is no query', async () => {
    expect(await rank('', 'Notes')).toBe(0);
    const sql =
      'select app_hidden.document_rank(d, null) as rank from app_public.documents d limit 1';
    expect((await ask(database, alice, sql)).rows).toEqual([{ rank: null }]);
  });
});

/** As much of a repeated text as a search may have. */
const limit = 1_000;
const much = (text: string) => text.repeat(limit).slice(0, limit);
const words = (separator: string) =>
  Array.from({ length: limit }, (_, i) => `${i.toString(36)}q`).join(separator);

describe('a hostile query', () => {
  test.each([
    ['an unbalanced quote', '"spring release'],
    ['two quotes and a half', '"spring" "release'],
    ['an apostrophe', "spring' release"],
    ['SQL', "'; drop table app_public.documents; --"],
    ['operators of tsquery', 'spring & | ! <-> <2> ( ) :* :A \\ spring'],
    ['an operator and nothing else', '!'],
    ['weights', 'spring:ABCD'],
    ['format characters', '\u202espring\u200b\ufeff'],
    ['a lone surrogate', '\ud800spring'],
    ['white space', '\t\n\v\f\r\u00a0spring\u2028'],
    ['minus signs with quotes', much('-"')],
    ['minus signs with empty quotes', much('-""')],
    ['minus signs that are excluded', much('- -spring ')],
    ['quotes', much('"')],
    ['one word again and again', much('spring ')],
    ['different words', words(' ').slice(0, limit)],
    ['alternatives', words(' or ').slice(0, limit)],
    ['exclusions', words(' -').slice(0, limit)],
    ['a long phrase', `"${words(' ').slice(0, limit - 2)}"`],
    ['a hyphenated word', words('-').slice(0, limit)],
    ['a long word', much('x')],
    ['emoji', '😀'.repeat(limit)],
    ['a link', much('https://example.com/a?b=c ')],
    ['nothing but `or`', much('or ')],
  ])('of 1 000 characters raises nothing: %s', async (_, query) => {
    const { rows } = await ask(
      database,
      alice,
      `select
         (select count(*)::int from app_public.search_documents($1)) as found,
         (select count(app_hidden.document_rank(d, $1))::int from app_public.documents d) as ranked`,
      [query],
    );
    expect(rows).toEqual([{ found: expect.any(Number), ranked: 5 }]);
  });

  test.each([
    ['spaces', ' '.repeat(limit + 1)],
    ['words', 'spring '.repeat(14_000)],
    ['quotes', '"'.repeat(100_000)],
    ['emoji', '😀'.repeat(25_000)],
  ])('that is longer is refused as what it is, an error of the input: %s', async (_, query) => {
    await expect(search(query)).rejects.toMatchObject({ code: 'RW400', hint: 'query' });
  });

  test.each([
    ['33 minus signs', `${'-'.repeat(33)}spring`],
    ['1 000 minus signs', much('-')],
    ['minus signs with spaces', much('- ')],
    ['minus signs with punctuation', much('-(')],
  ])('of more operators than Postgres can parse is refused alike: %s', async (_, query) => {
    await expect(search(query)).rejects.toMatchObject({ code: 'RW400', hint: 'query' });
  });

  test('with a NUL character is refused as text', async () => {
    await expect(search('a\0b')).rejects.toMatchObject({ code: '22021' });
  });
});
