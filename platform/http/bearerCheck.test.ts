import { expect, test } from '@jest/globals';
import { makeBearerCheck } from './bearerCheck.ts';

test('lets in whoever has the token, and nobody else', () => {
  const check = makeBearerCheck('of-the-tests');
  expect(check('Bearer of-the-tests')).toBe(true);
  for (const header of [
    undefined,
    '',
    'of-the-tests',
    'Bearer',
    'Bearer of-the-test',
    'bearer x',
  ]) {
    expect(check(header)).toBe(false);
  }
});

test('asks for nothing where there is no token', () => {
  expect(makeBearerCheck(undefined)(undefined)).toBe(true);
});
