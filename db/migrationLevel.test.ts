import { expect, test } from '@jest/globals';
import { appliedMigration, expectedMigration } from './migrationLevel.ts';

const databaseAt = (...levels: (string | null)[]) => ({
  query: async () => ({ rows: levels.map((level) => ({ level })) }),
});

test('the expected migration is a number from 1', () => {
  expect(expectedMigration()).toBeGreaterThanOrEqual(1);
  expect(Number.isInteger(expectedMigration())).toBe(true);
});

test.each([
  { level: '000003-documents.sql', number: 3 },
  { level: '000120-more.sql', number: 120 },
  { level: null, number: 0 },
])('a database at $level is at $number', async ({ level, number }) => {
  expect(await appliedMigration(databaseAt(level))).toBe(number);
});

test('a database that answers nothing is at 0', async () => {
  expect(await appliedMigration(databaseAt())).toBe(0);
});
