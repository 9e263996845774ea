import { graphql } from 'relay-runtime';

/** Who belongs to the organization, with a count: a connection below a node without a raw key. */
export const organizationMembersQuery = graphql`
  query organizationMembersQuery($first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    viewer {
      organization {
        ...organizationMembers_organization
          @arguments(first: $first, after: $after, last: $last, before: $before)
      }
    }
  }
`;

export const organizationMembers = graphql`
  fragment organizationMembers_organization on Organization
  @refetchable(queryName: "organizationMembersPageQuery")
  @argumentDefinitions(
    first: { type: "Int" }
    after: { type: "Cursor" }
    last: { type: "Int" }
    before: { type: "Cursor" }
  ) {
    memberships(first: $first, after: $after, last: $last, before: $before)
      @connection(key: "organizationMembers_memberships") {
      totalCount
      edges {
        cursor
        node {
          id
          user {
            id
            name
          }
        }
      }
    }
  }
`;
