import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { getRefetchMetadata } from 'relay-runtime';
import { signIn, startApi, type TestApi } from '../../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { makeRelayClient, type RelayClient } from './client.ts';
import { type Compilation, compileOperations } from './compile.ts';
import { pagesOf } from './pages.ts';

/** What `nodesQuery` fetches: a pointer for the fragment of each type. */
type Nodes = {
  me: object;
  viewer: { organization: { memberships: { edges: { node: object }[] } } };
  documents: { edges: { node: object }[] };
};

/** A type's fragment, and where `nodesQuery` has a node of it. */
const nodeTypes: [string, (nodes: Nodes) => object | undefined][] = [
  ['user', ({ me }) => me],
  ['organization', ({ viewer }) => viewer.organization],
  ['membership', ({ viewer }) => viewer.organization.memberships.edges[0]?.node],
  ['document', ({ documents }) => documents.edges[0]?.node],
];

const complaints = jest.spyOn(console, 'error');

let database: TestDatabase;
let api: TestApi;
let compiled: Compilation;
let alice: string;
let stranger: string;

beforeAll(async () => {
  database = await openTestDatabase();
  api = await startApi(database);
  compiled = await compileOperations();
  alice = await signIn({ user: 'user_alice', org: 'org_a', email: 'alice@a.test', name: 'Alice' });
  stranger = await signIn({ user: 'user_carol', org: 'org_b' });
});
afterAll(async () => {
  await compiled.close();
  await api.close();
  await database.close();
});
afterEach(() => {
  // Where Relay says what it did not expect of an answer.
  expect(complaints.mock.calls).toEqual([]);
});

describe('a node fetched again by its id alone', () => {
  for (const [type, nodeIn] of nodeTypes) {
    test(`is the same ${type}`, async () => {
      await createDocument();
      const fragment = await compiled.fragment(`nodes_${type}`);
      const client = makeRelayClient(api, alice);
      const nodes = await client.fetch<Nodes>(await compiled.request('nodesQuery'));
      const first = client.read<{ id: string }>(fragment, nodeIn(nodes));

      const { refetchableRequest, identifierInfo } = getRefetchMetadata(fragment, 'refetch');
      expect(refetchableRequest.params.text).toContain('node(id: $id)');
      expect(identifierInfo).toEqual({ identifierField: 'id', identifierQueryVariableName: 'id' });
      // With a store of its own, so that everything has to come over the wire.
      const again = makeRelayClient(api, alice);
      const { node } = await again.fetch<{ node: object }>(refetchableRequest, { id: first.id });
      expect(again.read(fragment, node)).toEqual(first);
    });
  }

  test('is a member of the organization, page by page, each once', async () => {
    for (let n = 0; n < 25; n++) {
      await database.provision({ userId: `user_member_${n}`, orgId: 'org_a' });
    }
    const client = makeRelayClient(api, alice);
    const query = await compiled.request('organizationMembersQuery');
    const { viewer } = await client.fetch<{ viewer: { organization: object } }>(query, {
      first: 10,
    });
    const fragment = await compiled.fragment('organizationMembers_organization');
    const members = pagesOf<{ user: { id: string } }>(client, fragment, viewer.organization);
    while (members.connection().pageInfo.hasNextPage) await members.load('forward', 10);
    const users = members.connection().edges.map(({ node }) => node.user.id);
    expect(new Set(users).size).toBe(26);
    expect(members.connection()).toMatchObject({ totalCount: 26 });
  });
});

describe('a node that is not the caller’s to see', () => {
  test('is null, as one that does not exist', async () => {
    const documentId = await createDocument();
    const malformed = Buffer.from(JSON.stringify(['Document', 'no-uuid'])).toString('base64');
    for (const id of [documentId, malformed, 'nonsense', '']) {
      expect(await anyNode(makeRelayClient(api, stranger), id)).toBeNull();
    }
  });

  test('is null once it is deleted', async () => {
    const documentId = await createDocument();
    const client = makeRelayClient(api, alice);
    expect(await anyNode(client, documentId)).toMatchObject({ id: documentId, title: 'Plan' });
    const mutation = await compiled.request('documentChangesDeleteRecordMutation');
    await client.commit(mutation, { input: { id: documentId } });
    expect(await anyNode(client, documentId)).toBeNull();
  });
});

/** Writes a document of the caller's, and resolves to its id. */
async function createDocument(): Promise<string> {
  const { data } = await api.request(
    alice,
    'mutation { createDocument(input: { document: { title: "Plan", body: "Soon" } }) { document { id } } }',
  );
  return data.createDocument.document.id;
}

async function anyNode(client: RelayClient, id: string): Promise<unknown> {
  const { node } = await client.fetch<{ node: unknown }>(await compiled.request('nodesAnyQuery'), {
    id,
  });
  expect(client.exchanges.at(-1)?.answer.errors).toBeUndefined();
  return node;
}
