import { describe, expect, test } from '@jest/globals';
import { costMicros, dearestPrices, promptOf } from './produceText.ts';

const prices = [
  { model: 'openai/gpt-4o', promptMicros: 2.5, completionMicros: 10 },
  { model: 'openai/*', promptMicros: 1, completionMicros: 2 },
  { model: '*', promptMicros: 0.5, completionMicros: 0.5 },
];
const answer = (provider: string, model: string, promptTokens = 3, completionTokens = 2) => ({
  provider,
  model,
  promptTokens,
  completionTokens,
});

describe('the cost of an answer', () => {
  test('is of the first price that fits, rounded up', () => {
    expect(costMicros(prices, answer('openai', 'gpt-4o'))).toBe(28);
    expect(costMicros(prices, answer('openai', 'gpt-5'))).toBe(7);
    expect(costMicros(prices, answer('local', 'echo'))).toBe(3);
  });

  test('is nothing where no price fits', () => {
    expect(costMicros(prices.slice(0, 2), answer('local', 'echo'))).toBe(0);
    expect(costMicros([], answer('openai', 'gpt-4o'))).toBe(0);
  });
});

test('what is reserved is at the dearest price of each kind of token', () => {
  expect(dearestPrices(prices)).toEqual({ promptMicros: 2.5, completionMicros: 10 });
  expect(dearestPrices([])).toEqual({ promptMicros: 0, completionMicros: 0 });
});

test('the text of a document comes after the prompt', () => {
  expect(promptOf({ prompt: 'Sum up.', documentText: null })).toBe('Sum up.');
  expect(promptOf({ prompt: 'Sum up.', documentText: 'Plan' })).toBe('Sum up.\n\n---\n\nPlan');
});
