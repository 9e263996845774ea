import { graphql } from 'relay-runtime';

export const createFirst = graphql`
  mutation documentChangesPrependMutation($input: CreateDocumentInput!, $connections: [ID!]!) {
    createDocument(input: $input) {
      documentEdge @prependEdge(connections: $connections) {
        cursor
        node {
          id
          ...documentList_row
        }
      }
    }
  }
`;

export const createLast = graphql`
  mutation documentChangesAppendMutation($input: CreateDocumentInput!, $connections: [ID!]!) {
    createDocument(input: $input) {
      documentEdge @appendEdge(connections: $connections) {
        cursor
        node {
          id
          ...documentList_row
        }
      }
    }
  }
`;

export const createNode = graphql`
  mutation documentChangesPrependNodeMutation($input: CreateDocumentInput!, $connections: [ID!]!) {
    createDocument(input: $input) {
      document @prependNode(connections: $connections, edgeTypeName: "DocumentEdge") {
        id
        ...documentList_row
      }
    }
  }
`;

export const update = graphql`
  mutation documentChangesUpdateMutation($input: UpdateDocumentInput!) {
    updateDocument(input: $input) {
      document {
        id
        title
        body
        updatedAt
      }
    }
  }
`;

export const deleteEdge = graphql`
  mutation documentChangesDeleteEdgeMutation($input: DeleteDocumentInput!, $connections: [ID!]!) {
    deleteDocument(input: $input) {
      deletedDocumentId @deleteEdge(connections: $connections)
    }
  }
`;

export const deleteRecord = graphql`
  mutation documentChangesDeleteRecordMutation($input: DeleteDocumentInput!) {
    deleteDocument(input: $input) {
      deletedDocumentId @deleteRecord
    }
  }
`;
