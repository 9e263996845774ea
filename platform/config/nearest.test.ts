import { expect, test } from '@jest/globals';
import { nearest } from './nearest.ts';

const names = ['PORT', 'HOST', 'DATABASE_URL'];

test.each([
  ['PORT', 'PORT'],
  ['PROT', undefined],
  ['POR', 'PORT'],
  ['DATABSE_URL', 'DATABASE_URL'],
  ['DATABASE_URI', 'DATABASE_URL'],
  ['SOMETHING', undefined],
  ['', undefined],
])('nearest to %j is %j', (text, expected) => {
  expect(nearest(text, names)).toBe(expected);
});
