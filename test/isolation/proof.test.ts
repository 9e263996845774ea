import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { prove, tell } from './proof.ts';
import { openWorld, silenceGrafast, type World } from './world.ts';

/**
 * The generated proof: whatever is asked, the answer is the one that the caller would get if no other
 * organization existed. docs/tenancy.md, "The proof".
 */

const seed = Number(process.env.PROOF_SEED ?? Math.floor(Math.random() * 1e9));
const operations = Number(process.env.PROOF_OPERATIONS ?? 1_000);
/** Time to tell what is uncovered has to be left when Jest gives up; a thousand operations take 45 s on two cores. */
const withinMs = Math.max(200_000, operations * 200);

let world: World;
beforeAll(async () => {
  silenceGrafast();
  world = await openWorld();
}, 60_000);
afterAll(() => world?.close());

test(
  `${operations} operations are answered as if each organization were alone (seed ${seed})`,
  async () => {
    const result = await prove(world, { seed, operations, withinMs });
    expect(result.leaks.map(tell).join('\n\n')).toBe('');
    const { uncovered, unseen, scarce } = result;
    expect({ uncovered, unseen, scarce }).toEqual({
      uncovered: [],
      unseen: [],
      scarce: [],
    });
    expect(result.operations).toBeGreaterThanOrEqual(operations);
  },
  withinMs + 100_000,
);
