import { graphql } from 'relay-runtime';

/** The caller's own documents: a connection below a node, paged through `node(id:)`. */
export const userDocumentsQuery = graphql`
  query userDocumentsQuery($first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    me {
      ...userDocuments_user
        @arguments(first: $first, after: $after, last: $last, before: $before)
    }
  }
`;

export const userDocuments = graphql`
  fragment userDocuments_user on User
  @refetchable(queryName: "userDocumentsPageQuery")
  @argumentDefinitions(
    first: { type: "Int" }
    after: { type: "Cursor" }
    last: { type: "Int" }
    before: { type: "Cursor" }
  ) {
    documents(first: $first, after: $after, last: $last, before: $before)
      @connection(key: "userDocuments_documents") {
      edges {
        cursor
        node {
          id
          title
        }
      }
    }
  }
`;
