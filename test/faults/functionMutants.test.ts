import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { projectRoot } from '../../platform/config/settings.ts';
import { type BodyMutant, listBodyMutants } from '../isolation/bodies.ts';
import { openHouse } from '../isolation/house.ts';
import { readMatrix } from '../isolation/matrix.ts';
import {
  assertQuiet,
  readEquivalents,
  reportOf,
  tryMutant,
  unexpected,
  type Verdict,
} from '../isolation/mutantRun.ts';
import { openTestDatabase } from '../support/database.ts';

/**
 * Each guard in a function of the database is taken out, in a template that the tests which name the
 * function then run on. `MUTANTS` narrows it to those whose name it matches, as a regular expression.
 */

const say = (text: string) => process.stdout.write(`${text}\n`);

test('no guard of a function can be taken out unnoticed', async () => {
  const wanted = new RegExp(process.env.MUTANTS ?? '');
  const verdicts: Verdict[] = [];
  const left: BodyMutant[] = [];
  const database = await openTestDatabase();
  try {
    const house = await openHouse(database, readMatrix());
    try {
      await assertQuiet(house, readMatrix());
      for (const mutant of await listBodyMutants(house.client)) {
        if (!wanted.test(mutant.name)) continue;
        const verdict = await tryMutant(house, readMatrix(), mutant).catch((error: unknown) => {
          say(`${mutant.name} makes no function: ${error}`);
          return undefined;
        });
        if (verdict?.caughtBy) verdicts.push(verdict);
        else if (verdict) left.push(mutant);
      }
    } finally {
      await house.close();
    }
  } finally {
    await database.close();
  }
  const equivalents = readEquivalents();
  const reasoned = new Set(equivalents.map(({ mutant }) => mutant));
  for (const [i, mutant] of left.entries()) {
    const caughtBy = (await isNoticed(mutant)) ? 'its tests' : null;
    verdicts.push({ mutant, caughtBy, says: '' });
    const survived = reasoned.has(mutant.name) ? 'survived, with a reason' : 'SURVIVED';
    say(`${i + 1} of ${left.length}: ${caughtBy ?? survived}: ${mutant.name}`);
  }
  say(reportOf(verdicts));
  expect(unexpected(verdicts, equivalents)).toEqual({ survivors: [], needless: [] });
}, 7_200_000);

/** Runs the tests that name the function, on a database with the mutant. */
async function isNoticed({ sql, names }: BodyMutant): Promise<boolean> {
  const files = globSync('{test/db/app_*,test/worker,server,worker}/**/*.test.ts', {
    cwd: projectRoot,
  }).filter((file) => {
    const text = readFileSync(join(projectRoot, file), 'utf8');
    return names.some((name) => new RegExp(`\\b${name}\\b`).test(text));
  });
  if (files.length === 0) return false;
  const child = spawn(process.execPath, ['dev/test.ts', '--runInBand', '--bail', ...files], {
    cwd: projectRoot,
    env: { ...process.env, TEST_MUTATION: sql, TEST_ENVIRONMENT: '' },
    stdio: 'ignore',
  });
  const [code] = await once(child, 'exit');
  return code !== 0;
}
