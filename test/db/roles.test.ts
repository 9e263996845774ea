import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Pool } from 'pg';
import { assertLeastPrivilege, TooPowerfulLoginError } from '../../db/assertLeastPrivilege.ts';
import { ensureLogin } from '../../db/roles.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { admin, alice, ask, commitAs, connected, denied, provisionAll } from './callers.ts';

/** What each role may and may not. A grant that is added has to be added here, and so be seen. */

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
  await commitAs(database, alice, (client) =>
    client.query("insert into app_public.documents (title) values ('Plan')"),
  );
});
afterAll(() => database.close());

const lines = async (sql: string): Promise<string[]> =>
  (await database.superuser.query<{ line: string }>(sql)).rows.map(({ line }) => line);

/** Schemas that are not Postgres's own. */
const ours = "not like all (array['pg\\_%', 'information\\_schema'])";
const tables = ['users', 'organizations', 'memberships', 'documents', 'dead_letters'];
const logins = () =>
  [
    { login: 'api', url: database.apiUrl, uses: 'app_user' },
    { login: 'worker', url: database.workerUrl, uses: 'its functions' },
  ] as const;

describe('a login', () => {
  test('cannot bypass row-level security, itself or through a role it can become', async () => {
    for (const { url, uses } of logins()) {
      const pool = new Pool({ connectionString: url, max: 1 });
      await expect(assertLeastPrivilege(pool, uses)).resolves.toBeUndefined();
      await pool.end();
    }
  });

  test('that could is found out: the superuser, the owner, and who can become either', async () => {
    await expect(assertLeastPrivilege(database.superuser)).rejects.toThrow(TooPowerfulLoginError);
    const owner = new Pool({ connectionString: database.ownerUrl, max: 1 });
    await expect(assertLeastPrivilege(owner)).rejects.toThrow(/"rowhouse_owner" bypasses/);
    await owner.end();

    // Roles belong to the cluster, which other tests use at the same time: a login of its own.
    await database.superuser.query(`
      create role test_between nologin; grant rowhouse_owner to test_between;
      create role test_login login noinherit password 'test'; grant app_user, test_between to test_login`);
    const url = Object.assign(new URL(database.apiUrl), {
      username: 'test_login',
      password: 'test',
    });
    const login = new Pool({ connectionString: url.href, max: 1 });
    try {
      await expect(assertLeastPrivilege(login)).rejects.toThrow(/can become "rowhouse_owner"/);
    } finally {
      await login.end();
      await database.superuser.query('drop role test_login, test_between');
    }
  });

  test('that cannot become app_user is told what to run', async () => {
    await database.superuser.query("create role test_outsider login password 'test'");
    const url = Object.assign(new URL(database.apiUrl), {
      username: 'test_outsider',
      password: 'test',
    });
    const login = new Pool({ connectionString: url.href, max: 1 });
    try {
      await expect(assertLeastPrivilege(login)).rejects.toThrow(
        /grant app_user to "test_outsider"/,
      );
    } finally {
      await login.end();
      await database.superuser.query('drop role test_outsider');
    }
  });

  test('of the API can become app_user and that of the worker nobody; neither anybody else', async () => {
    const others = ['app_api', 'app_worker', 'rowhouse_owner', 'postgres', 'pg_read_all_data'];
    for (const { url, uses } of logins()) {
      await connected(url, async (client) => {
        if (uses === 'app_user') {
          await client.query('set role app_user');
          await client.query('reset role');
        }
        for (const role of uses === 'app_user' ? others : ['app_user', ...others]) {
          await expect(client.query(`set role ${role}`)).rejects.toMatchObject(denied);
        }
      });
    }
  });

  test.each(tables)('can neither read nor write %s before it becomes app_user', async (table) => {
    for (const { url } of logins()) {
      await connected(url, async (client) => {
        for (const statement of [
          `select from app_public.${table}`,
          `insert into app_public.${table} default values`,
          `update app_public.${table} set created_at = now()`,
          `delete from app_public.${table}`,
        ]) {
          await expect(client.query(statement)).rejects.toMatchObject(denied);
        }
      });
    }
  });

  test('of a worker that could become app_user is found out', async () => {
    const api = new Pool({ connectionString: database.apiUrl, max: 1 });
    try {
      await expect(assertLeastPrivilege(api, 'its functions')).rejects.toThrow(
        /can become app_user/,
      );
    } finally {
      await api.end();
    }
  });

  test('of the worker that is a member of app_user, as in earlier versions, is taken out of it', async () => {
    const url = Object.assign(new URL(database.workerUrl), { username: 'test_old', password: 'x' });
    await connected(database.ownerUrl, async (owner) => {
      await owner.query(
        "create role test_old login noinherit password 'x'; grant app_user to test_old with inherit false, set true",
      );
      try {
        await ensureLogin(owner, url.href, 'app_worker');
        await ensureLogin(owner, url.href, 'app_worker');
        const { rows } = await owner.query(
          "select pg_has_role('test_old', 'app_user', 'MEMBER') as acts, pg_has_role('test_old', 'app_worker', 'USAGE') as works",
        );
        expect(rows).toEqual([{ acts: false, works: true }]);
      } finally {
        await owner.query('drop role test_old');
      }
    });
  });

  test('without claims sees no row as app_user', async () => {
    await connected(database.apiUrl, async (client) => {
      await client.query('set role app_user');
      for (const table of tables) {
        expect((await client.query(`select created_at from app_public.${table}`)).rowCount).toBe(0);
      }
    });
  });
});

describe('the roles', () => {
  test('cannot log in, inherit, bypass row-level security or make roles', async () => {
    expect(
      await lines(`
        select concat_ws(' ', rolname, case when rolcanlogin then 'login' end,
          case when rolinherit then 'inherit' end, case when rolsuper then 'superuser' end,
          case when rolbypassrls then 'bypassrls' end, case when rolcreaterole then 'createrole' end,
          case when rolcreatedb then 'createdb' end, case when rolreplication then 'replication' end
        ) as line
        from pg_roles where rolname in ('app_user', 'app_api', 'app_worker',
          'rowhouse_api', 'rowhouse_worker', 'rowhouse_owner') order by 1`),
    ).toEqual([
      'app_api',
      'app_user',
      'app_worker',
      'rowhouse_api login',
      'rowhouse_owner login inherit createrole',
      'rowhouse_worker login',
    ]);
  });

  test('are joined by the logins: app_user to step into, the others for their functions', async () => {
    expect(
      await lines(`
        select concat_ws(' ', m.member::regrole, 'in', m.roleid::regrole,
          case when m.inherit_option then 'inherits' end, case when m.set_option then 'sets' end,
          case when m.admin_option then 'administers' end) as line
        from pg_auth_members m
        where m.member::regrole::text in ('app_user', 'app_api', 'app_worker', 'rowhouse_api', 'rowhouse_worker')
        order by 1`),
    ).toEqual([
      'rowhouse_api in app_api inherits',
      'rowhouse_api in app_user sets',
      'rowhouse_worker in app_worker inherits',
    ]);
  });

  test('may enter these schemas, and create nothing in any', async () => {
    expect(
      await lines(`
        select concat_ws(' ', rolname, privilege, nspname) as line
        from pg_roles, pg_namespace, unnest(array['usage', 'create']) as privilege
        where rolname in ('app_user', 'app_api', 'app_worker') and nspname ${ours}
          and has_schema_privilege(pg_roles.oid, pg_namespace.oid, privilege)
        order by 1`),
    ).toEqual([
      'app_api usage app_private',
      'app_user usage app_hidden',
      'app_user usage app_public',
      'app_worker usage app_private',
      'app_worker usage graphile_worker',
    ]);
  });

  test('may execute these functions', async () => {
    expect(
      await lines(`
        select concat_ws(' ', rolname, p.oid::regprocedure) as line
        from pg_roles, pg_proc p join pg_namespace n on n.oid = pronamespace
        where rolname in ('app_user', 'app_api', 'app_worker') and nspname ${ours}
          and has_function_privilege(pg_roles.oid, p.oid, 'execute')
        order by concat_ws(' ', rolname, p.oid::regprocedure) collate "C"`),
    ).toEqual([
      'app_api app_private.admit(text,text)',
      'app_api app_private.audit_refusal(text,text,text,text,text,text,text,text,text,integer)',
      'app_api app_private.migration_level()',
      'app_api app_private.provision(text,text,text,text,text,text)',
      'app_api app_private.receive_clerk_event(text,text,timestamp with time zone,jsonb)',
      'app_user app_hidden.abort_upload(uuid)',
      'app_user app_hidden.ai_usage(text,date,bigint)',
      'app_user app_hidden.can_manage_documents()',
      'app_user app_hidden.can_manage_files()',
      'app_user app_hidden.can_manage_generations()',
      'app_user app_hidden.can_manage_jobs()',
      'app_user app_hidden.can_read_audit()',
      'app_user app_hidden.cancel_generation(uuid)',
      'app_user app_hidden.complete_multipart(uuid,jsonb)',
      'app_user app_hidden.create_file(text,text,bigint,text,uuid,jsonb)',
      'app_user app_hidden.create_generation(text,integer,uuid,text,text,boolean,jsonb)',
      'app_user app_hidden.current_actor_id()',
      'app_user app_hidden.current_org_id()',
      'app_user app_hidden.current_org_role()',
      'app_user app_hidden.current_request_id()',
      'app_user app_hidden.current_trace_id()',
      'app_user app_hidden.current_user_id()',
      'app_user app_hidden.document_embedding(uuid)',
      'app_user app_hidden.document_rank(app_public.documents,text)',
      'app_user app_hidden.document_search(text,text)',
      'app_user app_hidden.document_similarity(app_public.documents,app_public.document_embeddings)',
      'app_user app_hidden.dot_product(real[],real[])',
      'app_user app_hidden.file_prefix(text,text,uuid)',
      'app_user app_hidden.finalize_file(uuid)',
      'app_user app_hidden.finish_generation(uuid,integer,jsonb)',
      'app_user app_hidden.first_uuid_at(timestamp with time zone)',
      'app_user app_hidden.hand_off_generation(uuid,integer,jsonb,bigint)',
      'app_user app_hidden.has_permission(text)',
      'app_user app_hidden.is_fresh(integer)',
      'app_user app_hidden.is_second_factor_fresh(integer)',
      'app_user app_hidden.is_within(text,integer)',
      'app_user app_hidden.job_state(text,uuid)',
      'app_user app_hidden.own_upload(uuid)',
      'app_user app_hidden.search_query(text)',
      'app_user app_public.documents_search_indexing(app_public.documents)',
      'app_user app_public.me()',
      'app_user app_public.search_documents(text)',
      'app_user app_public.similar_documents(uuid)',
      'app_worker app_private.accept_file(app_private.attempt,uuid,text,text,text,integer,integer)',
      'app_worker app_private.apply_clerk_events(app_private.attempt,integer)',
      'app_worker app_private.audit_command(text,jsonb)',
      'app_worker app_private.beat(text,bigint[],interval)',
      'app_worker app_private.complete_attempt(app_private.attempt)',
      'app_worker app_private.complete_generation(app_private.attempt,uuid,integer,jsonb)',
      'app_worker app_private.count_added()',
      'app_worker app_private.document_to_embed(app_private.attempt,uuid)',
      'app_worker app_private.drop_jobs(bigint[])',
      'app_worker app_private.embed_missing(app_private.attempt)',
      'app_worker app_private.enable_embeddings(boolean)',
      'app_worker app_private.end_worker(text)',
      'app_worker app_private.erase_gone_users(app_private.attempt,integer)',
      'app_worker app_private.expire_files(app_private.attempt)',
      'app_worker app_private.fail_attempt(app_private.attempt,text,text,boolean)',
      'app_worker app_private.file_to_finalize(app_private.attempt,uuid)',
      'app_worker app_private.file_to_purge(app_private.attempt,uuid)',
      'app_worker app_private.index_document(app_private.attempt,uuid)',
      'app_worker app_private.is_file_ready(app_private.attempt,text,uuid,text)',
      'app_worker app_private.maintain_audit(app_private.attempt)',
      'app_worker app_private.migration_level()',
      'app_worker app_private.missing_in_clerk(uuid,integer)',
      'app_worker app_private.next_ready_files(app_private.attempt,integer)',
      'app_worker app_private.open_reconciliation()',
      'app_worker app_private.postpone_attempt(app_private.attempt,bigint)',
      'app_worker app_private.purge_clerk_events(app_private.attempt)',
      'app_worker app_private.purge_queue(app_private.attempt)',
      'app_worker app_private.reconcile_with_clerk(uuid,text,bigint,jsonb,text,bigint)',
      'app_worker app_private.register_worker(text,text,text)',
      'app_worker app_private.reject_file(app_private.attempt,uuid,text)',
      'app_worker app_private.resume_files(app_private.attempt)',
      'app_worker app_private.retry_jobs(bigint[])',
      'app_worker app_private.return_generation(app_private.attempt,uuid,integer,jsonb)',
      'app_worker app_private.sample_of_mirror(integer)',
      'app_worker app_private.store_embedding(app_private.attempt,uuid,bytea,text,real[])',
      'app_worker app_private.sweep(text,interval)',
      'app_worker app_private.swept_to(app_private.attempt,text)',
      'app_worker app_private.take_generation(app_private.attempt,uuid,bigint)',
      'app_worker app_private.unneeded_objects(app_private.attempt,text[])',
      'app_worker app_private.unneeded_uploads(app_private.attempt,text[],text[])',
      'app_worker graphile_worker.add_job(text,json,text,timestamp with time zone,integer,text,integer,text[],text)',
      'app_worker graphile_worker.add_jobs(graphile_worker.job_spec[],boolean)',
    ]);
  });

  test('may do this with whole tables; nobody may truncate, refer to or trigger on them', async () => {
    expect(
      await lines(`
        select concat_ws(' ', rolname, string_agg(lower(privilege), ', ' order by privilege), 'on', c.oid::regclass) as line
        from pg_roles, pg_class c join pg_namespace n on n.oid = relnamespace,
          unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN']) as privilege
        where rolname in ('app_user', 'app_api', 'app_worker') and nspname ${ours}
          and relkind in ('r', 'p', 'v', 'm', 'f') and has_table_privilege(pg_roles.oid, c.oid, privilege)
        group by rolname, c.oid order by 1`),
    ).toEqual([
      'app_user delete, select on app_public.documents',
      'app_user delete, select on app_public.files',
      'app_user select on app_public.document_embeddings',
      'app_user select on app_public.memberships',
      'app_user select on app_public.organizations',
      'app_user select on app_public.users',
      'app_worker delete, insert, select, update on graphile_worker._private_job_queues',
      'app_worker delete, insert, select, update on graphile_worker._private_jobs',
      'app_worker delete, insert, select, update on graphile_worker._private_known_crontabs',
      'app_worker delete, insert, select, update on graphile_worker._private_tasks',
      'app_worker select on graphile_worker.migrations',
    ]);
  });

  test('may do this with single columns', async () => {
    expect(
      await lines(`
        select concat_ws(' ', grantee::regrole, lower(privilege_type), attrelid::regclass || '.' || attname) as line
        from pg_attribute, aclexplode(attacl) where attacl is not null
          and attrelid::regclass::text ${ours} order by 1`),
    ).toEqual([
      'app_user insert app_public.documents.body',
      'app_user insert app_public.documents.title',
      ...[
        'action',
        'actor_id',
        'changed',
        'created_at',
        'error_code',
        'id',
        'impersonator_id',
        'new_values',
        'old_values',
        'operation',
        'org_id',
        'request_id',
        'row_id',
        'source',
        'table_name',
        'trace_id',
      ].map((column) => `app_user select app_public.audit_events.${column}`),
      ...[
        'attempts',
        'created_at',
        'error_code',
        'id',
        'org_id',
        'queued_at',
        'request_id',
        'subject',
        'task',
        'updated_at',
      ].map((column) => `app_user select app_public.dead_letters.${column}`),
      ...[
        'completion_tokens',
        'created_at',
        'document_id',
        'error_code',
        'finished_at',
        'id',
        'is_cached',
        'latency_ms',
        'max_tokens',
        'model',
        'org_id',
        'prompt',
        'prompt_tokens',
        'provider',
        'started_at',
        'status',
        'text',
        'updated_at',
        'user_id',
      ].map((column) => `app_user select app_public.generations.${column}`),
      'app_user update app_public.documents.body',
      'app_user update app_public.documents.title',
      'app_user update app_public.files.has_part_checksums',
      'app_user update app_public.files.multipart_upload_id',
      'app_user update app_public.files.parts',
      'app_user update app_public.files.status',
    ]);
  });

  test('read no sequence of the model', async () => {
    expect(
      await lines(`
        select concat_ws(' ', rolname, c.oid::regclass) as line
        from pg_roles, pg_class c join pg_namespace n on n.oid = relnamespace
        where rolname in ('app_user', 'app_api') and relkind = 'S' and nspname ${ours}
          and has_sequence_privilege(pg_roles.oid, c.oid, 'usage, select, update')`),
    ).toEqual([]);
  });
});

test('everybody (public) has been granted nothing in our schemas', async () => {
  expect(
    await lines(`
      select concat_ws(' ', lower(privilege_type), what) as line from (
        select oid::regnamespace::text as what, coalesce(nspacl, acldefault('n', nspowner)) as acl
        from pg_namespace where nspname ${ours}
        union all
        select oid::regclass::text, coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))
        from pg_class where relnamespace::regnamespace::text ${ours}
        union all
        select oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner))
        from pg_proc where pronamespace::regnamespace::text ${ours}
        union all
        select oid::regtype::text, coalesce(typacl, acldefault('T', typowner))
        from pg_type where typnamespace::regnamespace::text like 'app\\_%' and typtype in ('e', 'd')
      ) as objects, aclexplode(acl) where grantee = 0 order by 1`),
  ).toEqual([]);
});

test('what the owner makes tomorrow is granted to nobody by itself', async () => {
  await connected(database.ownerUrl, async (client) => {
    await client.query('begin');
    await client.query(`
      create function app_public.tomorrow() returns int language sql return 1;
      create table app_public.tomorrows (id int);
      create type app_public.day as enum ('TOMORROW')`);
    const { rows } = await client.query(`
      select has_function_privilege('app_user', 'app_public.tomorrow()', 'execute') as execute,
        has_table_privilege('app_user', 'app_public.tomorrows', 'select, insert, update, delete') as use,
        has_type_privilege('app_user', 'app_public.day', 'usage') as type`);
    expect(rows).toEqual([{ execute: false, use: false, type: false }]);
    await client.query('rollback');
  });
});

describe('app_user', () => {
  test('has nothing to do with the queue', async () => {
    for (const statement of [
      'select from graphile_worker._private_jobs',
      "select graphile_worker.add_job('documents__index')",
      'select from graphile_worker.jobs',
      'select from graphile_migrate.migrations',
      'select from app_private.anything',
    ]) {
      await expect(ask(database, admin, statement)).rejects.toMatchObject(denied);
    }
  });

  test('cannot look past row-level security', async () => {
    await expect(
      database.as(admin, async (client) => {
        await client.query('set local row_security = off');
        await client.query('select from app_public.documents');
      }),
    ).rejects.toMatchObject(denied);
  });

  test('cannot change or empty a table, or make anything', async () => {
    for (const statement of [
      'alter table app_public.documents disable row level security',
      'drop policy all_same_org on app_public.documents',
      'truncate app_public.documents cascade',
      'create table app_public.spoons (id int)',
      'create table public.spoons (id int)',
      'create function app_hidden.f() returns int language sql return 1',
      'create trigger t after insert on app_public.documents execute function app_private.tg__touch()',
    ]) {
      await expect(ask(database, admin, statement)).rejects.toMatchObject(denied);
    }
  });

  test('learns no values from the statistics', async () => {
    await database.superuser.query('analyze');
    const { rows } = await ask(
      database,
      admin,
      `select
         (select count(*)::int from pg_stats where schemaname like 'app%') as columns,
         (select count(*)::int from pg_stats_ext where schemaname like 'app%') as combinations`,
    );
    expect(rows).toEqual([{ columns: 0, combinations: 0 }]);
  });
});

describe('the owner', () => {
  test('sees and changes no document without claims', async () => {
    await connected(database.ownerUrl, async (client) => {
      expect((await client.query('select from app_public.documents')).rowCount).toBe(0);
      const update = "update app_public.documents set title = 'Seen'";
      expect((await client.query(update)).rowCount).toBe(0);
    });
  });

  test('may neither insert nor delete documents, whatever the claims', async () => {
    await connected(database.ownerUrl, async (client) => {
      await client.query("set jwt.org_id = 'org_acme'; set jwt.user_id = 'user_alice'");
      expect((await client.query('select from app_public.documents')).rowCount).toBe(1);
      expect((await client.query('delete from app_public.documents')).rowCount).toBe(0);
      const insert = "insert into app_public.documents (title) values ('Forged')";
      await expect(client.query(insert)).rejects.toMatchObject(denied);
    });
  });
});
