import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeSchema } from 'postgraphile';
import { isManager, type OwnRows, ownRowsOf } from '../../plugins/OwnRowsPlugin.ts';
import { makePreset } from '../../server/preset.ts';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../support/database.ts';
import { claimsOf } from '../support/operations.ts';
import { admin, alice, aliceAlone, editor } from './callers.ts';

/** The tag `ownRows` says again what a policy says, so that Postgres can plan by it: the two must agree. */

type Tagged = OwnRows & { table: string };

let database: TestDatabase;
let tagged: Tagged[];

beforeAll(async () => {
  database = await openTestDatabase();
  tagged = await taggedTables();
});
afterAll(() => database.close());

test('tables are tagged of which members see their own rows alone', () => {
  const tables = tagged.map(({ table }) => table);
  expect(tables).toEqual(
    expect.arrayContaining(['app_public.documents', 'app_public.generations']),
  );
});

test('their policy for reading says what the tag says, and nothing else', async () => {
  for (const { table, owner } of tagged) {
    const { expression, manages } = await policyOf(table);
    expect(`${table}: ${expression}`).toBe(
      `${table}: ((${owner} = ( SELECT app_hidden.current_user_id() AS current_user_id)) OR ( SELECT app_hidden.${manages}() AS ${manages}))`,
    );
  }
});

test('who manages by the tag manages by the policy, and nobody else', async () => {
  for (const { table, permission } of tagged) {
    const { manages } = await policyOf(table);
    const holder = { ...alice, permissions: ['org:other:manage', permission] };
    const others = { ...alice, permissions: ['org:other:manage', `${permission}:not`, 'org'] };
    for (const caller of [alice, aliceAlone, admin, editor, holder, others]) {
      const found = `${JSON.stringify(caller)} ${await holds(caller, manages)}`;
      expect(found).toBe(`${JSON.stringify(caller)} ${isManager(claimsOf(caller), permission)}`);
    }
  }
});

async function taggedTables(): Promise<Tagged[]> {
  const found: Tagged[] = [];
  const look: GraphileConfig.Plugin = {
    name: 'LookPlugin',
    schema: {
      hooks: {
        build(build) {
          for (const codec of Object.values(build.input.pgRegistry.pgCodecs)) {
            const rule = ownRowsOf(codec);
            const { schemaName, name } = codec.extensions?.pg ?? {};
            if (rule) found.push({ ...rule, table: `${schemaName}.${name}` });
          }
          return build;
        },
      },
    },
  };
  await makeSchema(makePreset({ pool: database.api, processPlugins: [look] }));
  return found;
}

/** What lets callers read a table, and the function it asks for a manager. */
async function policyOf(table: string) {
  const { rows } = await database.superuser.query<{ qual: string }>(
    `select qual from pg_policies where schemaname || '.' || tablename = $1 and permissive = 'PERMISSIVE'
       and cmd in ('SELECT', 'ALL') and roles && '{app_user,public}'`,
    [table],
  );
  const expression = rows.map(({ qual }) => qual).join(' OR ');
  const [, manages = ''] = expression.match(/app_hidden\.(can_manage_\w+)\(\)/) ?? [];
  return { expression, manages };
}

async function holds(caller: TestCaller, manages: string): Promise<boolean> {
  const { rows } = await database.as(caller, (client) =>
    client.query(`select app_hidden.${manages}() as holds`),
  );
  return rows[0].holds;
}
