import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { goneChange } from '../../services/clerk/changes.ts';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let api: TestApi;
let ann: string;
let bob: string;
let boss: string;
let zoe: string;

beforeAll(async () => {
  database = await openTestDatabase();
  // A mutation that is refused by SQL of ours.
  await database.superuser.query(`
    set role rowhouse_owner;
    create function app_public.launch() returns text language plpgsql volatile set search_path = ''
      as $$ begin raise exception 'You may not do this.' using errcode = 'RW403'; end $$;
    grant execute on function app_public.launch() to app_user;
    reset role`);
  api = await startApi(database, { AI_SERVICE_URL: 'http://127.0.0.1:1' });
  ann = await signIn({ user: 'user_ann', org: 'org_acme' });
  bob = await signIn({ user: 'user_bob', org: 'org_acme' });
  boss = await signIn({ user: 'user_boss', org: 'org_acme', role: 'admin' });
  zoe = await signIn({ user: 'user_zoe', org: 'org_globex', role: 'admin' });
  // Their first sight is in the trail, too.
  for (const token of [ann, bob, boss, zoe]) await api.request(token, '{ me { id } }');
});
afterAll(async () => {
  await api.close();
  await database.close();
});

type Node = Record<string, unknown>;
const fields = `edges { node { id action source actorId impersonatorId tableName rowId operation changed
  oldValues newValues errorCode requestId traceId createdAt actor { id } } }`;

async function eventsFor(token: string, args = ''): Promise<Node[]> {
  const { data, errors } = await api.request(token, `{ auditEvents${args} { ${fields} } }`);
  expect(errors).toBeUndefined();
  return data.auditEvents.edges.map(({ node }: { node: Node }) => node);
}

async function write(token: string, title: string): Promise<string> {
  const { data } = await api.request(
    token,
    'mutation ($title: String!) { createDocument(input: { document: { title: $title } }) { document { id } } }',
    { title },
  );
  return data.createDocument.document.id;
}

const update =
  'mutation ($id: ID!) { changed: updateDocument(input: { id: $id, patch: { title: "Changed" } }) { document { id } } }';

describe('auditEvents', () => {
  test('tell administrators who changed what, newest first, with request and trace', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const response = await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${ann}`,
        'x-request-id': 'asked-1',
        traceparent: `00-${traceId}-b7ad6b7169203331-01`,
      },
      body: JSON.stringify({
        query:
          'mutation { createDocument(input: { document: { title: "Secret" } }) { document { id } } }',
      }),
    });
    const { data } = (await response.json()) as {
      data: { createDocument: { document: { id: string } } };
    };
    const [newest] = await eventsFor(boss);
    expect(newest).toMatchObject({
      action: 'INSERT',
      source: 'REQUEST',
      actorId: 'user_ann',
      impersonatorId: null,
      tableName: 'documents',
      requestId: 'asked-1',
      traceId,
      actor: { id: expect.any(String) },
    });
    expect(JSON.stringify(newest)).not.toContain('Secret');
    expect(
      await eventsFor(boss, `(condition: { row: "${data.createDocument.document.id}" })`),
    ).toEqual([newest]);
  });

  test('tell who acted in the user’s place', async () => {
    const impersonated = await signIn({ user: 'user_ann', org: 'org_acme', actor: 'user_support' });
    const id = await write(impersonated, 'By support');
    expect(await eventsFor(boss, `(condition: { row: "${id}" })`)).toMatchObject([
      { actorId: 'user_ann', impersonatorId: 'user_support' },
    ]);
  });

  test('are found by actor, by table, by row and by time', async () => {
    const id = await write(bob, 'One');
    await api.request(bob, update, { id });
    const { data } = await api.request(bob, '{ me { id } }');
    const ofBob = await eventsFor(boss, `(condition: { actor: "${data.me.id}" })`);
    expect(ofBob.map(({ action }) => action)).toEqual(['UPDATE', 'INSERT']);
    const ofRow = await eventsFor(boss, `(condition: { row: "${id}" }, orderBy: [CREATED_AT_ASC])`);
    expect(ofRow).toEqual(ofBob.toReversed());
    const ofTable = await eventsFor(boss, '(condition: { tableName: "memberships" })');
    expect(ofTable.map(({ tableName }) => tableName)).toEqual([
      'memberships',
      'memberships',
      'memberships',
    ]);
    const [last, first] = ofBob;
    expect(
      await eventsFor(boss, `(condition: { since: "${last?.createdAt}", actor: "${data.me.id}" })`),
    ).toContainEqual(last);
    expect(
      await eventsFor(
        boss,
        `(condition: { until: "${first?.createdAt}", actor: "${data.me.id}" })`,
      ),
    ).toEqual([]);
    expect(await eventsFor(boss, '(condition: { until: "2020-01-01" })')).toEqual([]);
  });

  test('of a membership are those of its organization', async () => {
    const of = (orgId: string) =>
      Buffer.from(JSON.stringify(['Membership', orgId, 'user_ann'])).toString('base64');
    const found = (orgId: string) => eventsFor(boss, `(condition: { row: "${of(orgId)}" })`);
    expect(await found('org_acme')).toMatchObject([{ tableName: 'memberships' }]);
    expect(await found('org_globex')).toEqual([]);
  });

  test('are for nobody else', async () => {
    expect(await eventsFor(ann)).toEqual([]);
    for (const node of await eventsFor(zoe)) expect(node.tableName).not.toBe('documents');
    const [event] = await eventsFor(boss);
    const byId = 'query ($id: ID!) { auditEvent(id: $id) { id } node(id: $id) { id } }';
    for (const token of [ann, zoe]) {
      expect((await api.request(token, byId, { id: event?.id })).data).toEqual({
        auditEvent: null,
        node: null,
      });
    }
    expect((await api.request(boss, byId, { id: event?.id })).data.node).toEqual({ id: event?.id });
  });

  test.each(['"x"', '"WyJEb2N1bWVudCJd"', '"bnVsbA=="'])('refuse %s as a row', async (id) => {
    const { errors } = await api.request(
      boss,
      `{ auditEvents(condition: { row: ${id} }) { ${fields} } }`,
    );
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'row' });
  });
});

describe('a mutation that is refused', () => {
  const refusedOf = async (requestId: string, reader = boss) =>
    until('the refusal', async () => {
      const found = (await eventsFor(reader)).filter(
        (node) => node.action === 'REFUSED' && node.requestId === requestId,
      );
      return found.length > 0 && found;
    });

  test('is told with the row, whether policies hide it or it is not there', async () => {
    const id = await write(ann, 'Hers');
    const unknown = Buffer.from('["Document","01900000-0000-7000-8000-000000000000"]').toString(
      'base64',
    );
    for (const target of [id, unknown]) {
      const { errors } = await api.request(bob, update, { id: target });
      const requestId = String(errors?.[0]?.extensions.requestId);
      const [, rowId] = JSON.parse(Buffer.from(target, 'base64').toString());
      expect(await refusedOf(requestId)).toMatchObject([
        {
          actorId: 'user_bob',
          operation: 'updateDocument',
          tableName: 'documents',
          rowId,
          errorCode: 'NOT_FOUND',
        },
      ]);
    }
  });

  test('is told with the code where SQL of ours refuses', async () => {
    const { errors } = await api.request(bob, 'mutation { launch(input: {}) { result } }');
    expect(errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    expect(await refusedOf(String(errors?.[0]?.extensions.requestId))).toMatchObject([
      { operation: 'launch', tableName: null, rowId: null, errorCode: 'FORBIDDEN' },
    ]);
  });

  test('is told with what it referred to, where that is not the caller’s to refer to', async () => {
    const hers = await write(ann, 'Hers');
    const refused = async (document: string) => {
      const { errors } = await api.request(
        zoe,
        `mutation ($document: ID!) {
          startGeneration(input: { prompt: "P", document: $document }) { generation { id } } }`,
        { document },
      );
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'document' });
      return String(errors?.[0]?.extensions.requestId);
    };
    const invented = await refused('nonsense');
    const [, rowId] = JSON.parse(Buffer.from(hers, 'base64').toString());
    expect(await refusedOf(await refused(hers), zoe)).toMatchObject([
      { operation: 'startGeneration', tableName: 'documents', rowId, errorCode: 'BAD_USER_INPUT' },
    ]);
    // What names nothing was not denied to anybody.
    expect((await eventsFor(zoe)).filter((node) => node.requestId === invented)).toEqual([]);
  });

  test('is told also where it was not read, since its sender is no member any more', async () => {
    const gone = await signIn({ user: 'user_gone', org: 'org_acme' });
    await api.request(gone, '{ me { id } }');
    await database.superuser.query('select app_private.apply_clerk_change($1)', [
      JSON.stringify(goneChange({ userId: 'user_gone', orgId: 'org_acme' }, Date.now())),
    ]);
    // A token that says something new, so that the mirror is asked.
    const again = await signIn({ user: 'user_gone', org: 'org_acme', role: 'admin' });
    const { errors } = await api.request(again, update, { id: await write(ann, 'Hers') });
    expect(errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    expect(await refusedOf(String(errors?.[0]?.extensions.requestId))).toMatchObject([
      { actorId: 'user_gone', operation: 'request', rowId: null, errorCode: 'FORBIDDEN' },
    ]);
  });
});
