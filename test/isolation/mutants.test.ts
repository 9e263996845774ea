import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type House, openHouse } from './house.ts';
import { readMatrix } from './matrix.ts';
import { readEquivalents, tryMutants, unexpected } from './mutantRun.ts';
import { listMutants, weakened } from './mutants.ts';

/**
 * The matrix, the lint and the conventions are tested in turn: the database is weakened, and one of
 * them has to notice. Here a choice; test/faults/mutants.test.ts tries all.
 */

const matrix = readMatrix();
let database: TestDatabase;
let house: House;
beforeAll(async () => {
  database = await openTestDatabase();
  house = await openHouse(database, matrix);
});
afterAll(async () => {
  await house?.close();
  await database.close();
});

test('row-level security, and a choice of policies, grants, keys and functions, cannot be weakened unseen', async () => {
  const all = await listMutants(house.client);
  const kinds = new Set(all.map(({ kind }) => kind));
  expect([...kinds].sort()).toEqual([
    'constraint',
    'function',
    'grant',
    'policy',
    'role',
    'row-level security',
    'trigger',
  ]);
  const chosen = all.filter(({ kind }, i) => kind === 'row-level security' || i % 12 === 0);
  expect(chosen.length).toBeGreaterThan(80);
  const verdicts = await tryMutants(house, matrix, chosen);
  expect(unexpected(verdicts, readEquivalents())).toEqual({ survivors: [], needless: [] });
}, 180_000);

describe('a condition is taken apart', () => {
  test.each([
    ['a', []],
    [
      '((a = 1) OR (b = 2))',
      ['(false OR (b = 2))', '(true OR (b = 2))', '((a = 1) OR false)', '((a = 1) OR true)'],
    ],
    [
      "(id = ( SELECT m.id FROM m WHERE ((m.a = ' AND )') AND (m.b = 2))))",
      [
        '(id = ( SELECT m.id FROM m WHERE (true AND (m.b = 2))))',
        "(id = ( SELECT m.id FROM m WHERE ((m.a = ' AND )') AND true)))",
      ],
    ],
  ])('%s', (expression, others) => {
    const found = weakened(expression).map((one) => one.expression);
    expect(found.sort()).toEqual(['true', 'false', ...others].sort());
  });
});
