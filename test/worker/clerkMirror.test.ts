import { expect, test } from '@jest/globals';
import { runClerkModel } from '../clerkModel.ts';

test('300 changes at Clerk, told out of order and some twice, end in the mirror as they are at Clerk', async () => {
  await runClerkModel(300, 1, { lostPercent: 0 });
});

test('what was lost of 300 is repaired by reconciliation', async () => {
  const { repaired } = await runClerkModel(300, 2, { lostPercent: 20 });
  expect(repaired).toBeGreaterThan(5);
});
