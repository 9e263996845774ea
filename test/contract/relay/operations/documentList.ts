import { graphql } from 'relay-runtime';

/** The documents of the organization, a page at a time in either direction. */
export const documentListQuery = graphql`
  query documentListQuery(
    $first: Int
    $after: Cursor
    $last: Int
    $before: Cursor
    $orderBy: [DocumentOrderBy!]
  ) {
    ...documentList_query
      @arguments(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy)
  }
`;

export const documentList = graphql`
  fragment documentList_query on Query
  @refetchable(queryName: "documentListPageQuery")
  @argumentDefinitions(
    first: { type: "Int" }
    after: { type: "Cursor" }
    last: { type: "Int" }
    before: { type: "Cursor" }
    orderBy: { type: "[DocumentOrderBy!]" }
  ) {
    documents(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy)
      @connection(key: "documentList_documents") {
      __id
      edges {
        cursor
        node {
          id
          title
          ...documentList_row
        }
      }
      pageInfo {
        hasNextPage
        hasPreviousPage
        startCursor
        endCursor
      }
    }
  }
`;

export const documentRow = graphql`
  fragment documentList_row on Document {
    id
    title
    createdAt
    updatedAt
    owner {
      id
    }
  }
`;
