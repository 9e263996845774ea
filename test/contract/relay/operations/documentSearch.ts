import { graphql } from 'relay-runtime';

/** What a search found, best first, a page at a time in either direction. */
export const documentSearchQuery = graphql`
  query documentSearchQuery(
    $query: String!
    $first: Int
    $after: Cursor
    $last: Int
    $before: Cursor
  ) {
    ...documentSearch_query
      @arguments(query: $query, first: $first, after: $after, last: $last, before: $before)
  }
`;

export const documentSearch = graphql`
  fragment documentSearch_query on Query
  @refetchable(queryName: "documentSearchPageQuery")
  @argumentDefinitions(
    query: { type: "String!" }
    first: { type: "Int" }
    after: { type: "Cursor" }
    last: { type: "Int" }
    before: { type: "Cursor" }
  ) {
    searchDocuments(query: $query, first: $first, after: $after, last: $last, before: $before)
      @connection(key: "documentSearch_searchDocuments") {
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
