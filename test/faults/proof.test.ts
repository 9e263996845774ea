import { expect, test } from '@jest/globals';
import { addCrowd } from '../isolation/crowd.ts';
import { prove, tell } from '../isolation/proof.ts';
import { openWorld, silenceGrafast } from '../isolation/world.ts';

/** The generated proof at length: `PROOF_OPERATIONS` and `PROOF_SEED` say how long and which. */

const seed = Number(process.env.PROOF_SEED ?? Math.floor(Math.random() * 1e9));
const operations = Number(process.env.PROOF_OPERATIONS ?? 100_000);
const size = { organizations: 1_000, rows: 1_000_000 };

const say = (text: string) => process.stdout.write(`${text}\n`);

test(`${operations} operations among ${size.organizations} organizations and ${size.rows} rows (seed ${seed})`, async () => {
  silenceGrafast();
  say(`proof: seed ${seed}`);
  const world = await openWorld({ crowd: (client) => addCrowd(client, size, say), rounds: 10 });
  const startedMs = performance.now();
  try {
    const result = await prove(world, {
      seed,
      operations,
      withinMs: 6_600_000,
      onProgress(done) {
        const perSecond = (done / (performance.now() - startedMs)) * 1000;
        say(`proof: ${done} of ${operations}, ${perSecond.toFixed(0)} a second`);
      },
    });
    say(
      `proof: ${result.operations} operations, ${result.mutations} of them mutations, ${result.leaks.length} leaks`,
    );
    // Here as well: a run of half an hour should not depend on a reporter that lives to its end.
    for (const leak of result.leaks) say(tell(leak));
    expect(result.leaks.map(tell).join('\n\n')).toBe('');
    const { uncovered, unseen, scarce } = result;
    expect({ uncovered, unseen, scarce }).toEqual({
      uncovered: [],
      unseen: [],
      scarce: [],
    });
    expect(result.operations).toBeGreaterThanOrEqual(operations);
  } finally {
    await world.close();
  }
}, 7_200_000);
