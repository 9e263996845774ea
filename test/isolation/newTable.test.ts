import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readCatalogue } from '../../db/catalogue.ts';
import { lintDatabase } from '../../db/lint.ts';
import { readLintRules } from '../../db/lintRules.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { guideTable } from '../support/schemaGuide.ts';
import { matrixFaults } from './compare.ts';
import { type House, openHouse } from './house.ts';
import { readMatrix } from './matrix.ts';
import { tryMutant, tryMutants, unexpected } from './mutantRun.ts';
import { listMutants } from './mutants.ts';
import { pasted } from './pasted.ts';
import { prove, tell } from './proof.ts';
import { asOwner, fewCallers, openWorld, silenceGrafast, type World } from './world.ts';

/**
 * A table that these tests have never seen is covered by them, with nothing else touched: that of
 * the schema guide passes, and others that show something are caught.
 */

/** A table with every fault but the one it is about mended. */
const leaky = (name: string, columns: string, read = 'org_id = app_hidden.current_org_id()') => `
  create table app_public.${name} (
    org_id text not null default app_hidden.current_org_id(), id uuid not null default uuidv7(),
    text text not null, ${columns}
    created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
    constraint ${name}_pkey primary key (org_id, id)
  );
  alter table app_public.${name} enable row level security, force row level security;
  create index ${name}_idx on app_public.${name} (org_id, created_at desc, id desc);
  create policy select_member on app_public.${name} for select to app_user using (${read});
  create policy insert_member on app_public.${name} for insert to app_user with check (org_id = app_hidden.current_org_id());
  grant select, insert on app_public.${name} to app_user;`;

/** After a row of a table is made it writes what it should not, and no answer shows it. */
const overwriting = (table: string, body: string) => `
  create function app_private.tg_${table}__overwrite() returns trigger language plpgsql volatile security definer set search_path = '' as $$
  begin
    ${body}
    return null;
  end $$;
  create trigger _950_overwrite after insert on app_public.${table} for each row
    when (pg_trigger_depth() = 0) execute function app_private.tg_${table}__overwrite();`;

const overwrites = `
  ${overwriting('documents', "update app_public.organizations as o set name = 'renamed' where o.id <> new.org_id;")}
  ${overwriting(
    'generations',
    `update app_public.documents as d set body = (select pg_catalog.count(*) from app_public.organizations)::text
     where d.org_id = new.org_id;`,
  )}
  ${overwriting('files', "insert into app_private.gone_members (clerk_user_id, clerk_org_id) values (new.id::text, 'org_void');")}`;

const leaks = `
  ${leaky('open_notes', '', 'true')}
  ${leaky('unique_notes', 'constraint unique_notes_text_key unique (text),')}
  create unique index documents_only_id_key on app_public.documents (id);
  ${leaky('plain_notes', 'document_id uuid not null references app_public.documents (id),')}
  ${leaky('bare_notes', '')}
  alter table app_public.bare_notes disable row level security;
  create view app_public.everybodies as select id as person, name, created_at from app_public.users;
  grant select on app_public.everybodies to app_user;
  create function app_public.count_everybody() returns bigint language sql stable security definer
    begin atomic select count(*) from app_public.users; end;
  grant execute on function app_public.count_everybody() to app_user;`;

/** A table in a schema that nothing knows of, with nothing but its grants, and a way to it. */
const leads = `
  create schema crm;
  create table crm.leads (org_id text not null default app_hidden.current_org_id(), name text not null);
  grant usage on schema crm to app_user;
  grant select, insert (name) on crm.leads to app_user;
  create function app_public.lead_names() returns text language sql stable
    begin atomic select string_agg(name, ' ' order by name) from crm.leads; end;
  grant execute on function app_public.lead_names() to app_user;`;

beforeAll(() => {
  silenceGrafast();
});

describe('the table of the schema guide', () => {
  let database: TestDatabase;
  let house: House;
  beforeAll(async () => {
    database = await openTestDatabase();
    await asOwner(database, guideTable);
    house = await openHouse(database, readMatrix());
  });
  afterAll(async () => {
    await house?.close();
    await database.close();
  });

  test('fails the matrix until it is filled, which prints what to paste', async () => {
    const faults = await matrixFaults(house, readMatrix());
    const matrix = pasted(readMatrix(), faults);
    expect(matrix.tables['app_public.notes']?.rows).toMatchObject({
      nobody: 'none',
      stranger: 'own',
      member: { select: 'own org', insert: 'own on own documents', update: 'own', delete: 'own' },
      'holder of org:docs:manage': { insert: 'own' },
      admin: { delete: 'own org' },
    });
    expect(await matrixFaults(house, matrix)).toEqual([]);
  });

  test('takes no note on a document that is hidden, and does not tell it from one that never was', async () => {
    const { superuser } = database;
    const { rows } = await superuser.query(
      "select id from app_public.documents where org_id = 'org_acme' and owner_id = 'user_bob' limit 1",
    );
    const add = (document: string) =>
      database
        .as({ userId: 'user_alice', orgId: 'org_acme' }, (client) =>
          client.query("insert into app_public.notes (document_id, text) values ($1, 'Seen.')", [
            document,
          ]),
        )
        .catch(({ code, message }) => ({ code, message }));
    const refused = await add(rows[0].id);
    expect(refused).toMatchObject({ code: '42501' });
    expect(await add('ffffffff-ffff-7fff-8fff-ffffffffffff')).toEqual(refused);
  });

  test('is looked at by the lint', async () => {
    const matrix = pasted(readMatrix(), await matrixFaults(house, readMatrix()));
    const findings = [];
    for (const sql of [
      'alter table app_public.notes disable row level security',
      'drop trigger _900_audit on app_public.notes',
    ]) {
      const mutant = { name: sql, kind: 'policy', sql, parts: [] } as const;
      findings.push((await tryMutant(house, matrix, mutant)).caughtBy);
    }
    expect(findings).toEqual(['lint: rls_disabled', 'lint: table_without_audit']);
  });

  test('cannot be weakened unseen once it is', async () => {
    const matrix = pasted(readMatrix(), await matrixFaults(house, readMatrix()));
    const mutants = await listMutants(house.client);
    const own = mutants.filter(
      ({ table, kind }) => table === 'app_public.notes' && kind !== 'grant',
    );
    expect(own.length).toBeGreaterThan(40);
    expect(unexpected(await tryMutants(house, matrix, own), [])).toEqual({
      survivors: [],
      needless: [],
    });
  }, 60_000);

  test('is in the proof', async () => {
    const world = await openWorld({ migration: guideTable, others: 2, names: fewCallers });
    try {
      const fields = [
        'notes',
        'note',
        'createNote',
        'updateNote',
        'deleteNote',
        'document',
        'node',
      ];
      const result = await prove(world, { seed: 1, operations: 200, fields });
      expect(result.leaks.map(tell).join('\n')).toBe('');
      expect([...result.knowledge.types]).toEqual(
        expect.arrayContaining(['Note', 'CreateNotePayload']),
      );
    } finally {
      await world.close();
    }
  }, 60_000);
});

describe('a table in a schema of its own', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await openTestDatabase();
    await asOwner(database, leads);
  });
  afterAll(() => database.close());

  test('fails the matrix, which prints who sees the rows of others', async () => {
    const house = await openHouse(database, readMatrix());
    try {
      const faults = await matrixFaults(house, readMatrix());
      const { tables, objects } = pasted(readMatrix(), faults);
      expect(tables['crm.leads']).toMatchObject({
        grants: { app_user: 'select, insert (name)' },
        rows: { member: { select: 'org foreign' } },
      });
      expect(objects['schema crm']).toBe('use: app_user');
    } finally {
      await house.close();
    }
  });

  test('is found by the lint', async () => {
    const { findings, schemas } = await lintDatabase(database.ownerUrl, readLintRules());
    expect(schemas).toContain('crm');
    expect(findings.map(({ rule, object }) => `${rule} ${object}`)).toContain(
      'rls_disabled crm.leads',
    );
  });

  test('stands in the catalogue, with its schema and its grants', async () => {
    const client = await database.superuser.connect();
    const text = await readCatalogue(client).finally(() => client.release());
    expect(text).toContain('grant usage on schema crm to app_user;');
    expect(text).toContain('table crm.leads  -- NO ROW-LEVEL SECURITY');
    expect(text).toContain('grant insert (name) on crm.leads to app_user;');
  });

  test('is in the proof', async () => {
    const world = await openWorld({ migration: leads, others: 2, names: fewCallers });
    try {
      const { leaks: found } = await prove(world, {
        seed: 1,
        operations: 100,
        fields: ['leadNames'],
      });
      expect(found.map(({ query }) => query).join()).toContain('leadNames');
    } finally {
      await world.close();
    }
  }, 60_000);
});

describe('what a table, view or function shows or changes of others is found by the proof', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({
      migration: leaks + overwrites,
      others: 2,
      names: fewCallers,
    });
  }, 60_000);
  afterAll(() => world?.close());

  test.each([
    ['a policy that lets everybody read', ['openNotes']],
    ['a unique key across organizations', ['createUniqueNote']],
    ['a reference by the id alone', ['createPlainNote']],
    ['a table without row-level security', ['bareNotes']],
    ['a view that asks as its owner', ['everybodies']],
    ['a function that runs as its owner', ['countEverybody']],
  ])(
    '%s',
    async (_, fields) => {
      const { leaks: found } = await prove(world, { seed: 1, operations: 400, fields });
      expect(found.map(({ query }) => query).join()).toContain(fields[0]);
    },
    60_000,
  );

  test.each([
    ['into other organizations', 'createDocument', /UPDATE app_public.organizations .*"id":"org_/],
    ['into its own, as others have it', 'startGeneration', /UPDATE app_public.documents .*"body":/],
    ['into what belongs to nobody', 'presignUpload', /INSERT app_private.gone_members /],
  ])(
    'a write %s',
    async (_, field, told) => {
      const { leaks: found } = await prove(world, { seed: 1, operations: 400, fields: [field] });
      expect(found.map(tell).join()).toMatch(told);
    },
    60_000,
  );
});
