import type { BenchCaller } from './callers.ts';

/** What is asked of every contestant. */
export type Operation = {
  name: OperationName;
  /** In words, for the table. */
  title: string;
  document: string;
  variables(caller: BenchCaller): object;
};

/** The names of the operations, as they stand in their documents. */
export const operationNames = ['Me', 'Page', 'Nested', 'Node', 'Create'] as const;
export type OperationName = (typeof operationNames)[number];

/** The operations, from the smallest read to the write. */
export const operations: readonly Operation[] = [
  {
    name: 'Me',
    title: 'me',
    document: 'query Me { me { id name email } }',
    variables: () => ({}),
  },
  {
    name: 'Page',
    title: 'page of 20 documents',
    document: `query Page {
  documents(first: 20) {
    edges { cursor node { id title createdAt } }
    pageInfo { hasNextPage endCursor }
  }
}`,
    variables: () => ({}),
  },
  {
    name: 'Nested',
    title: 'page of 20 with owner and 3 documents of each',
    document: `query Nested {
  documents(first: 20) {
    edges {
      cursor
      node {
        id
        title
        createdAt
        owner {
          id
          name
          documents(first: 3) { edges { cursor node { id title } } }
        }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}`,
    variables: () => ({}),
  },
  {
    name: 'Node',
    title: 'node by id',
    document:
      'query Node($id: ID!) { node(id: $id) { id ... on Document { title body createdAt } } }',
    variables: ({ documentId }) => ({ id: nodeId('Document', documentId) }),
  },
  {
    name: 'Create',
    title: 'createDocument',
    document: `mutation Create($input: CreateDocumentInput!) {
  createDocument(input: $input) { document { id title createdAt } }
}`,
    variables: ({ userId }) => ({
      input: {
        document: { title: `Written by ${userId}`, body: 'A short text of the benchmark.' },
      },
    }),
  },
];

/** The body of a request, the same for every contestant. */
export function bodyOf({ name, document, variables }: Operation, caller: BenchCaller): string {
  return JSON.stringify({
    operationName: name,
    query: document,
    variables: variables(caller),
  });
}

/** A global id as PostGraphile writes it. */
export function nodeId(type: string, key: string): string {
  return Buffer.from(JSON.stringify([type, key])).toString('base64');
}
