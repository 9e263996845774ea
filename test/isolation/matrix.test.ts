import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { matrixFaults, parts } from './compare.ts';
import { type House, openHouse } from './house.ts';
import { readMatrix } from './matrix.ts';

/** The matrix of who may do what, tried on Postgres: docs/tenancy.md, "The proof". */

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

test.each(parts)('the database is what the matrix says: %s', async (part) => {
  expect((await matrixFaults(house, matrix, [part])).join('\n')).toBe('');
});
