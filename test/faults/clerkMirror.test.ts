import { expect, test } from '@jest/globals';
import { runClerkModel } from '../clerkModel.ts';

test('10 000 changes at Clerk, shuffled, a fifth told twice and a twentieth never, end in the mirror as they are at Clerk', async () => {
  const startedMs = performance.now();
  const run = await runClerkModel(10_000, 3, { withinMs: 300_000 });
  console.info({ ...run, seconds: Math.round((performance.now() - startedMs) / 1000) });
  expect(run.deliveries).toBeGreaterThanOrEqual(10_000);
  expect(run.repaired).toBeGreaterThan(50);
}, 900_000);
