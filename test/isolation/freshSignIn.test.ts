import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { guideTable } from '../support/schemaGuide.ts';
import { matrixFaults } from './compare.ts';
import { type House, openHouse } from './house.ts';
import { readMatrix } from './matrix.ts';
import { tryMutants, unexpected } from './mutantRun.ts';
import { listMutants } from './mutants.ts';
import { pasted } from './pasted.ts';
import { prove, tell } from './proof.ts';
import { asOwner, fewCallers, openWorld, silenceGrafast, type World } from './world.ts';

/** A table whose rows only their authors delete, and only soon after they signed in; and which nobody changes. */
const notes = `${guideTable}
  drop policy delete_own on app_public.notes;
  create policy delete_own on app_public.notes for delete to app_user
    using (author_id = (select app_hidden.current_user_id()) and (select app_hidden.is_fresh(10)));
  drop policy update_own on app_public.notes;`;

describe('of a policy that wants a fresh sign-in', () => {
  let database: TestDatabase;
  let house: House;
  beforeAll(async () => {
    database = await openTestDatabase();
    await asOwner(database, notes);
    house = await openHouse(database, readMatrix());
  });
  afterAll(async () => {
    await house?.close();
    await database.close();
  });

  test('the matrix asks for who has just signed in, says what they alone may do, and holds it', async () => {
    const { actors } = pasted(readMatrix(), await matrixFaults(house, readMatrix(), ['rows']));
    const newcomers = Object.entries(actors).filter(([name]) => !readMatrix().actors[name]);
    expect(newcomers.map(([name, { fresh }]) => [name, fresh])).toEqual([
      ['fresh member', true],
      ['fresh admin', true],
    ]);
    const fresh = { ...house, actors };
    const matrix = pasted(
      { ...readMatrix(), actors },
      await matrixFaults(fresh, { ...readMatrix(), actors }),
    );
    expect(matrix.tables['app_public.notes']?.rows).toMatchObject({
      member: { select: 'own org', delete: 'none' },
      admin: { select: 'own org', delete: 'none' },
      'fresh member': { select: 'own org', delete: 'own' },
      'fresh admin': { select: 'own org', delete: 'own' },
    });
    expect(await matrixFaults(fresh, matrix)).toEqual([]);
    const mutants = (await listMutants(house.client)).filter(({ name }) =>
      name.startsWith('policy delete_own of app_public.notes'),
    );
    expect(mutants.map(({ name }) => name).join()).toContain('is_fresh');
    expect(unexpected(await tryMutants(fresh, matrix, mutants), []).survivors).toEqual([]);
  }, 60_000);
});

describe('the proof', () => {
  let world: World;
  beforeAll(async () => {
    silenceGrafast();
    world = await openWorld({ migration: notes, others: 2, names: fewCallers });
  }, 60_000);
  afterAll(() => world?.close());

  test('has somebody who has just signed in, where a policy asks for that', async () => {
    const fields = ['notes', 'createNote', 'deleteNote'];
    const result = await prove(world, { seed: 1, operations: 300, fields });
    expect(result.leaks.map(tell).join('\n')).toBe('');
    expect(result.uncovered).not.toContain('Mutation.deleteNote');
  }, 60_000);

  test('ends in time where nobody may do something, and names it', async () => {
    const fields = ['notes', 'createNote', 'updateNote'];
    const result = await prove(world, { seed: 1, operations: 1e9, withinMs: 5_000, fields });
    expect(result.leaks.map(tell).join('\n')).toBe('');
    const asked = fields.map((name) => `Mutation.${name}`);
    expect(asked.filter((name) => result.uncovered.includes(name))).toEqual([
      'Mutation.updateNote',
    ]);
  }, 60_000);
});
