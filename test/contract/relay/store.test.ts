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
import { getSingularSelector, type ReaderFragment, type Variables } from 'relay-runtime';
import { signIn, startApi, type TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { makeRelayClient, type Outcome, type RelayClient } from './client.ts';
import { type Compilation, compileOperations } from './compile.ts';
import { pagesOf } from './pages.ts';

type Row = { id: string; title: string; createdAt: string; updatedAt: string };
type List = {
  documents: {
    __id: string;
    edges: { cursor: string | undefined; node: { id: string; title: string } | null }[];
    pageInfo: object;
  };
};

const alice = { userId: 'user_alice', orgId: 'org_a' };
const complaints = jest.spyOn(console, 'error');

let database: TestDatabase;
let api: TestApi;
let compiled: Compilation;
let token: string;
let client: RelayClient;
let listFragment: ReaderFragment;
let rowFragment: ReaderFragment;
/** What the query was answered: the pointer of the list's fragment. */
let root: unknown;

beforeAll(async () => {
  database = await openTestDatabase();
  await database.provision(alice);
  await database.provision({ userId: 'user_bob', orgId: 'org_a' });
  api = await startApi(database);
  compiled = await compileOperations();
  token = await signIn({ user: 'user_alice', org: 'org_a' });
  listFragment = await compiled.fragment('documentList_query');
  rowFragment = await compiled.fragment('documentList_row');
});
afterAll(async () => {
  await compiled.close();
  await api.close();
  await database.close();
});
beforeEach(async () => {
  await database.superuser.query('delete from app_public.documents');
  await database.superuser.query(
    `insert into app_public.documents (org_id, owner_id, title, created_at)
     select 'org_a', 'user_alice', 'Document ' || n, now() - n * interval '1 minute'
     from generate_series(1, 8) as n`,
  );
  client = makeRelayClient(api, token);
  root = await client.fetch(await compiled.request('documentListQuery'), { first: 5 });
});
afterEach(() => {
  // Where Relay says what it did not expect of an answer.
  expect(complaints.mock.calls).toEqual([]);
});

describe('a list in the store', () => {
  test('begins with a document added by @prependEdge, which the server lists alike', async () => {
    const outcome = await commit('Prepend', { input: newDocument, connections: [list().__id] });
    expect(outcome).toMatchObject({ ended: 'completed', errors: null });
    expect(titles()).toEqual(['New', ...first(5)]);
    const fresh = makeRelayClient(api, token);
    const answer = await fresh.fetch(await compiled.request('documentListQuery'), { first: 1 });
    const [added] = list().edges;
    const [listed] = fresh.read<List>(listFragment, answer).documents.edges;
    expect(brief(added)).toEqual(brief(listed));
    expect(client.read(rowFragment, added?.node)).toEqual(fresh.read(rowFragment, listed?.node));
  });

  test('ends with a document added by @appendEdge', async () => {
    await commit('Append', { input: newDocument, connections: [list().__id] });
    expect(titles()).toEqual([...first(5), 'New']);
  });

  test('begins with a document added by @prependNode', async () => {
    await commit('PrependNode', { input: newDocument, connections: [list().__id] });
    expect(titles()).toEqual(['New', ...first(5)]);
  });

  test('pages on as before, whatever was added', async () => {
    await commit('Prepend', { input: newDocument, connections: [list().__id] });
    await pagesOf(client, listFragment, root).load('forward', 5);
    expect(titles()).toEqual(['New', ...first(8)]);
  });

  test('loses a document deleted by @deleteEdge', async () => {
    const id = list().edges[1]?.node?.id;
    await commit('DeleteEdge', { input: { id }, connections: [list().__id] });
    expect(titles()).toEqual(['Document 1', 'Document 3', 'Document 4', 'Document 5']);
  });

  test('has nothing in the place of a document deleted by @deleteRecord', async () => {
    const id = String(list().edges[1]?.node?.id);
    expect(client.environment.getStore().getSource().get(id)).toMatchObject({ __id: id });
    await commit('DeleteRecord', { input: { id } });
    expect(client.environment.getStore().getSource().get(id)).toBeNull();
    expect(titles()).toEqual(['Document 1', undefined, 'Document 3', 'Document 4', 'Document 5']);
  });
});

describe('a row in the store', () => {
  test('shows an update at once, wherever it is', async () => {
    const pointer = list().edges[1]?.node;
    const before = client.read<Row>(rowFragment, pointer);
    const seen: unknown[] = [];
    const snapshot = client.environment.lookup(getSingularSelector(rowFragment, pointer));
    const subscription = client.environment.subscribe(snapshot, ({ data }) => seen.push(data));
    await commit('Update', { input: { id: before.id, patch: { title: 'Renamed' } } });
    subscription.dispose();

    const after = client.read<Row>(rowFragment, pointer);
    expect(seen).toEqual([after]);
    expect(after).toEqual({ ...before, title: 'Renamed', updatedAt: expect.any(String) });
    expect(Date.parse(after.updatedAt)).toBeGreaterThan(Date.parse(before.updatedAt));
    expect(titles()).toEqual(['Document 1', 'Renamed', 'Document 3', 'Document 4', 'Document 5']);
  });
});

describe('a mutation that is refused', () => {
  const tooLong = 'x'.repeat(501);

  test('of a title that is too long completes with a coded error', async () => {
    await expectUnchanged(async () => {
      const input = { document: { title: tooLong } };
      const outcome = await commit('Prepend', { input, connections: [list().__id] });
      expect(outcome).toEqual({
        ended: 'completed',
        data: { createDocument: null },
        errors: [coded('BAD_USER_INPUT', { field: 'title' }, ['createDocument'])],
      });
    });
  });

  test('of an update with such a title leaves the row as it was', async () => {
    await expectUnchanged(async () => {
      const input = { id: list().edges[0]?.node?.id, patch: { title: tooLong } };
      const outcome = await commit('Update', { input });
      expect(outcome).toEqual({
        ended: 'completed',
        data: { updateDocument: null },
        errors: [coded('BAD_USER_INPUT', { field: 'title' }, ['updateDocument'])],
      });
    });
  });

  test('of a document of somebody else is NOT_FOUND, and the list keeps it', async () => {
    await expectUnchanged(async () => {
      const input = { id: list().edges[2]?.node?.id };
      await database.superuser.query(
        "update app_public.documents set owner_id = 'user_bob' where title = 'Document 3'",
      );
      const outcome = await commit('DeleteEdge', { input, connections: [list().__id] });
      expect(outcome).toEqual({
        ended: 'completed',
        data: { deleteDocument: null },
        errors: [coded('NOT_FOUND', {}, ['deleteDocument'])],
      });
    });
  });

  test('for its variables fails with a coded error', async () => {
    await expectUnchanged(async () => {
      const input = { document: { title: null } };
      const outcome = await commit('Prepend', { input, connections: [list().__id] });
      expect(outcome).toEqual({ ended: 'failed', errors: [coded('BAD_USER_INPUT')] });
    });
  });

  test('for its token fails with UNAUTHENTICATED', async () => {
    const nobody = makeRelayClient(api, 'no-token');
    const mutation = await compiled.request('documentChangesUpdateMutation');
    const outcome = await nobody.commit(mutation, { input: { id: 'any', patch: {} } });
    expect(outcome).toMatchObject({
      ended: 'failed',
      errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
  });
});

const newDocument = { document: { title: 'New' } };

async function commit(name: string, variables: Variables): Promise<Outcome> {
  return client.commit(await compiled.request(`documentChanges${name}Mutation`), variables);
}

/** The list as the store has it. */
function list(): List['documents'] {
  return client.read<List>(listFragment, root).documents;
}

function titles(): (string | undefined)[] {
  return list().edges.map(({ node }) => node?.title);
}

/** Titles of the documents that were there from the start, newest first. */
function first(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `Document ${index + 1}`);
}

function brief(edge: List['documents']['edges'][number] | undefined) {
  return { cursor: edge?.cursor, id: edge?.node?.id };
}

/** Expects every record to be the same after, but for what the mutation itself was answered. */
async function expectUnchanged(work: () => Promise<void>): Promise<void> {
  const before = records();
  await work();
  expect(records()).toEqual(before);
}

function records(): object {
  const all = Object.entries(client.environment.getStore().getSource().toJSON());
  return structuredClone(Object.fromEntries(all.filter(([id]) => !/^client:local:/.test(id))));
}

function coded(code: string, more: { field?: string } = {}, path?: string[]) {
  return {
    message: expect.any(String),
    locations: expect.any(Array),
    ...(path && { path }),
    extensions: { code, requestId: expect.any(String), ...more },
  };
}
