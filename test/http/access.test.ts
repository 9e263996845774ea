import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { goneChange } from '../../services/clerk/changes.ts';
import { connected } from '../db/callers.ts';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { guideTable } from '../support/schemaGuide.ts';

let database: TestDatabase;
let development: TestApi;
let production: TestApi;
let ann: string;
let bob: string;
let zoe: string;
let id: string;
const unknown = Buffer.from('["Document","01900000-0000-7000-8000-000000000000"]').toString(
  'base64',
);

beforeAll(async () => {
  database = await openTestDatabase();
  await connected(database.ownerUrl, (client) => client.query(guideTable));
  const DATABASE_OWNER_URL = database.ownerUrl;
  [development, production] = await Promise.all([
    startApi(database, { NODE_ENV: 'development', DATABASE_OWNER_URL }),
    startApi(database, {
      NODE_ENV: 'production',
      DATABASE_OWNER_URL,
      HOST: '127.0.0.1',
      CLERK_AUTHORIZED_PARTIES: '',
    }),
  ]);
  ann = await signIn({ user: 'user_ann', org: 'org_acme' });
  bob = await signIn({ user: 'user_bob', org: 'org_acme' });
  zoe = await signIn({ user: 'user_zoe', org: 'org_globex', role: 'admin' });
  for (const token of [bob, zoe]) await production.request(token, '{ me { id } }');
  const { data } = await production.request(
    ann,
    'mutation { createDocument(input: { document: { title: "Hers" } }) { document { id } } }',
  );
  id = data.createDocument.document.id;
});
afterAll(async () => {
  await development?.close();
  await production?.close();
  await database.close();
});

const update =
  'mutation ($id: ID!) { changed: updateDocument(input: { id: $id, patch: { title: "X" } }) { document { id } } }';
const remove = 'mutation ($id: ID!) { deleteDocument(input: { id: $id }) { deletedDocumentId } }';

describe('in development, a refusal says which policy decided', () => {
  test('of a row of the organization', async () => {
    const { errors } = await development.request(bob, update, { id });
    expect(errors).toMatchObject([
      {
        extensions: {
          code: 'NOT_FOUND',
          access: {
            allowed: false,
            command: 'update',
            table: 'app_public.documents',
            tried: false,
          },
        },
      },
    ]);
    expect(JSON.stringify(errors)).toContain('update_own');
  });

  test('of a row of another organization, and of one that is not there', async () => {
    const access = async (target: string) =>
      (await development.request(zoe, remove, { id: target })).errors?.[0]?.extensions.access;
    expect(await access(id)).toMatchObject({
      rowOrgId: 'org_acme',
      decidedBy: expect.stringContaining('all_same_org'),
    });
    expect(await access(unknown)).toEqual({
      decidedBy: expect.stringContaining('There is no row'),
    });
  });

  test('of an id of another type, which is not taken for that of the row with the same key', async () => {
    const uuid = JSON.parse(Buffer.from(id, 'base64').toString())[1];
    const file = Buffer.from(JSON.stringify(['File', uuid])).toString('base64');
    const { errors } = await development.request(ann, update, { id: file });
    expect(errors?.[0]?.extensions.access).toEqual({
      decidedBy: expect.stringContaining('is an id of type File'),
    });
  });

  test('of a row of the schema guide’s table, which has no policy for the owner’s login', async () => {
    const { data } = await development.request(
      ann,
      'mutation ($document: ID!) { createNote(input: { note: { document: $document, text: "N" } }) { note { id } } }',
      { document: id },
    );
    const note = data.createNote.note.id;
    const change =
      'mutation ($id: ID!) { updateNote(input: { id: $id, patch: { text: "X" } }) { note { id } } }';
    const remove = 'mutation ($id: ID!) { deleteNote(input: { id: $id }) { deletedNoteId } }';
    const refusedBy = async (token: string, mutation: string) =>
      (await development.request(token, mutation, { id: note })).errors?.[0]?.extensions.access;
    const told = { allowed: false, tried: false, row: 'given', table: 'app_public.notes' };
    expect(await refusedBy(bob, change)).toMatchObject({
      ...told,
      decidedBy: expect.stringContaining('update_own'),
    });
    expect(await refusedBy(bob, remove)).toMatchObject({
      ...told,
      decidedBy: expect.stringContaining('delete_own'),
    });
    expect(await refusedBy(zoe, change)).toMatchObject({
      ...told,
      decidedBy: expect.stringContaining('all_same_org'),
    });
  });

  test('or that none did: who is no longer a member gets as far as no policy', async () => {
    const gone = await signIn({ user: 'user_gone', org: 'org_acme' });
    const create =
      'mutation { createDocument(input: { document: { title: "X" } }) { document { id } } }';
    expect((await development.request(gone, create)).errors).toBeUndefined();
    await database.superuser.query('select app_private.apply_clerk_change($1)', [
      JSON.stringify(goneChange({ userId: 'user_gone', orgId: 'org_acme' }, Date.now())),
    ]);
    expect((await development.request(gone, create)).errors).toMatchObject([
      {
        extensions: {
          code: 'FORBIDDEN',
          access: {
            allowed: false,
            decidedBy: expect.stringContaining('before any policy'),
            shutOut: expect.any(String),
          },
        },
      },
    ]);
  });

  test('and nothing where nothing was refused', async () => {
    const { errors } = await development.request(
      bob,
      '{ documents(first: 1000) { edges { cursor } } }',
    );
    expect(errors?.[0]?.extensions).not.toHaveProperty('access');
  });
});

describe('in production, with the same settings', () => {
  test('no refusal says anything of the kind, and someone else’s id is answered as a random one', async () => {
    for (const mutation of [update, remove]) {
      const answers: string[] = [];
      for (const target of [id, unknown]) {
        const { errors, data } = await production.request(zoe, mutation, { id: target });
        expect(Object.keys(errors?.[0]?.extensions ?? {}).sort()).toEqual(['code', 'requestId']);
        const requestId = String(errors?.[0]?.extensions.requestId);
        answers.push(JSON.stringify({ errors, data }).replaceAll(requestId, 'id'));
      }
      expect(answers[0]).toBe(answers[1]);
    }
  });
});
