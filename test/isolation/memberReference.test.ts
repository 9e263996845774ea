import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { projectRoot } from '../../platform/config/settings.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { matrixFaults } from './compare.ts';
import { type House, openHouse } from './house.ts';
import { readMatrix } from './matrix.ts';
import { asOwner } from './world.ts';

/** A column that refers to a member of the organization: the example of the lint, and a policy for whom it names. */
const rule = readFileSync(join(projectRoot, 'db/lint/foreign_key_to_hidden_rows.sql'), 'utf8');
const reviewed = `${rule.match(/\/\* Good:\n(.*?)\*\//s)?.[1]}
  create policy select_reviewer on app_public.documents for select to app_user
    using (reviewer_id = (select app_hidden.current_user_id()));`;
let database: TestDatabase;
let house: House;
beforeAll(async () => {
  database = await openTestDatabase();
  await asOwner(database, reviewed);
  house = await openHouse(database, readMatrix());
});
afterAll(async () => {
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
