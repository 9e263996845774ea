import { randomBytes, randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { signWebhook } from '../../services/clerk/webhookSignature.ts';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Program, startProgram } from '../support/program.ts';
import { type Received, send } from '../support/send.ts';
import { until } from '../support/until.ts';

/** Clerk's events, from the wire to the mirror and back to whoever asks. */

const secret = `whsec_${randomBytes(24).toString('base64')}`;
let database: TestDatabase;
let api: TestApi;
let worker: Program;

beforeAll(async () => {
  database = await openTestDatabase();
  api = await startApi(database, { CLERK_WEBHOOK_SECRET: secret });
});
afterAll(async () => {
  await Promise.all([api.close(), worker?.close()]);
  await database.close();
});

type Delivery = {
  id?: string;
  atSeconds?: number;
  with?: string;
  headers?: Record<string, string>;
};

const nowSeconds = () => Math.floor(Date.now() / 1000);

function headersOf(body: string | Buffer, delivery: Delivery = {}): Record<string, string> {
  const { id = `msg_${randomUUID()}`, atSeconds = nowSeconds() } = delivery;
  const timestamp = String(atSeconds);
  const text = typeof body === 'string' ? Buffer.from(body) : body;
  return {
    'content-type': 'application/json',
    'svix-id': id,
    'svix-timestamp': timestamp,
    'svix-signature': signWebhook(delivery.with ?? secret, id, timestamp, text),
    ...delivery.headers,
  };
}

function deliver(body: string | Buffer, delivery: Delivery = {}): Promise<Received> {
  return send(`${api.url}/webhooks/clerk`, { body, headers: headersOf(body, delivery) });
}

let clockMs = Date.now();
/** Each event is a millisecond newer than the one before. */
function eventOf(type: string, data: object): string {
  clockMs += 1;
  return JSON.stringify({
    object: 'event',
    type,
    timestamp: clockMs,
    instance_id: 'ins_1',
    event_attributes: { http_request: { client_ip: '192.0.2.7', user_agent: 'a browser' } },
    data: { updated_at: clockMs, ...data },
  });
}
const userEvent = (type: string, id: string, first_name: string | null = null) =>
  eventOf(type, {
    object: 'user',
    id,
    first_name,
    last_name: 'Adams',
    primary_email_address_id: 'idn_2',
    email_addresses: [
      { id: 'idn_1', email_address: 'other@example.com' },
      { id: 'idn_2', email_address: `${first_name}@example.com` },
    ],
  });
const memberEvent = (verb: string, userId: string, orgId: string, role = 'org:member') =>
  eventOf(`organizationMembership.${verb}`, {
    object: 'organization_membership',
    id: `orgmem_${userId}`,
    created_at: 1_700_000_000_000,
    role,
    organization: { id: orgId, name: 'Acme Inc', slug: 'acme', updated_at: 1_700_000_000_000 },
    public_user_data: { user_id: userId, identifier: 'x@example.com' },
  });

const inbox = async () =>
  (await database.superuser.query('select id, type, outcome from app_private.clerk_events')).rows;
const refusedAs = (answer: Received) => ({
  status: answer.status,
  code: JSON.parse(answer.text).errors[0].extensions.code,
});

describe('a delivery', () => {
  test('is kept before it is acknowledged, and once', async () => {
    const body = userEvent('user.created', 'user_ann', 'Ann');
    const id = 'msg_once';
    expect((await deliver(body, { id })).status).toBe(204);
    expect(await inbox()).toEqual([{ id, type: 'user.created', outcome: null }]);
    expect((await deliver(body, { id })).status).toBe(204);
    expect(await inbox()).toHaveLength(1);
    const { rows } = await database.superuser.query(
      'select changes::text from app_private.clerk_events',
    );
    expect(rows[0].changes).not.toMatch(/192\.0\.2\.7|a browser|other@example/);
  });

  test('is believed with any of several signatures', async () => {
    const body = userEvent('user.updated', 'user_ann', 'Ann');
    const { 'svix-signature': ours = '', ...headers } = headersOf(body);
    const signature = `v2,${ours.slice(3)} v1a,x v1,${randomBytes(32).toString('base64')} ${ours}`;
    const answer = await send(`${api.url}/webhooks/clerk`, {
      body,
      headers: { ...headers, 'svix-signature': signature },
    });
    expect(answer.status).toBe(204);
  });

  test.each([[-299], [299]])('is believed %d s from now', async (seconds) => {
    const atSeconds = nowSeconds() + seconds;
    expect((await deliver(userEvent('user.updated', 'user_ann'), { atSeconds })).status).toBe(204);
  });

  test.each<[string, (body: string) => Parameters<typeof deliver>]>([
    [
      'with another secret',
      (body) => [body, { with: `whsec_${randomBytes(24).toString('base64')}` }],
    ],
    ['from six minutes ago', (body) => [body, { atSeconds: nowSeconds() - 360 }]],
    ['from six minutes ahead', (body) => [body, { atSeconds: nowSeconds() + 360 }]],
    ['over other bytes', (body) => [`${body} `, { headers: headersOf(body) }]],
    ['of another id', (body) => [body, { headers: { 'svix-id': 'msg_other' } }]],
    ['of another time', (body) => [body, { headers: { 'svix-timestamp': `${nowSeconds() - 1}` } }]],
    ['with a time in words', (body) => [body, { headers: { 'svix-timestamp': 'now' } }]],
    ['with a time of 1e9', (body) => [body, { headers: { 'svix-timestamp': '1e9' } }]],
    ['with an empty signature', (body) => [body, { headers: { 'svix-signature': '' } }]],
    [
      'with a signature without version',
      (body) => [
        body,
        { headers: { 'svix-signature': headersOf(body)['svix-signature']?.slice(3) ?? '' } },
      ],
    ],
    [
      'with a shortened signature',
      (body) => [
        body,
        { headers: { 'svix-signature': headersOf(body)['svix-signature']?.slice(0, 20) ?? '' } },
      ],
    ],
    ['with an empty id', (body) => [body, { id: '' }]],
  ])('%s is refused, and leaves nothing', async (_, tampered) => {
    const before = await inbox();
    const answer = await deliver(...tampered(userEvent('user.updated', 'user_ann')));
    expect(refusedAs(answer)).toEqual({ status: 400, code: 'BAD_SIGNATURE' });
    expect(await inbox()).toEqual(before);
  });

  test('without signature is refused, whatever else it is', async () => {
    const authorization = `Bearer ${await signIn({ user: 'user_ann' })}`;
    for (const headers of [undefined, { authorization }]) {
      const answer = await send(`${api.url}/webhooks/clerk`, {
        body: '{}',
        ...(headers && { headers }),
      });
      expect(refusedAs(answer)).toEqual({ status: 400, code: 'BAD_SIGNATURE' });
    }
  });

  test('of more than 512 KB is refused', async () => {
    const answer = await deliver('x'.repeat(600_000));
    expect(refusedAs(answer)).toEqual({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
  });

  test('that does not end keeps nobody waiting', async () => {
    const endless = httpRequest(`${api.url}/webhooks/clerk`, { method: 'POST' });
    endless.on('error', () => {});
    endless.write('{');
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
    endless.destroy();
  });

  test.each<[string, string, string | null]>([
    [
      'of a kind that the mirror does not follow',
      '{"type":"session.created","data":{"id":"x"}}',
      null,
    ],
    ['of no kind', '{"data":{}}', null],
    ['of a kind from the prototype', '{"type":"constructor.created","data":{}}', null],
    ['that is no JSON', 'hello', null],
    ['that is empty', '', null],
    ['of a user without id', '{"type":"user.created","data":{}}', 'unreadable'],
    [
      'of a user with the id of an organization',
      '{"type":"user.deleted","data":{"id":"org_acme"}}',
      'unreadable',
    ],
  ])('%s is acknowledged, so that it is not sent for ever', async (_, body, outcome) => {
    const id = `msg_${randomUUID()}`;
    expect((await deliver(body, { id })).status).toBe(204);
    const kept = (await inbox()).find((event) => event.id === id);
    expect(kept?.outcome ?? null).toBe(outcome);
  });

  test('is counted and logged without what it says', async () => {
    const metrics = await (await fetch(`${api.url}/metrics`)).text();
    for (const outcome of ['stored', 'duplicate', 'rejected', 'ignored', 'unreadable']) {
      expect(metrics).toMatch(
        new RegExp(
          `^rowhouse_webhooks_received_total\\{outcome="${outcome}",event="[.\\w]+"\\} \\d+$`,
          'm',
        ),
      );
    }
    expect(JSON.stringify(api.logs)).not.toMatch(/Ann@example|192\.0\.2\.7/);
    expect(api.logs.find(({ cause }) => cause === 'webhook-signature')).toBeTruthy();
  });
});

test('without a secret there is no such route', async () => {
  const plain = await startApi(database);
  try {
    const body = userEvent('user.created', 'user_ann');
    const answer = await send(`${plain.url}/webhooks/clerk`, { body, headers: headersOf(body) });
    expect(refusedAs(answer)).toEqual({ status: 404, code: 'NOT_FOUND' });
  } finally {
    await plain.close();
  }
});

describe('with a worker', () => {
  beforeAll(async () => {
    worker = startProgram('worker/main.ts', {
      DATABASE_WORKER_URL: database.workerUrl,
      WORKER_PORT: '0',
    });
    await worker.line(({ msg }) => msg === 'ready');
  });

  const applied = () =>
    until('the inbox to be worked off', async () =>
      (await inbox()).every(({ outcome }) => outcome !== null),
    );
  const tell = async (body: string) => {
    expect((await deliver(body)).status).toBe(204);
    await applied();
  };
  const write =
    'mutation { createDocument(input: {document: {title: "Mine"}}) { document { id } } }';
  const read =
    '{ me { id } viewer { organization { name } } documents { edges { node { title } } } }';

  test('the mirror follows', async () => {
    await tell(userEvent('user.updated', 'user_bob', 'Bob'));
    await tell(memberEvent('created', 'user_bob', 'org_acme', 'org:editor'));
    const bob = await signIn({
      user: 'user_bob',
      org: 'org_acme',
      role: 'editor',
      name: 'Not Bob',
    });
    const { data } = await api.request(
      bob,
      '{ me { name email memberships { edges { node { role organization { name slug } } } } } }',
    );
    expect(data.me).toEqual({
      name: 'Bob Adams',
      email: 'Bob@example.com',
      memberships: {
        edges: [{ node: { role: 'editor', organization: { name: 'Acme Inc', slug: 'acme' } } }],
      },
    });
  });

  test('a removed member’s token is refused from then on, known to the API or not, for reads and writes', async () => {
    const known = await signIn({ user: 'user_bob', org: 'org_acme' });
    const other = await signIn({ user: 'user_bob' });
    const colleague = await signIn({ user: 'user_eve', org: 'org_acme' });
    for (const token of [known, other, colleague]) {
      expect((await api.request(token, write)).errors).toBeUndefined();
    }

    await tell(memberEvent('deleted', 'user_bob', 'org_acme'));
    const unknown = await signIn({ user: 'user_bob', org: 'org_acme', role: 'admin' });
    for (const token of [known, unknown]) {
      for (const query of [
        read,
        write,
        '{ documents { edges { node { id } } } }',
        '{ me { id } }',
      ]) {
        const { data, errors } = await api.request(token, query);
        expect(new Set(errors?.map(({ extensions }) => extensions.code))).toEqual(
          new Set(['FORBIDDEN']),
        );
        expect(
          Object.values(data ?? {}).every(
            (value) => value === null || 'organization' in Object(value),
          ),
        ).toBe(true);
      }
    }
    const { rows } = await database.superuser.query(
      `select owner_id from app_public.documents where org_id = 'org_acme' order by owner_id`,
    );
    expect(rows).toEqual([{ owner_id: 'user_bob' }, { owner_id: 'user_eve' }]);
    // Nobody else, and nowhere else.
    for (const token of [other, colleague]) {
      expect((await api.request(token, read)).errors).toBeUndefined();
    }
  });

  test('a late event from before does not let them in again, a new membership does', async () => {
    const token = await signIn({ user: 'user_bob', org: 'org_acme' });
    await tell(memberEvent('updated', 'user_bob', 'org_acme', 'org:admin'));
    expect((await api.request(token, '{ me { id } }')).errors).toHaveLength(1);
    const again = JSON.parse(memberEvent('created', 'user_bob', 'org_acme'));
    again.data.created_at = Date.now();
    await tell(JSON.stringify(again));
    expect((await api.request(token, '{ me { id } }')).errors).toBeUndefined();
  });

  test('a deleted user is refused everywhere, and nothing personal of them is left', async () => {
    const tokens = [
      await signIn({ user: 'user_bob', org: 'org_acme' }),
      await signIn({ user: 'user_bob' }),
    ];
    await tell(userEvent('user.deleted', 'user_bob'));
    for (const token of tokens) {
      expect((await api.request(token, '{ me { id } }')).errors?.[0]?.extensions.code).toBe(
        'FORBIDDEN',
      );
    }
    const { rows } = await database.superuser.query(
      `select name, email, (select count(*)::int from app_public.documents where org_id = 'org_acme') as ours,
         (select count(*)::int from app_public.documents where org_id = 'user_bob') as mine
       from app_public.users where id = 'user_bob'`,
    );
    expect(rows).toEqual([{ name: null, email: null, ours: 2, mine: 0 }]);
    const everything = await database.superuser.query(
      'select changes::text from app_private.clerk_events where changes is not null',
    );
    expect(everything.rows).toEqual([]);
  });
});
