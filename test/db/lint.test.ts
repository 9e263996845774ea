import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Client } from 'pg';
import { houseOptions, lint, lintDatabase } from '../../db/lint.ts';
import { applyIgnores, houseIgnores, readLintIgnores } from '../../db/lintIgnores.ts';
import { readLintRules } from '../../db/lintRules.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { connected } from './callers.ts';

/**
 * The catalogue lint: each rule finds its bad example, and nothing in its good one. Examples run
 * as the owner would run a migration, in a transaction that is rolled back.
 */

const rules = readLintRules();
const ignores = readLintIgnores(houseIgnores, rules);

// Other tests of the cluster make logins of their own.
const options = {
  ...houseOptions,
  loginRoles: ['rowhouse_api', 'rowhouse_worker', 'rowhouse_owner', 'spoon_login'],
};

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

/** What the lint finds after some SQL, as "rule object". */
async function findingsAfter(sql: string): Promise<string[]> {
  return inTransaction(async (client) => {
    await client.query(sql);
    await client.query('reset role');
    const { findings } = applyIgnores(await lint(client, rules, options), ignores, rules);
    return findings.map(({ rule, object }) => `${rule} ${object}`);
  });
}

function inTransaction<Result>(work: (client: Client) => Promise<Result>): Promise<Result> {
  return connected(String(database.superuser.options.connectionString), async (client) => {
    await client.query('begin; set local role rowhouse_owner');
    const result = await work(client);
    await client.query('rollback');
    return result;
  });
}

describe('the database that the migrations make', () => {
  test('is clean, and each ignore is needed', async () => {
    const result = await lintDatabase(database.ownerUrl, rules, options);
    expect(applyIgnores(result, ignores, rules)).toEqual({ findings: [], ignored: ignores });
    expect(result).toMatchObject({ rules: rules.length, skipped: [] });
    expect(Math.min(...Object.values(result.objects))).toBeGreaterThan(3);
  });

  test('looks the same to a login that may read no table', async () => {
    expect(await lintDatabase(database.apiUrl, rules, options)).toEqual(
      await lintDatabase(database.ownerUrl, rules, options),
    );
  });
});

describe.each(rules)('$name', ({ name, bad, good }) => {
  test('finds its bad example, and no other rule does', async () => {
    expect(await findingsAfter(bad.sql)).toEqual([`${name} ${bad.object}`]);
  });

  test('finds nothing in its good example, nor does any other rule', async () => {
    expect(await findingsAfter(good.sql)).toEqual([]);
  });
});

describe('what is close to the line', () => {
  test.each(closeToTheLine())('$claim', async ({ sql, finds }) => {
    expect(await findingsAfter(sql)).toEqual(finds);
  });
});

test('a suggested fix mends what it is for', async () => {
  const fixed: string[] = [];
  for (const rule of rules) {
    const { name, bad } = rule;
    await inTransaction(async (client) => {
      await client.query(bad.sql);
      await client.query('reset role');
      const find = async () =>
        (await lint(client, [rule], options)).findings.filter(
          ({ object }) => object === bad.object,
        );
      const [finding] = await find();
      if (!finding?.fix) return;
      await client.query(finding.fix.replaceAll(' concurrently', ''));
      expect({ name, left: await find() }).toEqual({ name, left: [] });
      fixed.push(name);
    });
  }
  expect(fixed.length).toBeGreaterThan(15);
});

describe('the lint', () => {
  test('names the rule whose query fails', async () => {
    const [rule] = rules;
    if (!rule) throw new Error('There are no rules.');
    const broken = { ...rule, name: 'broken', query: 'select 1 / 0, 2, 3' };
    await expect(lintDatabase(database.ownerUrl, [...rules, broken], options)).rejects.toThrow(
      /^The rule broken could not be run: division by zero/,
    );
  });

  test('can write nothing', async () => {
    const [rule] = rules;
    if (!rule) throw new Error('There are no rules.');
    const query = "select lo_create(0)::text, 'x', 'y'";
    await expect(
      lintDatabase(
        database.superuser.options.connectionString ?? '',
        [{ ...rule, query }],
        options,
      ),
    ).rejects.toMatchObject({ cause: { code: '25006' } });
  });
});

function closeToTheLine() {
  return [
    {
      claim: 'a call that is wrapped but takes a column runs for each row',
      sql: `
        drop policy delete_own on app_public.documents;
        create policy delete_own on app_public.documents for delete to app_user
          using ((select app_hidden.has_permission(documents.owner_id)))`,
      finds: ['policy_call_per_row app_public.documents.delete_own'],
    },
    {
      claim: 'a reference to users tells no caller of anybody, as long as none writes it',
      sql: `
        alter table app_public.documents add column reviewer_id text
          constraint documents_reviewer_id_fkey references app_public.users (id);
        create index on app_public.documents (org_id, reviewer_id);
        comment on column app_public.documents.reviewer_id is 'Who reads it.';
        grant insert (title) on app_public.documents to app_user`,
      finds: [],
    },
    {
      claim: 'a setting read in a policy itself is seen',
      sql: `
        drop policy delete_own on app_public.documents;
        create policy delete_own on app_public.documents for delete to app_user
          using (owner_id = current_setting('jwt.user_id', true))`,
      finds: [
        'accessor_without_nullif app_public.documents.delete_own',
        'policy_call_per_row app_public.documents.delete_own',
      ],
    },
    {
      claim: 'a setting that has to be there is an error waiting',
      sql: `
        create function app_hidden.current_team() returns text language sql stable
          return nullif(current_setting('jwt.team'), '');
        comment on function app_hidden.current_team() is 'The team.'`,
      finds: ['accessor_without_nullif app_hidden.current_team()'],
    },
    {
      claim: 'settings are reached through three functions, one of them in plpgsql',
      sql: `
        create function app_private.third() returns text language sql volatile
          return set_config('jwt.org_id', 'x', true);
        create function app_private.second() returns text language plpgsql volatile set search_path = '' as $$
          begin
            -- app_private.third() by name
            return app_private.third ();
          end $$;
        create function app_public.first() returns text language sql volatile return app_private.second();
        grant execute on function app_public.first() to app_user;
        comment on function app_private.third() is 'Third.';
        comment on function app_private.second() is 'Second.';
        comment on function app_public.first() is 'First.'`,
      finds: ['settings_reachable app_public.first()'],
    },
    {
      claim: 'a comment that names set_config, and a set of an update, change no settings',
      sql: `
        create function app_public.touch() returns void language plpgsql volatile set search_path = '' as $$
          begin
            -- never set_config('jwt.org_id', …)
            update app_public.documents
            set title = 'execute; set role postgres';
          end $$;
        grant execute on function app_public.touch() to app_user;
        comment on function app_public.touch() is 'Touches.'`,
      finds: [],
    },
    {
      claim: 'set role in plpgsql changes settings',
      sql: `
        create function app_public.become() returns void language plpgsql volatile set search_path = '' as $$
          begin
            set local role app_worker;
          end $$;
        grant execute on function app_public.become() to app_user;
        comment on function app_public.become() is 'Becomes.'`,
      finds: ['settings_reachable app_public.become()'],
    },
    {
      claim: 'a search_path with pg_temp last is pinned, one without is not',
      sql: `
        create function app_private.a() returns int language sql security definer set search_path = app_public, pg_temp return 1;
        create function app_private.b() returns int language sql security definer set search_path = app_public return 1;
        comment on function app_private.a() is 'A.';
        comment on function app_private.b() is 'B.'`,
      finds: ['definer_without_search_path app_private.b()'],
    },
    {
      claim: 'a right by way of another role is a right of requests',
      sql: `
        reset role;
        create role spoon_group nologin;
        grant spoon_group to app_user;
        grant truncate on app_public.documents to spoon_group`,
      finds: ['dangerous_grant app_public.documents'],
    },
    {
      claim: 'a right of everybody is a right of requests',
      sql: 'grant references on app_public.documents to public',
      finds: ['dangerous_grant app_public.documents'],
    },
    {
      claim: 'to read is a right of everybody too, of a column or by a view',
      sql: `
        create view app_hidden.titles with (security_invoker = true) as select org_id, title from app_public.documents;
        grant select on app_hidden.titles to public;
        grant select (title) on app_public.documents to public`,
      finds: [
        'granted_to_everybody app_hidden.titles',
        'granted_to_everybody app_public.documents',
      ],
    },
    {
      claim: 'a login has what its group has, and a column of a private table is a right',
      sql: `
        grant select on app_public.documents to app_api;
        grant select (org_id) on app_private.file_usage to app_worker`,
      finds: ['granted_to_login app_private.file_usage', 'granted_to_login app_public.documents'],
    },
    {
      claim:
        'what is new may be granted by default in all schemas, to everybody, and by others that make it',
      sql: `
        alter default privileges grant select on tables to public;
        reset role;
        create role spoon_maker;
        grant create on schema app_public to spoon_maker;
        alter default privileges for role spoon_maker in schema app_public grant execute on functions to app_user`,
      finds: ['granted_by_default app_public', 'granted_by_default rowhouse_owner'],
    },
    {
      claim: 'what others are granted by default where they make nothing of ours is theirs',
      sql: `
        reset role;
        create role spoon_maker;
        create schema theirs authorization spoon_maker;
        alter default privileges for role spoon_maker grant select on tables to public`,
      finds: [],
    },
    {
      claim: 'a policy may permit all that a restrictive one leaves, and none that it does not',
      sql: `
        drop policy select_own on app_public.documents;
        create policy select_all on app_public.documents for select to app_user using (true);
        drop policy select_member on app_public.users;
        create policy select_all on app_public.users for select to app_user using (true);
        create policy insert_all on app_public.users as restrictive for insert to app_user
          with check (id = (select app_hidden.current_user_id()))`,
      finds: ['policy_that_permits_all app_public.users.select_all'],
    },
    {
      claim: 'a domain is what it is over',
      sql: `
        create domain app_private.name as varchar(20);
        create domain app_private.price as money;
        create domain app_private.moment as timestamp;
        create domain app_private.title as text check (length(value) <= 20)`,
      finds: [
        'awkward_type app_private.price',
        'text_of_limited_length app_private.name',
        'time_without_time_zone app_private.moment',
      ],
    },
    {
      claim: 'a restrictive policy for other than the tenant pins nothing',
      sql: `
        drop policy all_same_org on app_public.documents;
        create policy all_same_org on app_public.documents as restrictive for all to app_user
          using (owner_id = (select app_hidden.current_user_id()))
          with check (owner_id = (select app_hidden.current_user_id()))`,
      finds: ['missing_tenant_policy app_public.documents'],
    },
    {
      claim: 'a restrictive policy for select alone pins no write',
      sql: `
        drop policy all_same_org on app_public.documents;
        create policy all_same_org on app_public.documents as restrictive for select to app_user
          using (org_id = (select app_hidden.current_org_id()))`,
      finds: ['missing_tenant_policy app_public.documents'],
    },
    {
      claim:
        'a unique copy of an index that is not unique is told once, as is the same index twice',
      sql: `
        create index documents_org_id_title_idx on app_public.documents (org_id, title);
        create unique index documents_org_id_title_key on app_public.documents (org_id, title);
        create index documents_org_id_body_a_idx on app_public.documents (org_id, body);
        create index documents_org_id_body_b_idx on app_public.documents (org_id, body)`,
      finds: [
        'duplicate_index app_public.documents_org_id_body_b_idx',
        'duplicate_index app_public.documents_org_id_title_idx',
      ],
    },
    {
      claim: 'an index in another order, of another class or of some rows is no duplicate',
      sql: `
        create index documents_a_idx on app_public.documents (org_id desc);
        create index documents_b_idx on app_public.documents (org_id text_pattern_ops);
        create index documents_c_idx on app_public.documents (org_id) where title = 'x'`,
      finds: [],
    },
    {
      claim: 'a unique key of an expression, or with the tenant in another place, is an oracle',
      sql: `
        create unique index documents_a_key on app_public.documents (lower(title), org_id);
        create unique index documents_b_key on app_public.documents (created_at, org_id)`,
      finds: [
        'unique_without_tenant app_public.documents_a_key',
        'unique_without_tenant app_public.documents_b_key',
      ],
    },
    {
      claim: 'a login reaches BYPASSRLS through two roles',
      sql: `
        reset role;
        create role spoon_login login;
        create role spoon_group nologin;
        create role spoon_power nologin bypassrls;
        grant spoon_power to spoon_group;
        grant spoon_group to spoon_login with inherit false, set false`,
      finds: ['login_bypasses_rls spoon_login'],
    },
    {
      claim: 'a tenant table in a private schema needs row-level security too',
      sql: `
        create table app_private.spoons (
          org_id text not null, id uuid not null, constraint spoons_pkey primary key (org_id, id)
        )`,
      finds: ['rls_disabled app_private.spoons'],
    },
    {
      claim: 'what an extension brought is not ours',
      sql: 'reset role; create extension pg_trgm schema app_hidden',
      finds: [],
    },
    {
      claim: 'a unique constraint that repeats the primary key is a copy of it',
      sql: 'alter table app_public.documents add constraint documents_key unique (org_id, id)',
      finds: ['duplicate_index app_public.documents_key'],
    },
    {
      claim: 'an index is no copy of one of some rows, of an expression or of another kind',
      sql: `
        create index documents_a_idx on app_public.documents (org_id, updated_at);
        create index documents_b_idx on app_public.documents (org_id, updated_at, title) where title = 'x';
        create index documents_c_idx on app_public.documents using hash (org_id);
        create index documents_d_idx on app_public.documents (org_id, lower(title));
        create index documents_e_idx on app_public.documents (org_id, lower(body))`,
      finds: [
        'index_not_leakproof app_public.documents_d_idx',
        'index_not_leakproof app_public.documents_e_idx',
      ],
    },
    {
      claim: 'an index of some rows serves neither a foreign key nor a policy',
      sql: `
        alter table app_public.documents add column editor_id text
          constraint documents_editor_id_fkey references app_public.users (id);
        comment on column app_public.documents.editor_id is 'Who changed it last.';
        create index documents_a_idx on app_public.documents (org_id, editor_id) where title = 'x';
        drop policy delete_own on app_public.documents;
        create policy delete_own on app_public.documents for delete to app_user
          using (editor_id = (select app_hidden.current_user_id()))`,
      finds: [
        'foreign_key_without_index app_public.documents.documents_editor_id_fkey',
        'policy_column_without_index app_public.documents.editor_id',
      ],
    },
    {
      claim: 'an index is as useless to callers who read only columns',
      sql: `
        revoke select on app_public.documents from app_user;
        grant select (org_id, title) on app_public.documents to app_user;
        create index documents_a_idx on app_public.documents using gin (search)`,
      finds: ['index_not_leakproof app_public.documents_a_idx'],
    },
    {
      claim: 'statistics that say nothing of dependencies are not enough',
      sql: `
        drop statistics app_public.documents_org_id_owner_id_stat;
        create statistics app_public.s (ndistinct) on org_id, owner_id from app_public.documents`,
      finds: ['owner_without_statistics app_public.documents'],
    },
    {
      claim: 'times are not for callers to write',
      sql: 'grant insert (created_at) on app_public.documents to app_user',
      finds: ['database_value_granted app_public.documents.created_at'],
    },
    {
      claim: 'a tenant that defaults to a constant does not come from the claims',
      sql: "alter table app_public.documents alter org_id set default 'org_acme'",
      finds: ['tenant_column_without_default app_public.documents.org_id'],
    },
    {
      claim: 'SQL is built where requests may call it, and may be where nobody but the owner can',
      sql: `
        create function app_private.free() returns void language plpgsql set search_path = '' as $$
          begin execute 'select 1'; end $$;
        create function app_public.bound() returns void language plpgsql set search_path = '' as $$
          begin execute 'select 1'; end $$;
        grant execute on function app_public.bound() to app_user;
        comment on function app_private.free() is 'Free.';
        comment on function app_public.bound() is 'Bound.'`,
      finds: ['dynamic_sql app_public.bound()'],
    },
    {
      claim: 'a grant to everybody is told once',
      sql: `
        create function app_public.a() returns int language sql security definer set search_path = '' return 1;
        grant execute on function app_public.a() to public;
        comment on function app_public.a() is 'A.'`,
      finds: ['function_executable_by_public app_public.a()'],
    },
    {
      claim: 'what is granted in a private schema is told once',
      sql: `
        create table app_private.a (id int, constraint a_pkey primary key (id));
        alter table app_private.a enable row level security, force row level security;
        create sequence app_private.b;
        create materialized view app_private.c as select 1 as one;
        grant usage on schema app_private to app_user;
        grant insert, truncate on app_private.a to app_user;
        grant select on app_private.b, app_private.c to app_user`,
      finds: ['a', 'b', 'c', '']
        .map((name) => `private_schema_granted app_private.${name}`.replace(/\.$/, ''))
        .sort(),
    },
    {
      claim: 'functions that call each other without end are followed once',
      sql: `
        create function app_public.a() returns int language plpgsql set search_path = '' as $$
          begin return app_public.b(); end $$;
        create function app_public.b() returns int language plpgsql set search_path = '' as $$
          begin return app_public.a(); end $$;
        grant execute on function app_public.a(), app_public.b() to app_user;
        comment on function app_public.a() is 'A.';
        comment on function app_public.b() is 'B.'`,
      finds: [],
    },
    {
      claim: 'a view with other options, or with the option off, asks as its owner',
      sql: `
        create view app_hidden.a with (security_barrier) as select 1 as one;
        create view app_hidden.b with (security_invoker = off) as select 1 as one`,
      finds: [
        'view_without_security_invoker app_hidden.a',
        'view_without_security_invoker app_hidden.b',
      ],
    },
    {
      claim: 'an identity column of an exposed table counts',
      sql: `
        alter table app_public.documents add column number bigint generated always as identity;
        comment on column app_public.documents.number is 'Its number.'`,
      finds: ['sequence_as_key app_public.documents.number'],
    },
    {
      claim: 'the parts of an exposed type need comments as well',
      sql: `
        create type app_public.size as (width int, height int);
        comment on type app_public.size is 'How large.';
        comment on column app_public.size.width is 'How wide.'`,
      finds: ['column_without_comment app_public.size.height'],
    },
    {
      claim: "an extension's things in public are not ours, nor are the schemas of others",
      sql: `
        reset role;
        create extension pg_trgm schema public;
        create schema theirs;
        grant create on schema theirs to public`,
      finds: [],
    },
    {
      claim: 'a login that was not asked about is left alone',
      sql: 'reset role; create role spoon_stranger login bypassrls',
      finds: [],
    },
    {
      claim: 'a default may read the claims itself',
      sql: `alter table app_public.documents alter org_id set default nullif(current_setting('jwt.org_id', true), '')`,
      finds: [],
    },
    {
      claim: 'pg_settings is a way to change settings',
      sql: `
        create function app_public.a() returns void language sql volatile
        begin atomic update pg_settings set setting = 'x' where name = 'jwt.org_id'; end;
        grant execute on function app_public.a() to app_user;
        comment on function app_public.a() is 'A.'`,
      finds: ['settings_reachable app_public.a()'],
    },
    {
      claim:
        'indexes of two collations, or a unique key that a longer one begins with, are no copies',
      sql: `
        create index documents_a_idx on app_public.documents (org_id, title);
        create index documents_b_idx on app_public.documents (org_id, title collate "C");
        create unique index documents_a_key on app_public.documents (org_id, body);
        create index documents_c_idx on app_public.documents (org_id, body, title)`,
      finds: [],
    },
    {
      claim: 'a unique key of an expression is there for its own sake',
      sql: 'create unique index documents_a_key on app_public.documents (org_id, lower(title))',
      finds: [],
    },
    {
      claim: 'statistics of other columns say nothing of the owner',
      sql: `
        drop statistics app_public.documents_org_id_owner_id_stat;
        create statistics app_public.s (dependencies) on org_id, title from app_public.documents`,
      finds: ['owner_without_statistics app_public.documents'],
    },
  ];
}
