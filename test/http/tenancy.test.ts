import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let api: TestApi;
/** Ann, Bob and the others of Acme; Zoe of Globex. */
let ann: string;
let bob: string;
/** A manager of Acme's documents. */
let max: string;
let zoe: string;
/** Ann's document. */
let id: string;

beforeAll(async () => {
  database = await openTestDatabase();
  api = await startApi(database);
  ann = await signIn({ user: 'user_ann', org: 'org_acme' });
  bob = await signIn({ user: 'user_bob', org: 'org_acme' });
  max = await signIn({ user: 'user_max', org: 'org_acme', permissions: ['org:docs:manage'] });
  zoe = await signIn({ user: 'user_zoe', org: 'org_globex', role: 'admin' });
  id = await write(ann, 'A plan about zeppelins');
  await write(zoe, 'Notes about balloons');
});
afterAll(async () => {
  await api.close();
  await database.close();
});

const titles = '{ edges { node { title } } }';
const update =
  'mutation ($id: ID!, $title: String = "Changed") { updateDocument(input: {id: $id, patch: {title: $title}}) { document { title } } }';
const remove = 'mutation ($id: ID!) { deleteDocument(input: {id: $id}) { deletedDocumentId } }';

describe('a caller of another organization', () => {
  test('cannot read a document by its id', async () => {
    for (const query of [
      'query ($id: ID!) { found: document(id: $id) { title } }',
      'query ($id: ID!) { found: node(id: $id) { ... on Document { title } } }',
    ]) {
      expect((await api.request(zoe, query, { id })).data).toEqual({ found: null });
      expect((await api.request(max, query, { id })).data.found).not.toBeNull();
    }
  });

  test('cannot change or delete it', async () => {
    for (const mutation of [update, remove]) {
      const { data, errors } = await api.request(zoe, mutation, { id });
      expect(Object.values(data)).toEqual([null]);
      expect(errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
    expect(await readTitle(ann, id)).toBe('A plan about zeppelins');
  });

  test('sees it in no list, search or count', async () => {
    const query = `{ documents ${titles}
      searchDocuments(query: "zeppelins or balloons") ${titles}
      me { documents ${titles} } organizations { edges { node { slug } } } }`;
    const { data } = await api.request(zoe, query);
    const hers = { edges: [{ node: { title: 'Notes about balloons' } }] };
    expect(data).toEqual({
      documents: hers,
      searchDocuments: hers,
      me: { documents: hers },
      organizations: { edges: [{ node: { slug: 'globex' } }] },
    });
  });

  test('sees neither its owner nor its members, by id or as a condition', async () => {
    const { data } = await api.request(ann, '{ me { id } viewer { organization { id } } }');
    const userId: string = data.me.id;
    const orgId: string = data.viewer.organization.id;
    const query = `query ($userId: ID!, $orgId: ID!) {
      user(id: $userId) { name } organization(id: $orgId) { name }
      documents(condition: {owner: $userId}) ${titles}
      me { memberships(condition: {organization: $orgId}) { totalCount } } }`;
    expect((await api.request(zoe, query, { userId, orgId })).data).toEqual({
      user: null,
      organization: null,
      documents: { edges: [] },
      me: { memberships: { totalCount: 0 } },
    });
  });
});

describe('a member', () => {
  test('neither reads, finds, changes nor deletes what others of the organization wrote', async () => {
    expect(await readTitle(bob, id)).toBeUndefined();
    const { data } = await api.request(
      bob,
      `{ documents ${titles} searchDocuments(query: "zeppelins") ${titles} }`,
    );
    expect(data).toEqual({ documents: { edges: [] }, searchDocuments: { edges: [] } });
    for (const mutation of [update, remove]) {
      const { errors } = await api.request(bob, mutation, { id });
      expect(errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
    expect(await readTitle(max, id)).toBe('A plan about zeppelins');
  });

  test('reads, changes and deletes what is their own', async () => {
    const mine = await write(bob, 'Draft');
    const changed = await api.request(bob, update, { id: mine, title: 'Final' });
    expect(changed.data.updateDocument.document).toEqual({ title: 'Final' });
    const deleted = await api.request(bob, remove, { id: mine });
    expect(deleted.data.deleteDocument).toEqual({ deletedDocumentId: mine });
    expect(await readTitle(bob, mine)).toBeUndefined();
  });
});

describe('the documents of others may be read, changed and deleted by', () => {
  test.each([
    ['an administrator', { role: 'admin' }],
    [
      'an administrator, as Clerk’s older format says it',
      { role: 'org:admin', version: 1 as const },
    ],
    ['a holder of org:docs:manage', { role: 'member', permissions: ['org:docs:manage'] }],
  ])('%s', async (_, how) => {
    const theirs = await write(ann, 'Ann’s draft');
    const manager = await signIn({ user: 'user_max', org: 'org_acme', ...how });
    expect(await readTitle(manager, theirs)).toBe('Ann’s draft');
    const changed = await api.request(manager, update, { id: theirs });
    expect(changed).toMatchObject({ data: { updateDocument: { document: { title: 'Changed' } } } });
    const owner =
      'query ($id: ID!) { document(id: $id) { owner { memberships { totalCount } } } me { id } }';
    expect((await api.request(manager, owner, { id: theirs })).errors).toBeUndefined();
    const deleted = await api.request(manager, remove, { id: theirs });
    expect(deleted.data.deleteDocument).toEqual({ deletedDocumentId: theirs });
  });

  test.each([
    ['a holder of another permission', { permissions: ['org:docs:read', 'org:files:manage'] }],
    ['a role that only sounds like it', { role: 'administrator' }],
  ])('but not by %s', async (_, how) => {
    const other = await signIn({ user: 'user_max', org: 'org_acme', ...how });
    const { errors } = await api.request(other, update, { id });
    expect(errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    expect(await readTitle(other, id)).toBeUndefined();
  });
});

describe('a user of two organizations', () => {
  test('is in the one the token names, and nowhere else', async () => {
    const atAcme = await signIn({ user: 'user_eve', org: 'org_acme', role: 'member' });
    const atGlobex = await signIn({ user: 'user_eve', org: 'org_globex', role: 'admin' });
    const first = await write(atAcme, 'Eve at Acme');
    const second = await write(atGlobex, 'Eve at Globex');
    const query = `{ viewer { role organization { slug } }
      me { documents ${titles} memberships(orderBy: CREATED_AT_ASC) { edges { node { organization { slug } role } } } } }`;
    const memberships = {
      edges: [
        { node: { organization: { slug: 'acme' }, role: 'member' } },
        { node: { organization: { slug: 'globex' }, role: 'admin' } },
      ],
    };
    // Turn and turn about, so that nothing of the one may stay for the other.
    for (const _round of [1, 2, 3]) {
      expect((await api.request(atAcme, query)).data).toEqual({
        viewer: { role: 'member', organization: { slug: 'acme' } },
        me: { documents: { edges: [{ node: { title: 'Eve at Acme' } }] }, memberships },
      });
      expect((await api.request(atGlobex, query)).data).toEqual({
        viewer: { role: 'admin', organization: { slug: 'globex' } },
        me: { documents: { edges: [{ node: { title: 'Eve at Globex' } }] }, memberships },
      });
    }
    expect(await readTitle(atGlobex, first)).toBeUndefined();
    expect(await readTitle(atAcme, second)).toBeUndefined();
  });

  test('is told apart when requests of both come at once', async () => {
    const tokens = { acme: max, globex: zoe };
    const query = `{ viewer { organization { slug } } documents(first: 100) { edges { node { owner { id } title } } } }`;
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const slug = i % 2 === 0 ? ('acme' as const) : ('globex' as const);
        return { slug, data: (await api.request(tokens[slug], query)).data };
      }),
    );
    for (const { slug, data } of answers) {
      expect(data.viewer.organization.slug).toBe(slug);
      const text = JSON.stringify(data.documents);
      expect(text.includes('balloons')).toBe(slug === 'globex');
      expect(text.includes('zeppelins')).toBe(slug === 'acme');
    }
  });
});

async function write(as: string, title: string): Promise<string> {
  const mutation =
    'mutation ($title: String!) { createDocument(input: {document: {title: $title}}) { document { id } } }';
  const { data } = await api.request(as, mutation, { title });
  return data.createDocument.document.id;
}

async function readTitle(as: string, document: string): Promise<string | undefined> {
  const query = 'query ($id: ID!) { document(id: $id) { title } }';
  return (await api.request(as, query, { id: document })).data.document?.title;
}
