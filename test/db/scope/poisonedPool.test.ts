import { expect, test } from '@jest/globals';
import { poisonPool, poolSize } from '../../faults/poisonPool.ts';

/** The short form of test/faults/poisonedPool.test.ts. */

test('requests of many tenants over bad connections leave no trace on each other or the pool', async () => {
  const { outcomes, faults, connections, ...found } = await poisonPool({
    requests: 500,
    seed: 1,
    concurrency: 25,
    chance: 0.03,
  });
  process.stdout.write(`poisoned pool: ${JSON.stringify({ outcomes, faults, connections })}\n`);
  expect(found).toEqual({ leaks: [], broken: [], unclean: [], busy: [] });
  expect(connections).toBe(poolSize);
  // It was no walk, and most got through.
  expect(Object.values(faults).every((times) => times > 0)).toBe(true);
  expect(outcomes.answered).toBeGreaterThan(200);
}, 60_000);
