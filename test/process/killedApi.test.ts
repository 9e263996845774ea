import { expect, test } from '@jest/globals';
import { killApi } from '../faults/killApi.ts';

test('an API that is killed under mutations loses nothing it acknowledged, nor the jobs of it', async () => {
  const { acknowledged, sent, readyMs, ...found } = await killApi({ kills: 2, perSecond: 25 });
  expect(found).toEqual({ lost: [], unasked: [], unindexed: [], dead: 0 });
  expect(acknowledged).toBeGreaterThan(0);
  // Some were cut off, or came while nobody listened.
  expect(acknowledged).toBeLessThan(sent);
  expect(readyMs).toHaveLength(2);
}, 60_000);
