import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openIssuerRecord } from '../../dev/issuerRecord.ts';
import { signToken } from '../../dev/signToken.ts';
import { makeTestKey } from '../signingKey.ts';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { environment } from '../support/environment.ts';
import { type Received, send, sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let api: TestApi;
/** Good until its signature or its claims are touched. */
let good: string;

beforeAll(async () => {
  database = await openTestDatabase();
  api = await startApi(database);
  good = await signIn({ user: 'user_ann', org: 'org_acme' });
});
afterAll(async () => {
  await api.close();
  await database.close();
});

describe('a request without a valid token', () => {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  /** Headers of a request, and why it is refused. */
  const refused: Record<string, { headers: () => Promise<Sent> | Sent; cause: string }> = {
    'without the header': { headers: () => ({}), cause: 'missing' },
    'with an empty header': { headers: () => ({ authorization: '' }), cause: 'missing' },
    'of another scheme': {
      headers: () => ({ authorization: `Basic ${btoa('ann:secret')}` }),
      cause: 'malformed',
    },
    'with a token under another scheme': {
      headers: () => ({ authorization: `Token ${good}` }),
      cause: 'malformed',
    },
    'with garbage': { headers: () => bearer('garbage'), cause: 'malformed' },
    'with a token of 10 000 characters': {
      headers: () => bearer('a'.repeat(10_000)),
      cause: 'malformed',
    },
    'with an expired token': {
      headers: async () => bearer(await sign({ nowMs: Date.now() - 7_200_000 })),
      cause: 'expired',
    },
    'with a token of another issuer': {
      headers: async () => bearer(await sign({ issuer: 'https://clerk.example.com' })),
      cause: 'issuer',
    },
    'with a token whose organization was edited': {
      headers: () => bearer(edited(good)),
      cause: 'signature',
    },
    'with a token signed by a stranger under our key id': {
      headers: async () => bearer(await signedByStranger()),
      cause: 'signature',
    },
    'with a token in the cookie alone': {
      headers: () => ({ cookie: `__session=${good}; token=${good}` }),
      cause: 'missing',
    },
  };

  test('is answered with the same bytes, whatever is wrong', async () => {
    const [first, ...others] = await Promise.all(
      Object.values(refused).map(async ({ headers }) => comparable(await ask(await headers()))),
    );
    expect(first).toMatchObject({
      status: 401,
      headers: {
        'www-authenticate': 'Bearer',
        'content-type': 'application/json; charset=utf-8',
      },
      text: '{"errors":[{"message":"You are not signed in.","extensions":{"code":"UNAUTHENTICATED"}}]}',
    });
    for (const other of others) expect(other).toEqual(first);
  });

  test.each(Object.entries(refused))('%s is logged with its cause', async (_, row) => {
    const requestId = randomUUID();
    const answer = await ask({ ...(await row.headers()), 'x-request-id': requestId });
    expect(answer.status).toBe(401);
    const line = await until('the refusal in the log', () =>
      api.logs.find((l) => l.msg === 'request refused' && l.requestId === requestId),
    );
    expect(line).toMatchObject({ level: 'info', cause: row.cause });
  });

  test('is refused before its body is looked at', async () => {
    const before = comparable(await ask({}));
    for (const body of ['{', '', 'x'.repeat(200_000)]) {
      const headers = { 'content-type': 'text/plain' };
      const answer = await send(`${api.url}/graphql`, { method: 'POST', headers, body });
      expect(comparable(answer)).toEqual(before);
    }
  });

  test('gets nowhere with a token in the query string or in the body', async () => {
    const query = '{ me { id } }';
    const inUrl = new URLSearchParams({ access_token: good, authorization: `Bearer ${good}` });
    const answer = await send(`${api.url}/graphql?${inUrl}`, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, token: good, authorization: `Bearer ${good}` }),
    });
    expect(comparable(answer)).toEqual(comparable(await ask({})));
  });

  test('leaves no trace of users or organizations', async () => {
    await ask({ authorization: `Bearer ${edited(good)}` });
    expect(await count("organizations where id = 'org_other'")).toBe(0);
  });
});

describe('the first sight of a token', () => {
  test('creates user, organization and membership, once, when 20 requests come at once', async () => {
    const token = await signIn({
      user: 'user_new',
      org: 'org_new_co',
      role: 'admin',
      name: 'Nora New',
      email: 'nora@example.com',
    });
    const query =
      '{ me { name email } viewer { role organization { name kind } user { name } } documents { edges { cursor } } }';
    const answers = await Promise.all(Array.from({ length: 20 }, () => api.request(token, query)));
    for (const { status, data, errors } of answers) {
      expect({ status, data, errors }).toEqual({
        status: 200,
        errors: undefined,
        data: {
          me: { name: 'Nora New', email: 'nora@example.com' },
          viewer: {
            role: 'admin',
            organization: { name: 'new-co', kind: 'ORGANIZATION' },
            user: { name: 'Nora New' },
          },
          documents: { edges: [] },
        },
      });
    }
    expect(await count("users where id = 'user_new'")).toBe(1);
    expect(await count("organizations where id = 'org_new_co'")).toBe(1);
    expect(await count("memberships where user_id = 'user_new'")).toBe(1);
  });

  test('is remembered, and what a later token says of them is taken over', async () => {
    await api.request(
      await signIn({ user: 'user_old', org: 'org_old', name: 'Olga' }),
      '{ me { id } }',
    );
    const later = await signIn({ user: 'user_old', org: 'org_old', role: 'admin' });
    const { data } = await api.request(
      later,
      '{ me { name memberships { edges { node { role } } } } }',
    );
    expect(data.me).toEqual({
      name: 'Olga',
      memberships: { edges: [{ node: { role: 'admin' } }] },
    });
  });

  test('works for a token of the older format', async () => {
    const token = await signIn({ user: 'user_v1', org: 'org_v1', role: 'editor', version: 1 });
    const { data } = await api.request(token, '{ viewer { role organization { kind } } }');
    expect(data.viewer).toEqual({ role: 'editor', organization: { kind: 'ORGANIZATION' } });
  });
});

describe('a token without an organization', () => {
  test('works in a personal space, apart from every organization of the user', async () => {
    const personal = await signIn({ user: 'user_solo' });
    const member = await signIn({ user: 'user_solo', org: 'org_acme' });
    const write =
      'mutation ($title: String!) { createDocument(input: {document: {title: $title}}) { document { id } } }';
    const [mine, ours] = [
      await api.request(personal, write, { title: 'Mine alone' }),
      await api.request(member, write, { title: 'For all of us' }),
    ];
    expect([mine.errors, ours.errors]).toEqual([undefined, undefined]);

    const read =
      '{ viewer { role permissions organization { kind name } } documents { edges { node { title } } } }';
    expect((await api.request(personal, read)).data).toEqual({
      viewer: { role: null, permissions: [], organization: { kind: 'PERSONAL', name: 'Personal' } },
      documents: { edges: [{ node: { title: 'Mine alone' } }] },
    });
    expect((await api.request(member, read)).data.documents).toEqual({
      edges: [{ node: { title: 'For all of us' } }],
    });

    const byId = 'query ($id: ID!) { document(id: $id) { title } }';
    const { id } = mine.data.createDocument.document;
    expect((await api.request(member, byId, { id })).data).toEqual({ document: null });
    expect((await api.request(personal, byId, { id })).data.document).not.toBeNull();
  });
});

type Sent = Record<string, string>;

function ask(headers: Sent): Promise<Received> {
  return sendGraphql(api.url, null, { query: '{ me { id } }' }, { headers });
}

/** All of an answer but what tells one request from another. */
function comparable({ status, headers, text }: Received) {
  const { 'x-request-id': requestId, date, ...same } = headers;
  expect(requestId).toBeTruthy();
  expect(date).toBeTruthy();
  return { status, headers: same, text };
}

async function sign(changes: { nowMs?: number; issuer?: string }): Promise<string> {
  const { issuerUrl, issuerDir } = environment();
  const { key } = await openIssuerRecord(issuerDir);
  return signToken({ user: 'user_ann', org: 'org_acme', key, issuer: issuerUrl, ...changes });
}

async function signedByStranger(): Promise<string> {
  const { issuerUrl, issuerDir } = environment();
  const { keyId } = (await openIssuerRecord(issuerDir)).key;
  const key = await makeTestKey(keyId);
  return signToken({ user: 'user_ann', org: 'org_acme', key, issuer: issuerUrl });
}

/** The same token, but for another organization. */
function edited(token: string): string {
  const [header, payload = '', signature] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  claims.o.id = 'org_other';
  const forged = Buffer.from(JSON.stringify(claims)).toString('base64url');
  return `${header}.${forged}.${signature}`;
}

async function count(what: string): Promise<number> {
  const { rows } = await database.superuser.query(
    `select count(*)::int as n from app_public.${what}`,
  );
  return rows[0].n;
}
