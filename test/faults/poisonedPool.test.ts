import { expect, test } from '@jest/globals';
import { poisonPool, poolSize } from './poisonPool.ts';

/** Ten thousand requests by default; `POISON_REQUESTS` and `POISON_SEED` change that. */
const requests = Number(process.env.POISON_REQUESTS ?? 10_000);
const seed = Number(process.env.POISON_SEED ?? Date.now() % 1_000_000);

test(`${requests} requests of many tenants over bad connections leave no trace on each other or the pool`, async () => {
  process.stdout.write(`poisoned pool: ${requests} requests, POISON_SEED=${seed}\n`);
  const { outcomes, faults, connections, ...found } = await poisonPool({
    requests,
    seed,
    concurrency: 25,
    chance: 0.02,
  });
  process.stdout.write(`poisoned pool: ${JSON.stringify({ outcomes, faults, connections })}\n`);
  expect(found).toEqual({ leaks: [], broken: [], unclean: [], busy: [] });
  expect(connections).toBe(poolSize);
  // It was no walk, and most got through: of a pool that answers nobody nothing leaks either.
  expect(Math.min(...Object.values(faults))).toBeGreaterThan(requests / 200);
  expect(outcomes.answered).toBeGreaterThan(requests * 0.4);
}, 3_600_000);
