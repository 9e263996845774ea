import type { TestCaller } from '../../support/database.ts';

/** Cursors and ids in the member's organization; those of `own…` are the member's. */
export type Places = {
  row20: string;
  row1500: string;
  documentId: string;
  memberId: string;
  ownDocumentId: string;
  ownReadyFileId: string;
  ownPendingFileId: string;
  ownGenerationId: string;
  ownQueuedGenerationId: string;
};

/** What is planned, and what it may cost. */
export type Operation = {
  name: string;
  /** Who asks, where it is not the member who reads the documents of all. */
  caller?: TestCaller;
  query: string;
  variables?: (places: Places) => Record<string, unknown>;
  /** The most 8 KB pages that its statements together may touch, cached or not. */
  maxBuffers: number;
  /** How many statements it takes; one, where nothing is said. */
  statements?: number;
  /** Tables whose scans and joins are misjudged by more than ten times, and why that is borne. */
  misjudged?: Record<string, string>;
};

/** Who reads the documents of all: what bounds a page is then its size alone. */
export const member = { userId: 'user_107', orgId: 'org_7', permissions: ['org:docs:manage'] };
const admin: TestCaller = { ...member, orgRole: 'admin', permissions: [] };
const ordinary: TestCaller = { ...member, permissions: [] };

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
  { name: 'page-of-ones-own', caller: ordinary, query: page, maxBuffers: pageBuffers },
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
    // The user; the membership and the organization.
    maxBuffers: 3 + 7,
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
    misjudged: {
      memberships:
        'Sought by the organization of the claims and of the row, which the planner takes for independent: one expected, of eleven.',
    },
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
  {
    name: 'own-generations',
    caller: ordinary,
    query: /* GraphQL */ `{
      generations {
        edges { cursor node { id prompt text status cached provider latencyMs user { name } } }
        pageInfo { hasNextPage endCursor }
      }
    }`,
    // One in eleven is theirs; the user and the membership once.
    maxBuffers: 21 * 11 + 5 + 9,
  },
  {
    name: 'managed-generations',
    caller: admin,
    query: /* GraphQL */ `{
      generations { edges { cursor node { id text document { title } user { name } } } }
    }`,
    // Of each row the document; of each of eleven users the membership.
    maxBuffers: pageBuffers + 21 * 4 + 11 * 9,
  },
  {
    name: 'generation',
    caller: ordinary,
    query: /* GraphQL */ `query ($id: ID!) {
      generation(id: $id) { text status document { title } user { name } }
    }`,
    variables: ({ ownGenerationId }) => ({ id: ownGenerationId }),
    maxBuffers: 4 + 4 + 9,
  },
  {
    name: 'generations-of-a-document',
    caller: admin,
    query: /* GraphQL */ `query ($id: ID!) {
      document(id: $id) { title generations { edges { cursor node { id text } } } }
    }`,
    variables: ({ ownDocumentId }) => ({ id: ownDocumentId }),
    maxBuffers: 4 + 5,
  },
  {
    name: 'file',
    caller: ordinary,
    query: /* GraphQL */ `query ($id: ID!) {
      file(id: $id) { id fileName status document { id } owner { id name } downloadUrl { url } }
    }`,
    variables: ({ ownReadyFileId }) => ({ id: ownReadyFileId }),
    maxBuffers: 4 + 8 + 9,
  },
  {
    name: 'files-of-a-document',
    caller: ordinary,
    query: /* GraphQL */ `query ($id: ID!) {
      document(id: $id) { title files { edges { cursor node { id fileName owner { id } } } } }
    }`,
    variables: ({ ownDocumentId }) => ({ id: ownDocumentId }),
    maxBuffers: 4 + 8 + 9,
  },
  {
    name: 'files-of-the-caller',
    caller: ordinary,
    query: '{ me { files { edges { cursor node { id status } } } } }',
    maxBuffers: pageBuffers + 3,
  },
  {
    name: 'files-of-a-member',
    caller: ordinary,
    query: '{ files { edges { cursor node { id fileName status error } } } }',
    // One in eleven is theirs; of the others the document is looked at.
    maxBuffers: 21 * 11 * 5 + 5,
  },
  {
    name: 'presign',
    caller: ordinary,
    query: /* GraphQL */ `mutation ($document: ID!, $byteSize: BigInt!) {
      presignUpload(input: {
        fileName: "a.txt", contentType: "text/plain", byteSize: $byteSize, document: $document
        checksumSha256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
      }) { file { id status } upload { url } }
    }`,
    variables: ({ ownDocumentId }) => ({ document: ownDocumentId, byteSize: '11' }),
    maxBuffers: 100,
    statements: 2,
  },
  {
    name: 'presign-in-parts',
    caller: ordinary,
    query: /* GraphQL */ `mutation ($document: ID!, $byteSize: BigInt!) {
      presignUpload(input: {
        fileName: "a.txt", contentType: "text/plain", byteSize: $byteSize, document: $document
        checksumSha256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
      }) { file { id status partSize } upload { url } }
    }`,
    variables: ({ ownDocumentId }) => ({ document: ownDocumentId, byteSize: '200000000' }),
    maxBuffers: 100,
    statements: 2,
  },
  {
    name: 'finalize',
    caller: ordinary,
    query: /* GraphQL */ `mutation ($id: ID!) {
      finalizeUpload(input: { id: $id }) { file { id status error } }
    }`,
    variables: ({ ownPendingFileId }) => ({ id: ownPendingFileId }),
    maxBuffers: 100,
    statements: 2,
  },
  {
    name: 'abort',
    caller: ordinary,
    query: /* GraphQL */ `mutation ($id: ID!) {
      abortUpload(input: { id: $id }) { file { id status error } }
    }`,
    variables: ({ ownPendingFileId }) => ({ id: ownPendingFileId }),
    maxBuffers: 100,
    statements: 2,
  },
  {
    name: 'delete-file',
    caller: ordinary,
    query: 'mutation ($id: ID!) { deleteFile(input: { id: $id }) { deletedFileId } }',
    variables: ({ ownReadyFileId }) => ({ id: ownReadyFileId }),
    maxBuffers: 100,
  },
  {
    name: 'start-generation',
    caller: ordinary,
    query: /* GraphQL */ `mutation ($document: ID!) {
      startGeneration(input: { prompt: "Summarize.", document: $document }) {
        generation { id status }
      }
    }`,
    variables: ({ ownDocumentId }) => ({ document: ownDocumentId }),
    maxBuffers: 100,
    statements: 3,
  },
  {
    name: 'cancel-generation',
    caller: ordinary,
    query: /* GraphQL */ `mutation ($id: ID!) {
      cancelGeneration(input: { id: $id }) { generation { id status errorCode } }
    }`,
    variables: ({ ownQueuedGenerationId }) => ({ id: ownQueuedGenerationId }),
    maxBuffers: 100,
    statements: 2,
  },
  {
    name: 'dead-letters',
    caller: admin,
    query: /* GraphQL */ `{
      deadLetters { edges { cursor node { id task errorCode attempts } } pageInfo { hasNextPage } }
    }`,
    maxBuffers: pageBuffers,
  },
  {
    name: 'search-of-ones-own',
    caller: ordinary,
    query: '{ searchDocuments(query: "spring") { edges { cursor node { id } } } }',
    // Every document of the owner.
    maxBuffers: 182 + 40,
  },
];
