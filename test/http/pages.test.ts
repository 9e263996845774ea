import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Answer, signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let api: TestApi;
let token: string;

/** Newest first, as they should come: `Document 130`, …, `Document 1`. */
const newestFirst = Array.from({ length: 130 }, (_, i) => `Document ${130 - i}`);

beforeAll(async () => {
  database = await openTestDatabase();
  await database.provision({ userId: 'user_ann', orgId: 'org_acme' });
  // Ten share each time, so that ids have to break ties.
  await database.superuser.query(
    `insert into app_public.documents (org_id, owner_id, title, body, id, created_at)
     select 'org_acme', 'user_ann', 'Document ' || n, 'about pages',
       ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
       timestamptz '2026-01-01' + (n - 1) / 10 * interval '1 hour'
     from generate_series(1, 130) as n order by random()`,
  );
  api = await startApi(database);
  token = await signIn({ user: 'user_ann', org: 'org_acme' });
});
afterAll(async () => {
  await api.close();
  await database.close();
});

/** Every place where a page of documents is taken, with its arguments, `…` in the text. */
const places: Record<string, { query: string; page: (data: Answer['data']) => Page }> = {
  documents: { query: '{ documents… #fields }', page: (data) => data.documents },
  searchDocuments: {
    query: '{ searchDocuments(query: "pages", …) #fields }',
    page: (data) => data.searchDocuments,
  },
  'me.documents': { query: '{ me { documents… #fields } }', page: (data) => data.me.documents },
  'document.owner.documents': {
    query: '{ documents(first: 1) { edges { node { owner { documents… #fields } } } } }',
    page: (data) => data.documents.edges[0].node.owner.documents,
  },
};

type Page = {
  edges: { cursor: string; node: { title: string } }[];
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  };
};

const fields =
  '{ edges { cursor node { title } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }';

function ask(place: string, args: string): Promise<Answer> {
  const { query = '' } = places[place] ?? {};
  const inParentheses = query.includes('…)');
  const written = inParentheses || args === '' ? args : `(${args})`;
  return api.request(token, query.replace('…', written).replace('#fields', fields));
}

async function pageOf(place: string, args: string): Promise<Page> {
  const { data, errors } = await ask(place, args);
  expect(errors).toBeUndefined();
  return places[place]?.page(data) as Page;
}

const titlesOf = (page: Page) => page.edges.map(({ node }) => node.title);

describe.each(Object.keys(places))('%s', (place) => {
  test('gives 20 edges by default, newest first', async () => {
    const page = await pageOf(place, '');
    expect(titlesOf(page)).toEqual(newestFirst.slice(0, 20));
    expect(page.pageInfo).toEqual({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: page.edges[0]?.cursor,
      endCursor: page.edges[19]?.cursor,
    });
  });

  test('gives as many as asked for, at most 100', async () => {
    expect(titlesOf(await pageOf(place, 'first: 0'))).toEqual([]);
    expect(titlesOf(await pageOf(place, 'first: 3'))).toEqual(newestFirst.slice(0, 3));
    expect(titlesOf(await pageOf(place, 'first: 100'))).toEqual(newestFirst.slice(0, 100));
  });

  test('gives the last ones in the same order', async () => {
    expect(titlesOf(await pageOf(place, 'last: 3'))).toEqual(newestFirst.slice(-3));
    expect(titlesOf(await pageOf(place, 'last: 100'))).toEqual(newestFirst.slice(-100));
  });

  test('null is the same as nothing', async () => {
    const page = await pageOf(place, 'first: null, last: null, after: null, before: null');
    expect(titlesOf(page)).toEqual(newestFirst.slice(0, 20));
  });

  test.each(['first: 101', 'last: 101', 'first: -1', 'last: -1', 'first: 2147483647'])(
    'refuses %s, and names the argument',
    async (args) => {
      const { errors } = await ask(place, args);
      const [field] = args.split(':');
      expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field } }]);
    },
  );

  test.each(['first: 2147483648', 'first: 1.5', 'first: "3"'])('refuses %s', async (args) => {
    const { errors, status } = await ask(place, args);
    expect(status).toBe(400);
    expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
  });

  test('goes on after a cursor, forward and back, over ties', async () => {
    const seen: string[] = [];
    let after = '';
    for (;;) {
      const page = await pageOf(place, `first: 33${after}`);
      seen.push(...titlesOf(page));
      if (!page.pageInfo.hasNextPage) break;
      after = `, after: "${page.pageInfo.endCursor}"`;
    }
    expect(seen).toEqual(newestFirst);

    const back: string[] = [];
    let before = '';
    for (;;) {
      const page = await pageOf(place, `last: 47${before}`);
      back.unshift(...titlesOf(page));
      if (!page.pageInfo.hasPreviousPage) break;
      before = `, before: "${page.pageInfo.startCursor}"`;
    }
    expect(back).toEqual(newestFirst);
  });

  test('first and last together: the last ones of the first ones', async () => {
    expect(titlesOf(await pageOf(place, 'first: 10, last: 3'))).toEqual(newestFirst.slice(7, 10));
    expect(titlesOf(await pageOf(place, 'first: 3, last: 10'))).toEqual(newestFirst.slice(0, 3));
  });

  test('has no offset, and no nodes beside the edges', async () => {
    expect((await ask(place, 'offset: 1')).errors?.[0]?.message).toContain('"offset"');
    const nodes = places[place]?.query.replace('#fields', '{ nodes { title } }') ?? '';
    const { errors } = await api.request(
      token,
      nodes.replace('…', place === 'searchDocuments' ? 'first: 1' : ''),
    );
    expect(errors?.[0]?.message).toContain('"nodes"');
  });
});

describe('the order of documents', () => {
  test.each(['null', '[]'])('is newest first when orderBy is %s', async (orderBy) => {
    for (const place of ['documents', 'me.documents']) {
      const page = await pageOf(place, `first: 30, orderBy: ${orderBy}`);
      expect(titlesOf(page)).toEqual(newestFirst.slice(0, 30));
      const next = await pageOf(
        place,
        `first: 30, orderBy: ${orderBy}, after: "${page.pageInfo.endCursor}"`,
      );
      expect(titlesOf(next)).toEqual(newestFirst.slice(30, 60));
    }
  });

  test('is newest first when a variable for it is missing or null', async () => {
    const query = `query ($by: [DocumentOrderBy!]) { documents(first: 3, orderBy: $by) { edges { node { title } } } }`;
    for (const variables of [{}, { by: null }, { by: [] }]) {
      const { data } = await api.request(token, query, variables);
      expect(titlesOf(data.documents)).toEqual(newestFirst.slice(0, 3));
    }
  });

  test('is oldest first on request, page by page over ties', async () => {
    const seen: string[] = [];
    let after = '';
    for (const _page of [1, 2, 3]) {
      const page = await pageOf('documents', `first: 50, orderBy: CREATED_AT_ASC${after}`);
      seen.push(...titlesOf(page));
      after = `, after: "${page.pageInfo.endCursor}"`;
    }
    // The times are ascending; documents of one time come in a stable order.
    const hours = seen.map((title) =>
      Math.floor((Number(title.replace('Document ', '')) - 1) / 10),
    );
    expect(hours).toEqual([...hours].sort((a, b) => a - b));
    expect(new Set(seen).size).toBe(130);
  });

  test('a cursor of a search is refused by a list', async () => {
    const { pageInfo } = await pageOf('searchDocuments', 'first: 1');
    const { errors } = await ask('documents', `first: 1, after: "${pageInfo.endCursor}"`);
    expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
  });

  test('a variable over the limit is refused as a literal is', async () => {
    const query = `query ($n: Int) { documents(first: $n) { edges { cursor } } me { documents(last: $n) { edges { cursor } } } }`;
    const { errors } = await api.request(token, query, { n: 101 });
    expect(errors?.map(({ extensions }) => [extensions.code, extensions.field]).sort()).toEqual([
      ['BAD_USER_INPUT', 'first'],
      ['BAD_USER_INPUT', 'last'],
    ]);
  });
});
