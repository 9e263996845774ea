import { expect, test } from '@jest/globals';
import { listBodyMutants } from '../isolation/bodies.ts';
import { openHouse } from '../isolation/house.ts';
import { readMatrix } from '../isolation/matrix.ts';
import { readEquivalents, reportOf, tryMutants, unexpected } from '../isolation/mutantRun.ts';
import { listMutants } from '../isolation/mutants.ts';
import { openTestDatabase } from '../support/database.ts';

/** `MUTANTS` narrows it to those whose name it matches, as a regular expression. */
const wanted = new RegExp(process.env.MUTANTS ?? '');

test('every policy, grant, key, check, function setting and role that is weakened is noticed', async () => {
  const database = await openTestDatabase();
  const matrix = readMatrix();
  try {
    const house = await openHouse(database, matrix);
    try {
      const mutants = await listMutants(house.client);
      const chosen = mutants.filter(({ name }) => wanted.test(name));
      const verdicts = await tryMutants(house, matrix, chosen, (done) => {
        if (done % 200 === 0) process.stdout.write(`mutants: ${done} of ${chosen.length}\n`);
      });
      const outcome = unexpected(verdicts, readEquivalents());
      process.stdout.write(`${reportOf(verdicts)}\n`);
      process.stdout.write(`Survivors: ${outcome.survivors.join('\n') || 'none'}\n`);
      expect(outcome).toEqual({ survivors: [], needless: [] });
      const names = [...mutants, ...(await listBodyMutants(house.client))].map(({ name }) => name);
      expect(readEquivalents().filter(({ mutant }) => !names.includes(mutant))).toEqual([]);
    } finally {
      await house.close();
    }
  } finally {
    await database.close();
  }
}, 7_200_000);
