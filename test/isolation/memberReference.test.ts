import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { isInputObjectType } from 'postgraphile/graphql';
import { projectRoot } from '../../platform/config/settings.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { guideTable } from '../support/schemaGuide.ts';
import { matrixFaults } from './compare.ts';
import { type House, openHouse } from './house.ts';
import { readMatrix } from './matrix.ts';
import { prove, tell } from './proof.ts';
import { asOwner, fewCallers, openWorld, type Seat, silenceGrafast, type World } from './world.ts';

/** A column that refers to a member of the organization: the example of the lint, and a policy for whom it names. */
const rule = readFileSync(join(projectRoot, 'db/lint/foreign_key_to_hidden_rows.sql'), 'utf8');
const reviewed = `${rule.match(/\/\* Good:\n(.*?)\*\//s)?.[1]}
  create policy select_reviewer on app_public.documents for select to app_user
    using (reviewer_id = (select app_hidden.current_user_id()));`;
/** The table of the guide with such a column, beside a reference that may not be left out. */
const notes = `${guideTable}
  alter table app_public.notes add column reviewer_id text,
    add constraint notes_reviewer_id_fkey foreign key (org_id, reviewer_id)
      references app_public.memberships (org_id, user_id) on delete set null (reviewer_id);
  create index on app_public.notes (org_id, reviewer_id);
  comment on column app_public.notes.reviewer_id is 'Who reads it.';
  grant insert (reviewer_id), update (reviewer_id) on app_public.notes to app_user;`;

let database: TestDatabase;
let house: House;
let world: World;
beforeAll(async () => {
  silenceGrafast();
  world = await openWorld({ migration: notes, others: 1, names: fewCallers });
  database = await openTestDatabase();
  await asOwner(database, reviewed);
  house = await openHouse(database, readMatrix());
}, 60_000);
afterAll(async () => {
  await world?.close();
  await house?.close();
  await database.close();
});

test('is made with no help: to a colleague, and left out', async () => {
  const { rows } = await house.client.query(
    `select distinct case when reviewer_id is null then 'nobody' when reviewer_id = owner_id then 'the owner' else 'a colleague' end as reviewer
     from app_public.documents where org_id = 'org_acme' order by 1`,
  );
  expect(rows.map(({ reviewer }) => reviewer)).toEqual(['a colleague', 'nobody']);
});

test('is in the matrix: where it may point, and what whom it names may do', async () => {
  const faults = (await matrixFaults(house, readMatrix())).join('\n');
  expect(faults).toContain(
    'documents_reviewer_id_fkey: reference to app_public.memberships of the same organization',
  );
  expect(faults).toMatch(/documents, rows, member: meant "own", found \{"select":"own org \d/);
});

test('is a field of the inputs, which takes the id of a user of the organization, and of nobody else', async () => {
  const [seat] = world.seats as [Seat];
  const ask = async (query: string, variables: object) =>
    JSON.parse((await world.ask(seat, 'shared', { query, variables })).text);
  const { data } = await ask('{ documents(first: 1) { edges { node { id } } } }', {});
  const [{ node: document }] = data.documents.edges;
  const make = (reviewer: string | null) =>
    ask(
      `mutation ($note: NoteInput!) {
          createNote(input: { note: $note }) { note { id reviewer { id reviewedNotes(first: 1) { edges { node { id } } } } } }
        }`,
      { note: { text: 'Read this.', document: document.id, reviewer } },
    );
  const bob = idOf('User', 'user_bob');
  const made = (await make(bob)).data.createNote.note;
  expect(made.reviewer).toEqual({
    id: bob,
    reviewedNotes: { edges: [{ node: { id: made.id } }] },
  });
  expect((await make(null)).data.createNote.note.reviewer).toBeNull();

  // Of another organization, of none, and of another type.
  for (const id of [
    idOf('User', 'user_carol'),
    idOf('User', 'user_nobody'),
    idOf('Membership', 'org_acme', 'user_bob'),
  ]) {
    const { errors } = await make(id);
    expect(errors[0].extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'reviewer' });
  }
  const patched = await ask(
    `mutation ($id: ID!, $reviewer: ID) {
        updateNote(input: { id: $id, patch: { reviewer: $reviewer } }) { note { reviewer { id } } }
      }`,
    { id: made.id, reviewer: idOf('User', 'user_ann') },
  );
  expect(patched.data.updateNote.note.reviewer).toEqual({ id: idOf('User', 'user_ann') });
  const input = world.schema.getType('NoteInput');
  const fields = isInputObjectType(input) ? input.getFields() : {};
  expect(fields.reviewer?.description).toBe('Who reads it. The id of a `User`.');
  expect(fields.document?.description).toBe('The document it is about. The id of a `Document`.');
  await world.sync(seat);
});

test('is asked for and written by the proof, by ids of users', async () => {
  const result = await prove(world, {
    seed: 1,
    operations: 300,
    fields: ['notes', 'createNote', 'updateNote'],
  });
  expect(result.leaks.map(tell).join('\n')).toBe('');
  expect(result.uncovered.filter((part) => /^Note(Input|Patch|Condition)\./.test(part))).toEqual(
    [],
  );
}, 60_000);

const idOf = (...parts: string[]) => Buffer.from(JSON.stringify(parts)).toString('base64');
