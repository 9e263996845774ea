import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Answer, signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Received, send, sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let api: TestApi;
let token: string;
/** A document of the caller, and one of another organization. */
let own: string;
let foreign: string;

const create =
  'mutation ($title: String!, $body: String) { createDocument(input: {document: {title: $title, body: $body}}) { document { id title body } } }';
const read = 'query ($id: ID!) { document(id: $id) { id title } }';
const update =
  'mutation ($id: ID!) { updateDocument(input: {id: $id, patch: {title: "Changed"}}) { document { id } } }';
const remove = 'mutation ($id: ID!) { deleteDocument(input: {id: $id}) { deletedDocumentId } }';

beforeAll(async () => {
  database = await openTestDatabase();
  api = await startApi(database);
  token = await signIn({ user: 'user_ann', org: 'org_acme', role: 'admin' });
  const stranger = await signIn({ user: 'user_zoe', org: 'org_globex' });
  own = await createDocument(token, 'Ours');
  foreign = await createDocument(stranger, 'Theirs');
});
afterAll(async () => {
  await api.close();
  await database.close();
});

describe('a request that is no GraphQL request', () => {
  const json = { 'content-type': 'application/json' };
  const refused: Record<string, { sent: Parameters<typeof post>[0]; status: number }> = {
    'no JSON': { sent: { headers: json, body: '{"query": "{ me' }, status: 400 },
    'an empty body': { sent: { headers: json, body: '' }, status: 400 },
    'a list': { sent: { headers: json, body: '[{"query":"{ me { id } }"}]' }, status: 400 },
    'no query': { sent: { headers: json, body: '{"variables":{}}' }, status: 400 },
    'variables that are no object': {
      sent: { headers: json, body: '{"query":"{ me { id } }","variables":[1]}' },
      status: 400,
    },
    'text instead of JSON': {
      sent: { headers: { 'content-type': 'text/plain' }, body: '{"query":"{ me { id } }"}' },
      status: 415,
    },
    'a form': {
      sent: {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: 'query=%7Bme%7Bid%7D%7D',
      },
      status: 415,
    },
    'no content type': { sent: { headers: {}, body: '{"query":"{ me { id } }"}' }, status: 400 },
    'a syntax error': { sent: { headers: json, body: '{"query":"{ me { "}' }, status: 400 },
    'an operation that is not in the document': {
      sent: { headers: json, body: '{"query":"query A { me { id } }","operationName":"B"}' },
      status: 400,
    },
  };

  test.each(Object.entries(refused))('%s is refused with a code', async (_, row) => {
    const answer = await post(row.sent);
    expect({ status: answer.status, ...error(answer) }).toMatchObject({
      status: row.status,
      extensions: { code: 'BAD_USER_INPUT', requestId: answer.headers['x-request-id'] },
    });
    expect(answer.text).not.toContain('"data"');
  });

  test.each(['GET', 'PUT', 'DELETE', 'PATCH'])('is not served by %s', async (method) => {
    const query = new URLSearchParams({ query: '{ me { id } }' });
    const answer = await send(`${api.url}/graphql?${query}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe('POST');
    expect(error(answer).extensions).toEqual({
      code: 'BAD_USER_INPUT',
      requestId: answer.headers['x-request-id'],
    });
  });

  test('of another path is not found', async () => {
    const answer = await send(`${api.url}/nowhere`);
    expect(answer.status).toBe(404);
    expect(error(answer).extensions).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('the size of a body', () => {
  /** A request of exactly so many bytes. */
  const bodyOf = (bytes: number) => {
    const body = (padding: string) => JSON.stringify({ query: `{ __typename } #${padding}` });
    return body('x'.repeat(bytes - Buffer.byteLength(body(''))));
  };
  const headers = { 'content-type': 'application/json' };

  test('may be 100 000 bytes', async () => {
    const body = bodyOf(100_000);
    expect(Buffer.byteLength(body)).toBe(100_000);
    const answer = await post({ headers, body });
    expect({ status: answer.status, text: answer.text }).toEqual({
      status: 200,
      text: '{"data":{"__typename":"Query"}}',
    });
  });

  test.each([100_001, 2_000_000])('of %i bytes is refused', async (bytes) => {
    const answer = await post({ headers, body: bodyOf(bytes) });
    expect(answer.status).toBe(413);
    expect(error(answer)).toEqual({
      message: expect.any(String),
      extensions: { code: 'PAYLOAD_TOO_LARGE', requestId: answer.headers['x-request-id'] },
    });
  });

  test('counts in bytes, not in characters', async () => {
    const body = JSON.stringify({ query: `{ __typename } #${'ü'.repeat(60_000)}` });
    expect(body.length).toBeLessThan(100_000);
    expect((await post({ headers, body })).status).toBe(413);
  });
});

describe('a document or variables at fault', () => {
  test('an unknown field is named, with the place', async () => {
    const { status, errors, data } = await api.request(token, '{ nope }');
    expect({ status, data, errors }).toMatchObject({
      status: 400,
      data: undefined,
      errors: [{ message: expect.stringContaining('nope'), locations: [{ line: 1, column: 3 }] }],
    });
    expectCode(errors, 'BAD_USER_INPUT');
  });

  test.each([
    ['missing', {}],
    ['null', { id: null }],
    ['of another type', { id: { a: 1 } }],
  ])('a variable that is %s is refused', async (_, variables) => {
    const { errors, data } = await api.request(token, read, variables);
    expect(data).toBeUndefined();
    expectCode(errors, 'BAD_USER_INPUT');
  });

  test('what a caller may not set is no field of the input', async () => {
    for (const field of ['orgId', 'owner', 'ownerId', 'id', 'rowId', 'createdAt', 'search']) {
      const mutation = `mutation { createDocument(input: {document: {title: "x", ${field}: "y"}}) { document { id } } }`;
      const { errors } = await api.request(token, mutation);
      expect(errors?.[0]?.message).toContain(`Field "${field}" is not defined`);
    }
  });
});

describe('a value that the database refuses', () => {
  test.each([
    ['an empty title', ''],
    ['a title of 501 characters', 'x'.repeat(501)],
  ])('%s is refused by its field', async (_, title) => {
    const { errors, data } = await api.request(token, create, { title });
    expect(data).toEqual({ createDocument: null });
    expect(errors).toMatchObject([
      { message: 'The value of `title` is not allowed.', extensions: { field: 'title' } },
    ]);
    expectCode(errors, 'BAD_USER_INPUT');
    expectSilent(errors);
  });

  test('500 characters are a title, whatever they are', async () => {
    const title = '🏠'.repeat(500);
    const { data } = await api.request(token, create, { title });
    expect(data.createDocument.document.title).toBe(title);
  });
});

describe('an id that is nobody’s to the caller', () => {
  const ids: Record<string, () => string> = {
    'of another organization’s document': () => foreign,
    'that was never given out': () => nodeId('Document', randomUUID()),
    'of another type': () => nodeId('User', 'user_ann'),
    'of a type that does not exist': () => nodeId('Nothing', 'x'),
    'with a key that is no uuid': () => nodeId('Document', 'x'),
    'with a number for a key': () => nodeId('Document', 1),
    'with null for a key': () => nodeId('Document', null),
    'with two keys': () => nodeId('Document', randomUUID(), 'more'),
    'with an object for a key': () => nodeId('Document', { a: 1 }),
    'that is no JSON': () => Buffer.from('["Document"').toString('base64'),
    'that is no base64': () => '%%%',
    'that is empty': () => '',
    'that is SQL': () => "' or true --",
    'with a NUL character': () => 'a\0b',
    'with half a surrogate pair': () => '\ud800',
    'called __proto__': () => nodeId('__proto__', 'x'),
  };

  test('is answered by the same bytes, whose and whatever it is', async () => {
    for (const [operation, expected] of [
      [read, { data: { document: null } }],
      ['query ($id: ID!) { node(id: $id) { id } }', { data: { node: null } }],
    ] as const) {
      for (const [which, id] of Object.entries(ids)) {
        if (operation !== read && which === 'of another type') continue;
        const answer = await ask(operation, { id: id() });
        expect({ which, status: answer.status, ...JSON.parse(answer.text) }).toEqual({
          which,
          status: 200,
          ...expected,
        });
      }
    }
    for (const operation of [update, remove]) {
      const answers: [string, string][] = [];
      for (const [which, id] of Object.entries(ids)) {
        const answer = await ask(operation, { id: id() });
        expect({ which, status: answer.status }).toEqual({ which, status: 200 });
        const requestId = String(answer.headers['x-request-id']);
        answers.push([which, answer.text.replace(requestId, '<request>')]);
      }
      const [[, first]] = answers as [[string, string]];
      expect(JSON.parse(first)).toMatchObject({
        errors: [
          {
            message: 'There is no such thing.',
            extensions: { code: 'NOT_FOUND', requestId: '<request>' },
          },
        ],
      });
      expect(Object.fromEntries(answers)).toEqual(
        Object.fromEntries(answers.map(([which]) => [which, first])),
      );
    }
  });

  test('leaves everything as it was', async () => {
    const { rows } = await database.superuser.query(
      "select title from app_public.documents where title in ('Ours', 'Theirs') order by 1",
    );
    expect(rows).toEqual([{ title: 'Ours' }, { title: 'Theirs' }]);
    expect((await api.request(token, read, { id: own })).data.document.title).toBe('Ours');
  });

  test('as the owner to look for: an unknown one finds nothing', async () => {
    const query =
      'query ($owner: ID) { documents(condition: {owner: $owner}) { edges { node { id } } } }';
    const { data } = await api.request(token, query, { owner: nodeId('User', 'user_unknown') });
    expect(data).toEqual({ documents: { edges: [] } });
  });

  test.each([
    ['of another type', nodeId('Document', randomUUID())],
    ['with a malformed key', nodeId('User', 1)],
    ['with a NUL character in the key', nodeId('User', 'a\0b')],
    ['with half a surrogate pair in the key', nodeId('User', '\ud800')],
    ['that is garbage', 'garbage'],
  ])('as the owner to look for: one %s is refused by its field', async (_, owner) => {
    const query =
      'query ($owner: ID) { documents(condition: {owner: $owner}) { edges { node { id } } } }';
    const { data, errors } = await api.request(token, query, { owner });
    expect(data).toEqual({ documents: null });
    expectCode(errors, 'BAD_USER_INPUT');
    expect(errors?.[0]?.extensions).toMatchObject({ field: 'owner' });
    expectSilent(errors);
  });
});

describe('text that Postgres cannot hold', () => {
  test.each([
    ['a NUL character', 'a\0b'],
    ['half a surrogate pair', 'a\ud800b'],
  ])('%s in a title or body is refused, and harms no one', async (_, text) => {
    for (const variables of [{ title: text }, { title: 'Fine', body: text }]) {
      const { errors, data } = await api.request(token, create, variables);
      if (data?.createDocument) {
        // JSON may replace what is no character; it may not fail over it.
        expect(JSON.stringify(data)).toContain('\ufffd');
        continue;
      }
      expectCode(errors, 'BAD_USER_INPUT');
      expectSilent(errors);
    }
    expect((await api.request(token, '{ me { id } }')).errors).toBeUndefined();
  });

  test.each(['a\0b', '\ud800'])('%j finds nothing, or is refused', async (query) => {
    const { errors, data } = await api.request(
      token,
      'query ($query: String!) { searchDocuments(query: $query) { edges { node { id } } } }',
      { query },
    );
    if (errors) expectCode(errors, 'BAD_USER_INPUT');
    else expect(data).toEqual({ searchDocuments: { edges: [] } });
  });

  test.each(['a\0b', 'x', nodeId('x'), '[]', Buffer.from('[1,"\\u0000"]').toString('base64')])(
    'the cursor %j is refused',
    async (after) => {
      const query = 'query ($after: Cursor) { documents(after: $after) { edges { cursor } } }';
      const { errors, data } = await api.request(token, query, { after });
      expect(data).toEqual({ documents: null });
      expectCode(errors, 'BAD_USER_INPUT');
      expectSilent(errors);
    },
  );
});

describe('an error nobody foresaw', () => {
  beforeAll(async () => {
    await database.superuser.query(`
      create function app_private.break_down() returns trigger language plpgsql as $$
      begin
        if new.title = 'Break down' then
          raise exception 'relation "app_private.secret_table" is on fire'
            using detail = 'Key (password)=(hunter2)', hint = 'see /var/lib/postgresql';
        end if;
        return new;
      end
      $$;
      create trigger break_down before insert on app_public.documents
        for each row execute function app_private.break_down();
    `);
  });

  test('is masked, and is in the log under its request id', async () => {
    const answer = await ask(create, { title: 'Break down', body: 'hunter3' });
    const requestId = answer.headers['x-request-id'];
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toEqual({
      data: { createDocument: null },
      errors: [
        {
          message: 'Something went wrong on our side.',
          path: ['createDocument'],
          locations: expect.anything(),
          extensions: { code: 'INTERNAL', requestId },
        },
      ],
    });
    const line = await until('the masked error in the log', () =>
      api.logs.find((l) => l.msg === 'error masked' && l.requestId === requestId),
    );
    expect(line).toMatchObject({ level: 'error' });
    const logged = JSON.stringify(line);
    expect(logged).toContain('secret_table');
    expect(logged).toContain('P0001');
    expect(logged).not.toContain('hunter3');
  });

  test('leaves the rest of the answer as it is', async () => {
    const query = `mutation { a: createDocument(input: {document: {title: "Break down"}}) { document { id } }
      b: createDocument(input: {document: {title: "After it"}}) { document { title } } }`;
    const { data, errors } = await api.request(token, query);
    expect(data).toEqual({ a: null, b: { document: { title: 'After it' } } });
    expectCode(errors, 'INTERNAL');
    expect(errors).toHaveLength(1);
  });
});

async function createDocument(as: string, title: string): Promise<string> {
  const { data } = await api.request(as, create, { title });
  return data.createDocument.document.id;
}

function nodeId(...parts: unknown[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64');
}

function ask(query: string, variables: object): Promise<Received> {
  return sendGraphql(api.url, token, { query, variables });
}

function post({ headers, body }: { headers: Record<string, string>; body: string }) {
  return send(`${api.url}/graphql`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    body,
  });
}

type CodedError = { message: string; extensions: Record<string, unknown> };

function error(answer: Received): CodedError {
  const body: { errors: CodedError[] } = JSON.parse(answer.text);
  expect(body.errors).toHaveLength(1);
  return body.errors[0] as CodedError;
}

function expectCode(errors: Answer['errors'], code: string): void {
  expect(errors?.map(({ extensions }) => extensions.code)).toEqual([code]);
  expect(errors?.[0]?.extensions.requestId).toMatch(/^[\w-]{36}$/);
}

/** Nothing of the inside: no SQLSTATE, table, constraint, function or path. */
function expectSilent(errors: Answer['errors']): void {
  expect(JSON.stringify(errors)).not.toMatch(
    /app_|pg_|documents_|violates|constraint|relation|syntax|encoding|22021|23514|node_modules|\.js|\.ts|0x00/i,
  );
}
