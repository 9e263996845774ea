import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { LogLine } from '../../dev/childProcess.ts';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { send, sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';

const metricsToken = 'metrics-token-of-the-tests';
const secretTitle = 'Merger with Initech';

let database: TestDatabase;
let api: TestApi;
let token: string;

beforeAll(async () => {
  database = await openTestDatabase();
  api = await startApi(database, {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'trace',
    LOG_PSEUDONYM_KEY: 'a key of at least thirty-two characters',
    METRICS_TOKEN: metricsToken,
    SHUTDOWN_DRAIN_MS: '0',
  });
  token = await signIn({
    user: 'user_ann',
    org: 'org_acme',
    email: 'ann@example.com',
    name: 'Ann Archer',
  });
});
afterAll(async () => {
  await api.close();
  await database.close();
});

describe('/metrics', () => {
  test('answers whoever has the token, and nobody else', async () => {
    expect((await readMetrics()).status).toBe(200);
    for (const authorization of [
      undefined,
      '',
      'Bearer wrong',
      metricsToken,
      `Basic ${metricsToken}`,
      `Bearer ${metricsToken}x`,
      `Bearer ${token}`,
    ]) {
      const answer = await send(`${api.url}/metrics`, {
        headers: authorization === undefined ? {} : { authorization },
      });
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Bearer');
      expect(answer.text).not.toContain('http_server');
    }
  });

  test('is text as Prometheus reads it: each series once, under its type', async () => {
    await ask('{ me { id } }');
    const { headers, text } = await readMetrics();
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const lines = text.trimEnd().split('\n');
    const series = lines.filter((line) => !line.startsWith('#'));
    for (const line of series)
      expect(line).toMatch(/^[a-z_:][\w:]*(\{[^{}]*\})? (-?[\d.e+-]+|[+-]Inf|NaN)$/i);
    const names = series.map((line) => line.replace(/ [^ ]+$/, ''));
    expect(new Set(names).size).toBe(names.length);
    expect(text).toMatch(/^# TYPE http_server_request_duration\w* histogram$/m);
  });

  test('counts and times requests by operation name, type and outcome', async () => {
    const before = await operations();
    await ask('query Who { me { id } }');
    await ask('query Who { me { id } }');
    await ask(
      'mutation Write { createDocument(input: {document: {title: "x"}}) { document { id } } }',
    );
    await ask(
      'mutation Write { createDocument(input: {document: {title: ""}}) { document { id } } }',
    );
    await ask('query Page { documents(first: 101) { edges { cursor } } }');
    await ask('{ me { id } }');
    const after = await until('all of it to be counted', async () => {
      const counts = await operations();
      return (
        (counts['query anonymous ok']?.count ?? 0) > (before['query anonymous ok']?.count ?? 0) &&
        counts
      );
    });
    expect(after['query Who ok']).toEqual({ count: 2, seconds: expect.any(Number) });
    expect(after['mutation Write ok']?.count).toBe(1);
    expect(after['mutation Write BAD_USER_INPUT']?.count).toBe(1);
    expect(
      after['query other BAD_USER_INPUT']?.count ?? after['query Page BAD_USER_INPUT']?.count,
    ).toBe(1);
    for (const { seconds } of Object.values(after)) {
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThan(10);
    }
  });

  test('counts requests by route and status, whatever their path', async () => {
    await send(`${api.url}/some/private/path-${randomUUID()}`);
    await send(`${api.url}/graphql`, { method: 'POST' });
    await send(`${api.url}/healthz`);
    const text = await until('the requests to be counted', async () => {
      const metrics = (await readMetrics()).text;
      return metrics.includes('http_route="/healthz"') && metrics;
    });
    expect(text).toMatch(
      /http_server_request_duration\w*_count\{[^}]*http_route="other",http_response_status_code="404"/,
    );
    expect(text).toMatch(
      /http_server_request_duration\w*_count\{[^}]*http_route="\/graphql",http_response_status_code="401"/,
    );
    expect(text).toMatch(/rowhouse_requests_refused\w*\{cause="missing"\} [1-9]/);
    expect(text).not.toContain('private');
  });

  test('keeps out names that were only made up', async () => {
    const name = `Made_up_${randomUUID().replaceAll('-', '')}`;
    const requestId = randomUUID();
    await ask(`query ${name} { nope }`, undefined, requestId);
    await logOf(requestId);
    expect((await readMetrics()).text).not.toContain(name);
  });

  test('names no one', async () => {
    const { text } = await readMetrics();
    expect(text).not.toMatch(/user_ann|org_acme|ann@example|Archer|Initech/);
  });
});

describe('the log', () => {
  test('has one JSON line for each request, found by its id', async () => {
    const requestId = randomUUID();
    await ask('query Who { me { id } }', undefined, requestId);
    expect(await logOf(requestId)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      msg: 'request',
      requestId,
      method: 'POST',
      route: '/graphql',
      status: 200,
      durationMs: expect.any(Number),
      operationName: 'Who',
      operationType: 'query',
      errorCode: null,
      userHash: expect.stringMatching(/^[0-9a-f]{16}$/),
      orgHash: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
  });

  test('tells what failed by its code', async () => {
    const requestId = randomUUID();
    await ask('query Page { documents(first: 101) { edges { cursor } } }', undefined, requestId);
    expect(await logOf(requestId)).toMatchObject({ status: 200, errorCode: 'BAD_USER_INPUT' });
  });

  test('knows users and organizations by hashes alone, the same for the same', async () => {
    const [first, second, other] = [randomUUID(), randomUUID(), randomUUID()];
    await ask('{ me { id } }', undefined, first);
    await ask('{ viewer { role } }', undefined, second);
    await ask(
      '{ me { id } }',
      undefined,
      other,
      await signIn({ user: 'user_bob', org: 'org_acme' }),
    );
    const [one, two, three] = [await logOf(first), await logOf(second), await logOf(other)];
    expect(two.userHash).toBe(one.userHash);
    expect(three.userHash).not.toBe(one.userHash);
    expect(three.orgHash).toBe(one.orgHash);
  });

  test('has no token, variable, title, name or address in it, at its most talkative', async () => {
    const write =
      'mutation Write($title: String!, $body: String) { createDocument(input: {document: {title: $title, body: $body}}) { document { id } } }';
    const sent: [string, object?][] = [
      [write, { title: secretTitle, body: secretTitle }],
      [write, { title: secretTitle, body: 7 }],
      [write, { title: '', body: secretTitle }],
      [write, { title: `${secretTitle}\0` }],
      [
        `mutation { createDocument(input: {document: {title: "${secretTitle}"}}) { document { id } } }`,
      ],
      [`{ searchDocuments(query: "${secretTitle}") { edges { node { title } } } }`],
      [`{ nope(title: "${secretTitle}") }`],
      [`{ documents(after: "${btoa(secretTitle)}") { edges { cursor } } }`],
    ];
    for (const [query, variables] of sent) await ask(query, variables);
    await send(`${api.url}/graphql?token=${token}&title=${encodeURIComponent(secretTitle)}`, {
      headers: {
        authorization: `Basic ${btoa(`ann:${secretTitle}`)}`,
        cookie: `__session=${token}`,
      },
      body: secretTitle,
    });
    await send(`${api.url}/metrics`, { headers: { authorization: `Bearer ${metricsToken}` } });
    await database.superuser.query(
      `create function app_private.fail() returns trigger language plpgsql as
         $$ begin raise exception 'no' using detail = new.title; end $$;
       create trigger fail before insert on app_public.documents
         for each row execute function app_private.fail()`,
    );
    const requestId = randomUUID();
    await ask(write, { title: secretTitle }, requestId);
    await logOf(requestId);

    const log = JSON.stringify(api.logs);
    const [, payload = '', signature = ''] = token.split('.');
    for (const secret of [
      payload,
      signature,
      secretTitle,
      btoa(secretTitle),
      encodeURIComponent(secretTitle),
      metricsToken,
      'user_ann',
      'org_acme',
      'ann@example.com',
      'Archer',
      '127.0.0.1:5',
    ]) {
      expect(log).not.toContain(secret);
    }
  });

  test('is JSON from the first line to the last', () => {
    for (const line of api.logs) {
      expect(line).toMatchObject({ level: expect.any(String), time: expect.any(String) });
    }
  });
});

/** Sends an operation with a request id of the caller's choice. */
async function ask(
  query: string,
  variables?: object,
  requestId: string = randomUUID(),
  as = token,
) {
  return sendGraphql(api.url, as, { query, variables }, { headers: { 'x-request-id': requestId } });
}

function logOf(requestId: string): Promise<LogLine> {
  return until(`the line of ${requestId}`, () =>
    api.logs.find((line) => line.msg === 'request' && line.requestId === requestId),
  );
}

function readMetrics() {
  return send(`${api.url}/metrics`, { headers: { authorization: `Bearer ${metricsToken}` } });
}

/** Counts and seconds by `type name outcome`. */
async function operations(): Promise<Record<string, { count: number; seconds: number }>> {
  const { text } = await readMetrics();
  const found: Record<string, { count: number; seconds: number }> = {};
  const pattern =
    /^graphql_server_operation_duration\w*?_(count|sum)\{graphql_operation_name="(\w+)",graphql_operation_type="(\w+)",outcome="(\w+)"\} (\S+)$/gm;
  for (const [, what, name, type, outcome, value] of text.matchAll(pattern)) {
    const key = `${type} ${name} ${outcome}`;
    found[key] = {
      count: 0,
      seconds: 0,
      ...found[key],
      [what === 'count' ? 'count' : 'seconds']: Number(value),
    };
  }
  return found;
}
