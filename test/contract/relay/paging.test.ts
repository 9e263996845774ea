import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals';
import type { Direction, Variables } from 'relay-runtime';
import { startApi, type TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { makeRelayClient } from './client.ts';
import { type Compilation, compileOperations } from './compile.ts';
import { type Edge, type Page, type Pages, pagesOf } from './pages.ts';
import {
  type ListSql,
  makeShelf,
  rememberDocuments,
  type Shelf,
  type TitledNode,
} from './shelf.ts';

const pageSize = 10;
const directions = ['forward', 'backward'] as const;

/** When the n-th document was created, in SQL. */
const moments = {
  'a minute apart': "now() - n * interval '1 minute'",
  'a microsecond apart': "'2026-01-01Z'::timestamptz + n * interval '1 microsecond'",
  'at the same moment': "'2026-01-01Z'::timestamptz",
};

const newestFirst: ListSql = { where: 'true', orderBy: 'd.created_at desc, d.id desc' };

let database: TestDatabase;
let api: TestApi;
let compiled: Compilation;
let shelf: Shelf;
const complaints = jest.spyOn(console, 'error');

beforeAll(async () => {
  database = await openTestDatabase();
  await rememberDocuments(database);
  api = await startApi(database);
  compiled = await compileOperations();
});
afterAll(async () => {
  await compiled.close();
  await api.close();
  await database.close();
});
beforeEach(async () => {
  shelf = await makeShelf(database, api);
});
afterEach(() => {
  // Where Relay says what it did not expect of an answer.
  expect(complaints.mock.calls).toEqual([]);
});

describe('a list at rest', () => {
  for (const [apart, createdAt] of Object.entries(moments)) {
    test(`of documents created ${apart} is the same in both directions, cursors included`, async () => {
      await shelf.fill(100, createdAt);
      const forward = await readAll(await openList('forward'), 'forward');
      const backward = await readAll(await openList('backward'), 'backward');
      expect(forward.map(titleOf)).toEqual(await shelf.titles(newestFirst));
      expect(backward.map(brief)).toEqual(forward.map(brief));
    });
  }

  for (const count of [95, 100]) {
    test(`says of each page of ${count} documents where it lies, paging forward`, async () => {
      await shelf.fill(count, moments['at the same moment']);
      const pages = await readPages(await openList('forward'), 'forward');
      expect(pages.map(({ pageInfo }) => pageInfo.hasNextPage)).toEqual([...yes(9), false]);
      expect(pages[0]?.pageInfo.hasPreviousPage).toBe(false);
      for (const page of pages) expectCursors(page);
    });

    test(`says of each page of ${count} documents where it lies, paging backward`, async () => {
      await shelf.fill(count, moments['at the same moment']);
      const pages = await readPages(await openList('backward'), 'backward');
      expect(pages.map(({ pageInfo }) => pageInfo.hasPreviousPage)).toEqual([...yes(9), false]);
      expect(pages[0]?.pageInfo.hasNextPage).toBe(false);
      for (const page of pages) expectCursors(page);
    });
  }

  test('leads back to where a reader came from', async () => {
    await shelf.fill(100, moments['at the same moment']);
    const all = (await readAll(await openList('forward'), 'forward')).map(brief);
    const back = await openList('backward', { before: all[50]?.cursor });
    expect(back.connection().edges.map(brief)).toEqual(all.slice(40, 50));
    await back.load('backward', pageSize);
    expect(back.connection().edges.map(brief)).toEqual(all.slice(30, 50));
  });

  test('has neither pages nor cursors when it is empty', async () => {
    for (const direction of directions) {
      expect((await openList(direction)).connection()).toMatchObject({
        edges: [],
        pageInfo: {
          hasNextPage: false,
          hasPreviousPage: false,
          startCursor: null,
          endCursor: null,
        },
      });
    }
  });
});

describe('a list that changes between pages', () => {
  for (const direction of directions) {
    for (const [apart, createdAt] of Object.entries(moments)) {
      test(`misses and doubles none of documents created ${apart}, paging ${direction}`, async () => {
        await shelf.fill(100, createdAt);
        await expectWhole(await openList(direction), direction, newestFirst);
      });
    }

    test(`misses and doubles none oldest first, paging ${direction}`, async () => {
      await shelf.fill(100, moments['at the same moment']);
      const pages = await openList(direction, { orderBy: ['CREATED_AT_ASC'] });
      await expectWhole(pages, direction, { where: 'true', orderBy: 'd.created_at, d.id' });
    });

    test(`misses and doubles none below a node, paging ${direction}`, async () => {
      await shelf.fill(100, moments['at the same moment']);
      const pages = await open(
        'userDocumentsQuery',
        'userDocuments_user',
        firstPage(direction),
        (data: { me: unknown }) => data.me,
      );
      await expectWhole(pages, direction, { ...newestFirst, where: "d.owner_id = 'user_alice'" });
    });

    test(`misses and doubles none of what a search found, paging ${direction}`, async () => {
      // Seven ranks, each shared by many.
      const body = "repeat('apple ', 1 + n % 7) || repeat('pear ', n % 3)";
      await shelf.fill(100, moments['at the same moment'], body);
      const variables = firstPage(direction, { query: 'apple' });
      const pages = await open('documentSearchQuery', 'documentSearch_query', variables);
      await expectWhole(pages, direction, {
        where: "d.search @@ websearch_to_tsquery('english', 'apple')",
        orderBy: `app_hidden.document_rank(row(d.*)::app_public.documents, 'apple') desc,
          d.created_at desc, d.id desc`,
      });
    });
  }
});

/** Reads a list while it changes between its pages, and expects it whole and in order. */
async function expectWhole(
  pages: Pages<TitledNode>,
  direction: Direction,
  list: ListSql,
): Promise<void> {
  const disturb = (last: Edge<TitledNode>) => shelf.disturb(list, direction, last);
  const read = (await readAll(pages, direction, disturb)).map(titleOf);
  const owed = await shelf.owed(list, direction);
  expect(owed.filter((title) => !read.includes(title))).toEqual([]);
  expect(read.filter((title, index) => read.indexOf(title) !== index)).toEqual([]);
  const ever = await shelf.everTitles(list);
  expect(read).toEqual(ever.filter((title) => read.includes(title)));
  expect(pages.connection().edges.map(titleOf)).toEqual(read);
  // Most have been there throughout, so that this means something.
  expect(owed.length).toBeGreaterThan(60);
}

/** Reads to the end, or to the start; resolves to the edges of the wire in the list's order. */
async function readAll(
  pages: Pages<TitledNode>,
  direction: Direction,
  betweenPages?: (last: Edge<TitledNode>) => Promise<void>,
): Promise<Edge<TitledNode>[]> {
  const read = await readPages(pages, direction, betweenPages);
  if (direction === 'backward') read.reverse();
  return read.flatMap(({ edges }) => edges);
}

/** Reads to the end, or to the start; resolves to the pages of the wire as they came. */
async function readPages(
  pages: Pages<TitledNode>,
  direction: Direction,
  betweenPages?: (last: Edge<TitledNode>) => Promise<void>,
): Promise<Page<TitledNode>[]> {
  const read = [pages.connection()];
  for (;;) {
    const { hasNextPage, hasPreviousPage } = pages.connection().pageInfo;
    if (!(direction === 'forward' ? hasNextPage : hasPreviousPage)) return read;
    const last = read.at(-1)?.edges.at(direction === 'forward' ? -1 : 0);
    if (last) await betweenPages?.(last);
    read.push(await pages.load(direction, pageSize));
  }
}

/** Opens the list of documents at its start, or at its end. */
function openList(direction: Direction, more: Variables = {}): Promise<Pages<TitledNode>> {
  return open('documentListQuery', 'documentList_query', firstPage(direction, more));
}

/** Sends a query whose data, or a part of it, is what a fragment with a connection is on. */
async function open<Data>(
  query: string,
  fragment: string,
  variables: Variables,
  on: (data: Data) => unknown = (data) => data,
): Promise<Pages<TitledNode>> {
  const client = makeRelayClient(api, shelf.token);
  const data = await client.fetch<Data>(await compiled.request(query), variables);
  return pagesOf<TitledNode>(client, await compiled.fragment(fragment), on(data));
}

function firstPage(direction: Direction, more: Variables = {}): Variables {
  return { [direction === 'forward' ? 'first' : 'last']: pageSize, ...more };
}

function expectCursors({ edges, pageInfo }: Page<TitledNode>): void {
  expect(pageInfo.startCursor).toBe(edges[0]?.cursor);
  expect(pageInfo.endCursor).toBe(edges.at(-1)?.cursor);
}

const titleOf = ({ node }: Edge<TitledNode>) => node.title;
const brief = ({ cursor, node }: Edge<TitledNode>) => ({ cursor, title: node.title });
const yes = (count: number) => Array<boolean>(count).fill(true);
