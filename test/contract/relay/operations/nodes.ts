import { graphql } from 'relay-runtime';

/** One of every type that can be fetched again by its id. */
export const nodesQuery = graphql`
  query nodesQuery {
    me {
      ...nodes_user
    }
    viewer {
      organization {
        ...nodes_organization
        memberships(first: 1) {
          edges {
            node {
              ...nodes_membership
            }
          }
        }
      }
    }
    documents(first: 1) {
      edges {
        node {
          ...nodes_document
        }
      }
    }
  }
`;

export const user = graphql`
  fragment nodes_user on User @refetchable(queryName: "nodesUserQuery") {
    __typename
    id
    email
    name
    createdAt
    updatedAt
  }
`;

export const organization = graphql`
  fragment nodes_organization on Organization @refetchable(queryName: "nodesOrganizationQuery") {
    __typename
    id
    kind
    name
    slug
    createdAt
    updatedAt
  }
`;

export const membership = graphql`
  fragment nodes_membership on Membership @refetchable(queryName: "nodesMembershipQuery") {
    __typename
    id
    role
    createdAt
    updatedAt
    organization {
      id
      name
    }
    user {
      id
      name
    }
  }
`;

export const document = graphql`
  fragment nodes_document on Document @refetchable(queryName: "nodesDocumentQuery") {
    __typename
    id
    title
    body
    createdAt
    updatedAt
    owner {
      id
      name
    }
  }
`;

/** Any node, by its id alone. */
export const anyNodeQuery = graphql`
  query nodesAnyQuery($id: ID!) {
    node(id: $id) {
      __typename
      id
      ... on Document {
        title
      }
    }
  }
`;
