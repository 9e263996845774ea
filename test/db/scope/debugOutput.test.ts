import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import type { Pool } from 'pg';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addPlayground, openTestPool, writing } from './playground.ts';

/** `DEBUG` is read as PostGraphile is loaded, so this has a file of its own. */

let database: TestDatabase;
let pool: Pool;
let written = '';

beforeAll(async () => {
  process.env.DEBUG = '@dataplan/pg:PgExecutor:explain';
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written += String(text);
    return true;
  });
  database = await openTestDatabase();
  await addPlayground(database);
  pool = openTestPool(database);
});
afterAll(async () => {
  jest.restoreAllMocks();
  await pool.end();
  await database.close();
});

test.each(['the stock adaptor', 'the scope'])(
  'over %s, DEBUG shows each statement with its values, result, remarks and plan',
  async (name) => {
    const { makeSchema } = await import('postgraphile');
    const { grafast } = await import('postgraphile/grafast');
    const { makePgService } = await import('postgraphile/adaptors/pg');
    const { PostGraphileAmberPreset } = await import('postgraphile/presets/amber');
    const { makeScopedPgService } = await import('../../../db/scope/makeScopedPgService.ts');
    const { schema, resolvedPreset } = await makeSchema({
      extends: [PostGraphileAmberPreset],
      pgServices: [
        name === 'the scope'
          ? makeScopedPgService({ pool, schemas: ['play'], pubsub: false })
          : makePgService({ pool, schemas: ['play'], pubsub: false }),
      ],
      grafast: { context: () => ({ pgSettings: writing }) },
    });
    const run = (source: string) =>
      grafast({ schema, source, resolvedPreset, requestContext: {} as never });
    written = '';
    await run('mutation { remark(input: {what: "debugged"}) { result } }');
    await run('{ thingByRowId(rowId: 4711) { name } }');
    const plain = written.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[[\\d;]*m`, 'g'), '');
    expect(plain).toContain('# SQL QUERY:');
    expect(plain).toContain('WARNING[RW999]: second debugged');
    expect(plain).toMatch(/PLACEHOLDERS:\s+\[ '4711' \]|PLACEHOLDERS:\s+\[ 4711 \]/);
    expect(plain).toContain('Index Scan using things_pkey');
    expect(plain).toMatch(/# DURATION\s+[\d.]+ms/);
  },
);
