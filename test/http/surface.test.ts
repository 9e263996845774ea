import { request } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Received, type Sent, send, sendGraphql } from '../support/send.ts';

const app = 'https://app.example.com';
const admin = 'https://admin.example.com:8443';

let database: TestDatabase;
let api: TestApi;
let token: string;

beforeAll(async () => {
  database = await openTestDatabase();
  const settings = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    CORS_ORIGINS: `${app},${admin}`,
    SHUTDOWN_DRAIN_MS: '0',
  };
  api = await startApi(database, settings);
  token = await signIn({ user: 'user_ann', org: 'org_acme' });
  await database.superuser.query(
    `insert into app_public.users (id) values ('user_ann');
     insert into app_public.organizations (id, kind, name) values ('org_acme', 'ORGANIZATION', 'Acme');
     insert into app_public.documents (org_id, owner_id, title, body)
     select 'org_acme', 'user_ann', 'Document ' || n, repeat('Lorem ipsum. ', 20)
     from generate_series(1, 50) as n`,
  );
});
afterAll(async () => {
  await api.close();
  await database.close();
});

const small = '{ me { id } }';
const large = '{ documents(first: 50) { edges { node { id title body } } } }';

function ask(query: string, headers: Sent['headers'] = {}): Promise<Received> {
  return sendGraphql(api.url, token, { query }, { headers });
}

describe('a page of another origin', () => {
  const preflight = (origin: string, headers: Sent['headers'] = {}) =>
    send(`${api.url}/graphql`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,x-request-id',
        ...headers,
      },
    });

  test.each([app, admin])('%s, which is allowed, may ask and read', async (origin) => {
    const asked = await preflight(origin);
    expect(asked.status).toBe(204);
    expect(asked.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'POST',
      'access-control-max-age': '600',
      vary: expect.stringContaining('Origin'),
    });
    const allowed = asked.headers['access-control-allow-headers']?.split(',');
    expect(allowed).toEqual(expect.arrayContaining(['authorization', 'content-type']));

    const answer = await ask(small, { origin });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-expose-headers': expect.stringContaining('x-request-id'),
      vary: expect.stringContaining('Origin'),
    });
  });

  test.each([
    'https://evil.example.com',
    'http://app.example.com',
    `${app}.evil.com`,
    `${app}:444`,
    'null',
    '*',
  ])('%s, which is not allowed, may not', async (origin) => {
    for (const answer of [await preflight(origin), await ask(small, { origin })]) {
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      // Caches must not hand it to an origin that is allowed.
      expect(answer.headers.vary).toContain('Origin');
    }
  });

  test('never sends cookies along', async () => {
    for (const answer of [await preflight(app), await ask(small, { origin: app })]) {
      expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
  });

  test('can read that it is not signed in, and the errors of a request', async () => {
    for (const sent of [{ headers: { origin: app } }, { body: '{', headers: { origin: app } }]) {
      const answer = await send(`${api.url}/graphql`, { method: 'POST', ...sent });
      expect(answer.status).toBe(401);
      expect(answer.headers['access-control-allow-origin']).toBe(app);
    }
  });

  test('asks once for many requests, without a token and without the database', async () => {
    const answer = await preflight(app);
    expect(answer.bytes.length).toBe(0);
    expect(answer.headers['www-authenticate']).toBeUndefined();
  });
});

describe('an answer', () => {
  const encodings: [string, string, (bytes: Buffer) => Buffer][] = [
    ['gzip', 'gzip', gunzipSync],
    ['br', 'gzip, deflate, br', brotliDecompressSync],
    ['br', 'br', brotliDecompressSync],
  ];
  test.each(encodings)(
    'comes as %s to a client that takes %s',
    async (encoding, accepted, decode) => {
      const plain = await ask(large);
      expect(plain.headers['content-encoding']).toBeUndefined();
      const answer = await ask(large, { 'accept-encoding': accepted });
      expect(answer.headers['content-encoding']).toBe(encoding);
      expect(answer.headers.vary).toContain('Accept-Encoding');
      expect(answer.bytes.length).toBeLessThan(plain.bytes.length / 3);
      expect(decode(answer.bytes).toString('utf8')).toBe(plain.text);
    },
  );

  test('that is small is not compressed', async () => {
    const answer = await ask(small, { 'accept-encoding': 'gzip, br' });
    expect(answer.headers['content-encoding']).toBeUndefined();
  });

  test('speaks the dialect the client asked for', async () => {
    const modern = 'application/graphql-response+json';
    for (const [accept, type] of [
      [modern, modern],
      [`${modern}, application/json;q=0.9`, modern],
      ['application/json', 'application/json'],
      ['*/*', undefined],
    ] as const) {
      const answer = await ask(small, { accept });
      expect(answer.status).toBe(200);
      const [given, ...parameters] = String(answer.headers['content-type']).split(/; */);
      if (type) expect(given).toBe(type);
      expect(parameters).toEqual(['charset=utf-8']);
    }
  });

  test('tells browsers to trust it with nothing', async () => {
    const answers = [
      await ask(small),
      await send(`${api.url}/nowhere`),
      await send(`${api.url}/graphql`, { method: 'POST' }),
    ];
    for (const { headers } of answers) {
      expect(headers).toMatchObject({
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'referrer-policy': 'no-referrer',
        'strict-transport-security': expect.stringMatching(/max-age=\d{8}/),
        'x-content-type-options': 'nosniff',
        'x-frame-options': expect.stringMatching(/SAMEORIGIN|DENY/),
      });
      expect(headers['x-powered-by']).toBeUndefined();
      expect(headers.server).toBeUndefined();
      expect(headers.etag).toBeUndefined();
    }
  });
});

describe('the request id', () => {
  test('is given to each request, and never the same', async () => {
    const answers = await Promise.all([
      ask(small),
      ask(small),
      send(`${api.url}/healthz`),
      send(`${api.url}/nowhere`),
    ]);
    const ids = answers.map(({ headers }) => String(headers['x-request-id']));
    for (const id of ids) expect(id).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    expect(new Set(ids).size).toBe(4);
  });

  test.each(['a', 'Root:1-67891233-abcdef012345678912345678', 'x'.repeat(128), 'A.b_c:d-9'])(
    'is the caller’s own where it looks like one: %s',
    async (id) => {
      expect((await ask(small, { 'x-request-id': id })).headers['x-request-id']).toBe(id);
    },
  );

  test.each([
    '',
    'x'.repeat(129),
    'a b',
    '<script>alert(1)</script>',
    '{"level":"fatal"}',
    "'; drop table users; --",
    '\u00e9',
    '%0d%0aSet-Cookie: a=b',
    '$(reboot)',
  ])('is a new one where the caller’s is not fit to be logged: %j', async (id) => {
    const { headers, status } = await ask(small, { 'x-request-id': id });
    expect(status).toBe(200);
    expect(headers['x-request-id']).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  });

  test('is one, where the caller sends two', async () => {
    const { headers } = await ask(small, { 'x-request-id': ['one', 'two'] });
    expect(headers['x-request-id']).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  });
});

describe('in production', () => {
  test('there is no GraphiQL, and no page at all', async () => {
    for (const path of ['/', '/graphiql', '/ruru', '/favicon.ico', '/ruru-static/ruru.js']) {
      const { status, headers } = await send(`${api.url}${path}`, {
        headers: { accept: 'text/html' },
      });
      expect({ path, status }).toEqual({ path, status: 404 });
      expect(headers['content-type']).toContain('json');
    }
  });

  test('a path that is none is answered as one that is not there', async () => {
    for (const path of ['/%', '/graphql/../healthz%00', '/graphql%2F', '//graphql']) {
      const { status } = await send(`${api.url}${path}`);
      expect({ path, status }).toEqual({ path, status: 404 });
    }
  });

  test('a path is found also where a proxy sends the whole URL', async () => {
    const { hostname, port } = new URL(api.url);
    for (const path of [`${api.url}/healthz`, `http://elsewhere/healthz?a=b`]) {
      const status = await new Promise((resolve, reject) => {
        const asked = request({ hostname, port, path, agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        asked.on('error', reject).end();
      });
      expect({ path, status }).toEqual({ path, status: 200 });
    }
  });

  test('the query string of a GraphQL request counts for nothing', async () => {
    const { text, status } = await send(`${api.url}/graphql?query={nope}&__proto__[x]=1`, {
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ __typename }' }),
    });
    expect({ text, status }).toEqual({ text: '{"data":{"__typename":"Query"}}', status: 200 });
  });
});
