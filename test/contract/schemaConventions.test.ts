import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  buildClientSchema,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getIntrospectionQuery,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isObjectType,
} from 'graphql';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

/** What a caller can start from. A new table adds its fields here on purpose, or is tagged away. */
const queryFields = [
  'auditEvent',
  'auditEvents',
  'deadLetter',
  'deadLetters',
  'document',
  'documents',
  'file',
  'files',
  'generation',
  'generations',
  'me',
  'membership',
  'node',
  'organization',
  'organizations',
  'searchDocuments',
  'similarDocuments',
  'user',
  'viewer',
];
const mutationFields = [
  'abortUpload',
  'cancelGeneration',
  'completeMultipartUpload',
  'createDocument',
  'deleteDocument',
  'deleteFile',
  'finalizeUpload',
  'generate',
  'presignUpload',
  'presignUploadParts',
  'startGeneration',
  'updateDocument',
];

/** What is never a caller's to set. */
const unsettable =
  /^(rowId|org|orgId|organization|owner|ownerId|createdAt|updatedAt|search|status)$/;

let database: TestDatabase;
let api: TestApi;
let schema: GraphQLSchema;

beforeAll(async () => {
  database = await openTestDatabase();
  api = await startApi(database);
  const token = await signIn({ user: 'user_alice', org: 'org_a' });
  const { data } = await api.request(token, getIntrospectionQuery({ inputValueDeprecation: true }));
  schema = buildClientSchema(data);
});
afterAll(async () => {
  await api.close();
  await database.close();
});

describe('descriptions', () => {
  test('every type, field, argument, input field and enum value has one', () => {
    expect(everything().flatMap(([name, { description }]) => (description ? [] : name))).toEqual(
      [],
    );
  });
});

describe('roots', () => {
  test('Query offers what is promised, and nothing besides', () => {
    expect(fieldNames('Query').sort()).toEqual(queryFields);
  });

  test('Mutation offers what is promised, and nothing besides', () => {
    expect(fieldNames('Mutation').sort()).toEqual(mutationFields);
  });

  test('no field leads back to a root', () => {
    const roots = [schema.getQueryType(), schema.getMutationType()];
    const loops = fields().filter(({ type }) => roots.some((root) => root === getNamedType(type)));
    expect(loops.map(({ path }) => path)).toEqual([]);
  });
});

describe('nodes', () => {
  test('Node has a global id, and Query.node finds any of them', () => {
    const { node } = objectType('Query').getFields();
    expect(String(node?.type)).toBe('Node');
    expect(node?.args.map(({ name, type }) => `${name}: ${type}`)).toEqual(['id: ID!']);
    const nodeType = schema.getType('Node');
    expect(isInterfaceType(nodeType) && String(nodeType.getFields().id?.type)).toBe('ID!');
  });

  test('tables are nodes', () => {
    const names = objectTypes().filter(isNode).map(String);
    expect(names.sort()).toEqual([
      'AuditEvent',
      'DeadLetter',
      'Document',
      'File',
      'Generation',
      'Membership',
      'Organization',
      'User',
    ]);
  });

  test('only a node has an id', () => {
    const withId = objectTypes().filter((type) => type.getFields().id);
    expect(withId.filter((type) => !isNode(type)).map(String)).toEqual([]);
  });

  test('ids and references are global: no raw key is shown', () => {
    const raw = [...fields(), ...inputFields()].filter(({ name }) => /(?:row|.)Id$/.test(name));
    // A request is no row, nor is a trace.
    const allowed = /^(clientMutationId|requestId|traceId|deleted\w+Id)$/;
    // The audit trail names what may be gone, and who impersonates need be no user here.
    const noRow = /^(AuditEvent\.(actorId|impersonatorId|rowId)|Viewer\.impersonatorId)$/;
    const others = raw.filter(({ name, path }) => !allowed.test(name) && !noRow.test(path));
    expect(others.map(({ path }) => path)).toEqual([]);
  });
});

describe('connections', () => {
  test('have edges and page information, and at most a count beside', () => {
    const shapes = connections().map((connection) => {
      const { edges, pageInfo, totalCount, ...others } = connection.getFields();
      const item = connection.name.replace(/Connection$/, '');
      expect(String(edges?.type)).toMatch(new RegExp(`^\\[${item}Edge!?\\]!?$`));
      expect(String(pageInfo?.type)).toBe('PageInfo!');
      if (totalCount) expect(String(totalCount.type)).toBe('Int!');
      return Object.keys(others);
    });
    expect(shapes.length).toBeGreaterThan(0);
    expect(shapes.flat()).toEqual([]);
  });

  test('have edges of one node and its cursor', () => {
    for (const connection of connections()) {
      const item = connection.name.replace(/Connection$/, '');
      const { cursor, node, ...others } = objectType(`${item}Edge`).getFields();
      expect(getNullableType(cursor?.type)?.toString()).toBe('Cursor');
      expect(getNullableType(node?.type)?.toString()).toBe(item);
      expect(others).toEqual({});
    }
  });

  test('are counted only where counting is cheap', () => {
    const counted = connections().filter((connection) => connection.getFields().totalCount);
    expect(counted.map(String)).toEqual(['MembershipConnection']);
  });

  test('take first, after, last and before, and no offset', () => {
    const paging = ['first', 'after', 'last', 'before'];
    const shapes = fields()
      .filter(({ type }) => isConnection(getNamedType(type)))
      .map(({ path, args }) => {
        const types = Object.fromEntries(args.map((arg) => [arg.name, String(arg.type)]));
        return [path, paging.map((name) => types[name]), 'offset' in types];
      });
    const asPromised = shapes.map(([path]) => [path, ['Int', 'Cursor', 'Int', 'Cursor'], false]);
    expect(shapes).toEqual(asPromised);
  });

  test('are the only lists of nodes', () => {
    const lists = fields().filter(
      ({ type }) => isListType(getNullableType(type)) && isNode(getNamedType(type)),
    );
    expect(lists.map(({ path }) => path)).toEqual([]);
  });

  test('page information has all four fields', () => {
    const pageInfo = Object.values(objectType('PageInfo').getFields());
    expect(Object.fromEntries(pageInfo.map(({ name, type }) => [name, String(type)]))).toEqual({
      hasNextPage: 'Boolean!',
      hasPreviousPage: 'Boolean!',
      startCursor: 'Cursor',
      endCursor: 'Cursor',
    });
  });
});

describe('mutations', () => {
  test('take one input named after them, and answer a payload named after them', () => {
    for (const { name, args, type } of mutations()) {
      const title = `${name[0]?.toUpperCase()}${name.slice(1)}`;
      expect(args.map((arg) => `${arg.name}: ${arg.type}`)).toEqual([`input: ${title}Input!`]);
      // Now or later, the answer is the same.
      const answer = name === 'startGeneration' ? 'Generate' : title;
      expect(String(type)).toBe(`${answer}Payload`);
    }
  });

  test('echo the clientMutationId, which nobody has to give', () => {
    for (const { args, type } of mutations()) {
      const input = getNamedType(args[0]?.type);
      const payload = getNamedType(type);
      if (!isInputObjectType(input) || !isObjectType(payload)) throw new Error(`Odd ${type}`);
      expect(String(input.getFields().clientMutationId?.type)).toBe('String');
      expect(String(payload.getFields().clientMutationId?.type)).toBe('String');
    }
  });

  test('of a row answer the row and its edge, and what was deleted', () => {
    const row = ['clientMutationId', 'document', 'documentEdge'];
    expect(fieldNames('CreateDocumentPayload').sort()).toEqual(row);
    expect(fieldNames('UpdateDocumentPayload').sort()).toEqual(row);
    expect(fieldNames('DeleteDocumentPayload').sort()).toEqual(
      [...row, 'deletedDocumentId'].sort(),
    );
  });

  test('offer nothing that is not the caller’s to set', () => {
    const reachable = new Set<GraphQLNamedType>();
    const visit = (type: GraphQLNamedType) => {
      if (reachable.has(type) || !isInputObjectType(type)) return;
      reachable.add(type);
      for (const field of Object.values(type.getFields())) visit(getNamedType(field.type));
    };
    for (const { args } of mutations()) for (const { type } of args) visit(getNamedType(type));
    const offered = inputFields().filter(({ of }) => reachable.has(of));
    expect(offered.length).toBeGreaterThan(0);
    expect(offered.filter(({ name }) => unsettable.test(name)).map(({ path }) => path)).toEqual([]);
  });
});

/** Types that are the API's own, without GraphQL's introspection. */
function ownTypes(): GraphQLNamedType[] {
  return Object.values(schema.getTypeMap()).filter((type) => !isIntrospectionType(type));
}

function objectTypes(): GraphQLObjectType[] {
  return ownTypes().filter(isObjectType);
}

/** Fields of object types and interfaces, with their place as `Type.field`. */
function fields() {
  return ownTypes()
    .filter((type) => isObjectType(type) || isInterfaceType(type))
    .flatMap((of) =>
      Object.values(of.getFields()).map(({ name, type, args, description }) => {
        return { of, name, type, args, description, path: `${of.name}.${name}` };
      }),
    );
}

/** Fields of input types, with their place as `Type.field`. */
function inputFields() {
  return ownTypes()
    .filter(isInputObjectType)
    .flatMap((of) =>
      Object.values(of.getFields()).map(({ name, type, description }) => {
        return { of, name, type, description, path: `${of.name}.${name}` };
      }),
    );
}

/** Whatever can have a description, by its place: `Type`, `Type.field`, `Type.field(argument)`. */
function everything(): [string, { description?: string | null | undefined }][] {
  const values = ownTypes().filter(isEnumType);
  return [
    ...ownTypes().map((type) => [type.name, type] as const),
    ...fields().map((field) => [field.path, field] as const),
    ...fields().flatMap(({ path, args }) =>
      args.map((arg) => [`${path}(${arg.name})`, arg] as const),
    ),
    ...inputFields().map((field) => [field.path, field] as const),
    ...values.flatMap((type) =>
      type.getValues().map((value) => [`${type.name}.${value.name}`, value] as const),
    ),
  ].map(([place, described]) => [place, described]);
}

function mutations() {
  return Object.values(objectType('Mutation').getFields());
}

function connections(): GraphQLObjectType[] {
  return objectTypes().filter(isConnection);
}

function isConnection(type: GraphQLNamedType): boolean {
  return type.name.endsWith('Connection');
}

function isNode(type: GraphQLNamedType): boolean {
  return isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Node');
}

function objectType(name: string): GraphQLObjectType {
  const type = schema.getType(name);
  if (!isObjectType(type)) throw new Error(`The schema has no type ${name}.`);
  return type;
}

function fieldNames(type: string): string[] {
  return Object.keys(objectType(type).getFields());
}
