import { describe, expect, test } from '@jest/globals';
import { makeTokenCache } from './tokenCache.ts';

describe('the token cache', () => {
  test('keeps a value until it expires', () => {
    const cache = makeTokenCache<string>(10);
    cache.set('a', 'ann', 1000);
    expect(cache.get('a', 999)).toBe('ann');
    expect(cache.get('a', 1000)).toBeUndefined();
    expect(cache.get('a', 0)).toBeUndefined();
  });

  test('makes room by dropping what was used least recently', () => {
    const cache = makeTokenCache<string>(2);
    cache.set('a', 'ann', 1000);
    cache.set('b', 'bob', 1000);
    cache.get('a', 0);
    cache.set('c', 'cem', 1000);
    expect(['a', 'b', 'c'].map((digest) => cache.get(digest, 0))).toEqual([
      'ann',
      undefined,
      'cem',
    ]);
  });

  test('holds one value per digest, the latest', () => {
    const cache = makeTokenCache<string>(2);
    cache.set('a', 'ann', 1000);
    cache.set('b', 'bob', 1000);
    cache.set('a', 'anna', 2000);
    cache.set('c', 'cem', 1000);
    expect(['a', 'b', 'c'].map((digest) => cache.get(digest, 0))).toEqual([
      'anna',
      undefined,
      'cem',
    ]);
  });

  test('stays at its size under a flood', () => {
    const cache = makeTokenCache<number>(100);
    for (let index = 0; index < 10_000; index += 1) cache.set(`${index}`, index, 1000);
    const held = Array.from({ length: 10_000 }, (_, index) => cache.get(`${index}`, 0));
    expect(held.filter((value) => value !== undefined)).toHaveLength(100);
  });

  test('of size zero keeps nothing', () => {
    const cache = makeTokenCache<number>(0);
    cache.set('a', 1, 1000);
    expect(cache.get('a', 0)).toBeUndefined();
  });
});
