/** Cursors and ids in the member's organization; the member's own, and one of the member's documents. */
export type Places = {
  row20: string;
  row1500: string;
  documentId: string;
  memberId: string;
  ownDocumentId: string;
};

/** What is planned, and what it may cost. */
export type Operation = {
  name: string;
  query: string;
  variables?: (places: Places) => Record<string, unknown>;
  /** The most 8 KB pages it may touch, cached or not. */
  maxBuffers: number;
  /** How many statements it takes; one, where nothing is said. */
  statements?: number;
};

/** A page, forward or back. */
export const page = /* GraphQL */ `
  query ($first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    documents(first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { id title createdAt } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`;
/** 21 rows, each on a page of its own, and the way down the index. */
const pageBuffers = 21 + 5;

/** The operations whose plans are kept. */
export const operations: Operation[] = [
  { name: 'page', query: page, maxBuffers: pageBuffers },
  {
    name: 'next-page',
    query: page,
    variables: ({ row20 }) => ({ after: row20 }),
    maxBuffers: pageBuffers,
  },
  {
    name: 'next-page-at-row-1500',
    query: page,
    variables: ({ row1500 }) => ({ after: row1500 }),
    maxBuffers: pageBuffers,
  },
  {
    name: 'previous-page-at-row-1500',
    query: page,
    variables: ({ row1500 }) => ({ before: row1500, last: 20 }),
    maxBuffers: pageBuffers,
  },
  {
    name: 'page-with-owners-and-their-documents',
    query: /* GraphQL */ `{
      documents {
        edges {
          cursor
          node { id title createdAt owner { id name documents(first: 3) { edges { cursor node { id title } } } } }
        }
        pageInfo { hasNextPage endCursor }
      }
    }`,
    // Each of eleven owners: the user, the membership. Each of 21 rows: three documents.
    maxBuffers: pageBuffers + 11 * 9 + 21 * 7,
  },
  {
    name: 'node',
    query: 'query ($id: ID!) { node(id: $id) { id ... on Document { title body } } }',
    variables: ({ documentId }) => ({ id: documentId }),
    maxBuffers: 4,
  },
  {
    name: 'node-with-owner',
    query: 'query ($id: ID!) { node(id: $id) { id ... on Document { title owner { id name } } } }',
    variables: ({ documentId }) => ({ id: documentId }),
    maxBuffers: 4 + 9,
  },
  {
    name: 'me',
    query: '{ me { id name email } }',
    maxBuffers: 3,
  },
  {
    name: 'viewer',
    query: '{ viewer { role permissions user { name } organization { name kind } } }',
    maxBuffers: 3,
    statements: 2,
  },
  {
    name: 'organizations',
    query: /* GraphQL */ `{
      organizations {
        edges { node { id name memberships { totalCount edges { node { role user { name } } } } } }
      }
    }`,
    maxBuffers: 100,
  },
  {
    name: 'by-owner',
    query: /* GraphQL */ `query ($owner: ID!) {
      documents(condition: { owner: $owner }, orderBy: [CREATED_AT_ASC]) {
        edges { cursor node { id title } }
      }
    }`,
    variables: ({ memberId }) => ({ owner: memberId }),
    maxBuffers: pageBuffers,
  },
  {
    name: 'files',
    query: /* GraphQL */ `{
      files {
        edges { cursor node { id fileName status document { id } } }
        pageInfo { hasNextPage endCursor }
      }
    }`,
    // Of each row the document, twice: to know whether it may be read, and to show it.
    maxBuffers: pageBuffers + 21 * 8,
  },
  {
    name: 'documents-with-files',
    query: /* GraphQL */ `{
      documents { edges { cursor node { id files(first: 3) { edges { cursor node { id fileName } } } } } }
    }`,
    maxBuffers: pageBuffers + 21 * 8,
  },
  {
    name: 'create',
    query: /* GraphQL */ `mutation {
      createDocument(input: { document: { title: "New", body: "Text" } }) { document { id title } }
    }`,
    maxBuffers: 40,
  },
  {
    name: 'update',
    query: /* GraphQL */ `mutation ($id: ID!) {
      updateDocument(input: { id: $id, patch: { title: "Better" } }) { document { id title } }
    }`,
    variables: ({ ownDocumentId }) => ({ id: ownDocumentId }),
    maxBuffers: 40,
  },
  {
    name: 'delete',
    query: /* GraphQL */ `mutation ($id: ID!) {
      deleteDocument(input: { id: $id }) { deletedDocumentId }
    }`,
    variables: ({ ownDocumentId }) => ({ id: ownDocumentId }),
    maxBuffers: 12,
  },
  {
    name: 'search',
    query: /* GraphQL */ `{
      searchDocuments(query: "topic7 spring") {
        edges { cursor node { id title createdAt } }
        pageInfo { hasNextPage endCursor }
      }
    }`,
    // Every document of the organization: `@@` is not leakproof, so no index may
    // evaluate it before the policy.
    maxBuffers: 2_000 + 40,
  },
  {
    name: 'search-for-a-common-word',
    query: '{ searchDocuments(query: "spring") { edges { cursor node { id } } } }',
    maxBuffers: 2_000 + 40,
  },
  {
    name: 'similar-documents',
    query: /* GraphQL */ `query ($document: ID!) {
      similarDocuments(document: $document) {
        edges { cursor node { id title createdAt } }
        pageInfo { hasNextPage endCursor }
      }
    }`,
    variables: ({ documentId }) => ({ document: documentId }),
    // Each of the 200 that are embedded: its vector and its document, to know whether it may
    // be read and to compare it.
    maxBuffers: 200 * 20,
  },
];
