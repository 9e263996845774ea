import { expect, test } from '@jest/globals';
import { spreadOf } from './statistics.ts';

test('the median of an odd number of values is the middle one, in whatever order they come', () => {
  expect(spreadOf([10, 1, 2])).toEqual({ median: 2, min: 1, max: 10 });
});

test('the median of an even number of values is between the middle two', () => {
  expect(spreadOf([4, 1, 10, 2])).toEqual({ median: 3, min: 1, max: 10 });
});

test('one value is its own median and range', () => {
  expect(spreadOf([7])).toEqual({ median: 7, min: 7, max: 7 });
});
