/**
 * What every table, policy, function and index of the model keeps to. Each is a
 * claim, a query that lists what breaks it, and a change that would: a test that
 * cannot fail proves nothing.
 */
export type Convention = {
  claim: string;
  /** Lists offenders in a column of that name. */
  offenders: string;
  /** DDL that must make an offender appear. */
  breach: string;
};

/** Tables of app_public. */
const tables = `
  (select c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity from pg_class c
   where c.relnamespace = 'app_public'::regnamespace and c.relkind in ('r', 'p')) as t`;

/** Tables with a tenant column, and its number. */
const tenantTables = `
  (select attrelid as oid, attnum as tenant, attnotnull, atthasdef from pg_attribute
   where attname = 'org_id' and attnum > 0
     and attrelid in (select oid from pg_class where relkind in ('r', 'p') and relnamespace = 'app_public'::regnamespace)) as t`;

/** Tables whose visible rows are all of one organization. */
const ownedTables = `${tenantTables.replace(/ as t$/, ' as tenants')}
  join lateral (
    select from pg_constraint join pg_attribute a on a.attrelid = conrelid and a.attnum = conkey[2]
    where conrelid = tenants.oid and contype = 'p' and attname = 'id'
  ) as owned on true`;

const policies = `
  (select pol.*, pol.polrelid::regclass || '.' || polname as name,
     coalesce(pg_get_expr(polqual, polrelid), '') || ' / ' || coalesce(pg_get_expr(polwithcheck, polrelid), '') as text
   from pg_policy pol join pg_class c on c.oid = polrelid
   where c.relnamespace::regnamespace::text like 'app\\_%') as p`;

const functions = `
  (select p.*, p.oid::regprocedure::text as name from pg_proc p
   where p.pronamespace::regnamespace::text like 'app\\_%') as f`;

export const conventions: Convention[] = [
  {
    claim: 'every table has row-level security enabled',
    offenders: `select relname as offender from ${tables} where not relrowsecurity`,
    breach: 'create table app_public.spoons (id int primary key)',
  },
  {
    claim: 'every table has row-level security forced on its owner',
    offenders: `select relname as offender from ${tables} where not relforcerowsecurity`,
    breach: 'alter table app_public.documents no force row level security',
  },
  {
    claim: "every tenant table's primary key leads with the tenant",
    offenders: `
      select t.oid::regclass::text as offender from ${tenantTables}
      where not exists (select from pg_constraint
        where conrelid = t.oid and contype = 'p' and conkey[1] = tenant)`,
    breach:
      'create table app_public.spoons (org_id text not null, id uuid not null, primary key (id, org_id))',
  },
  {
    claim:
      'every tenant column is not null and, where rows are of one organization, defaults to the claim',
    offenders: `
      select tenants.oid::regclass::text as offender from ${ownedTables}
      where not attnotnull or coalesce((select pg_get_expr(adbin, adrelid) from pg_attrdef
        where adrelid = tenants.oid and adnum = tenant), '') <> 'app_hidden.current_org_id()'`,
    breach: 'alter table app_public.documents alter org_id drop default',
  },
  {
    claim: 'every foreign key between tenant tables is composite and leads with the tenant',
    offenders: `
      select conname as offender from pg_constraint
      join ${tenantTables} on t.oid = conrelid
      join ${tenantTables.replace(/ as t$/, ' as target')} on target.oid = confrelid
      where contype = 'f' and not (conkey[1] = t.tenant and confkey[1] = target.tenant)`,
    breach: `
      alter table app_public.documents add column parent_id uuid, add unique (id);
      alter table app_public.documents add constraint documents_parent_id_fkey
        foreign key (parent_id) references app_public.documents (id)`,
  },
  {
    claim: 'every unique key leads with the tenant, but for the ids of users and organizations',
    offenders: `
      select indexrelid::regclass::text as offender from pg_index
      join pg_class c on c.oid = indrelid left join ${tenantTables} on t.oid = indrelid
      where c.relnamespace = 'app_public'::regnamespace and indisunique
        and indkey[0] is distinct from t.tenant
        and indexrelid::regclass::text not in ('app_public.users_pkey', 'app_public.organizations_pkey')`,
    breach: 'create unique index on app_public.documents (title)',
  },
  {
    claim: 'every policy is for app_user or for the owner, never for everybody',
    offenders: `
      select p.name as offender from ${policies} join pg_class c on c.oid = polrelid
      where polroles <> array['app_user'::regrole::oid] and polroles <> array[relowner]`,
    breach: 'create policy select_all on app_public.documents for select using (false)',
  },
  {
    claim: 'every policy that permits is for one command, and the only one for its role',
    offenders: `
      select min(p.name) as offender from ${policies} where polpermissive
      group by polrelid, polcmd, polroles having polcmd = '*' or count(*) > 1`,
    breach:
      'create policy select_more on app_public.documents for select to app_user using (false)',
  },
  {
    claim: 'every table of one organization has a restrictive policy for all commands',
    offenders: `
      select tenants.oid::regclass::text as offender from ${ownedTables}
      where not exists (select from pg_policy where polrelid = tenants.oid and not polpermissive
        and polcmd = '*' and polroles = array['app_user'::regrole::oid]
        and pg_get_expr(polqual, polrelid) = '(org_id = ( SELECT app_hidden.current_org_id() AS current_org_id))'
        and pg_get_expr(polwithcheck, polrelid) = pg_get_expr(polqual, polrelid))`,
    breach: 'drop policy all_same_org on app_public.documents',
  },
  {
    claim: 'every policy of a write has a check',
    offenders: `select p.name as offender from ${policies} where polcmd in ('a', 'w', '*') and polwithcheck is null`,
    breach: `
      drop policy update_own on app_public.documents;
      create policy update_own on app_public.documents for update to app_user using (true)`,
  },
  {
    claim: 'every function in a policy is wrapped in a select, so that it runs once a query',
    offenders: String.raw`
      select p.name as offender from ${policies}
      where regexp_replace(text, '\( SELECT app_hidden\.\w+\([^()]*\) AS \w+\)', '', 'g') ~ '\w\.\w+\(|current_setting'`,
    breach: `alter policy delete_own on app_public.documents
      using (owner_id = app_hidden.current_user_id() or (select app_hidden.can_manage_documents()))`,
  },
  {
    claim: 'every function that runs as its owner pins the search_path',
    offenders: `
      select f.name as offender from ${functions}
      where (prosecdef or (prolang = (select oid from pg_language where lanname = 'plpgsql')))
        and not coalesce(proconfig @> array['search_path=""'], false)`,
    breach:
      'alter function app_private.index_document(app_private.attempt, uuid) reset search_path',
  },
  {
    claim: 'every function of plain SQL is bound when created, or pins the search_path',
    offenders: `
      select f.name as offender from ${functions}
      where prosqlbody is null and not coalesce(proconfig @> array['search_path=""'], false)`,
    breach: `create function app_hidden.loose() returns bigint language sql as 'select 1'`,
  },
  {
    claim: 'no function may be executed by everybody',
    offenders: `
      select f.name as offender from ${functions}, aclexplode(coalesce(proacl, acldefault('f', proowner)))
      where grantee = 0`,
    breach:
      'grant execute on function app_private.index_document(app_private.attempt, uuid) to public',
  },
  {
    // job_state reads the queue, which requests may not, for the caller's organization alone.
    claim:
      'no function that requests may call runs as its owner (but for the state of a job), builds SQL or changes settings',
    offenders: String.raw`
      select f.name as offender from ${functions}
      where has_function_privilege('app_user', oid, 'execute')
        and (prosecdef and f.name <> 'app_hidden.job_state(text,uuid)' or coalesce(pg_get_function_sqlbody(oid), prosrc) ~* 'set_config|\mexecute\M|set\s+(local\s+)?(role|jwt|app)\M')`,
    breach: `
      create function app_public.act(name text) returns text language sql
      return set_config('jwt.org_id', name, true);
      grant execute on function app_public.act(text) to app_user`,
  },
  {
    claim: 'every table has a comment',
    offenders: `select relname as offender from ${tables} where obj_description(oid, 'pg_class') is null`,
    breach: 'comment on table app_public.documents is null',
  },
  {
    claim: 'every column has a comment',
    offenders: `
      select relname || '.' || attname as offender from ${tables} join pg_attribute on attrelid = t.oid
      where attnum > 0 and not attisdropped and col_description(t.oid, attnum) is null`,
    breach: 'alter table app_public.documents add column colour text',
  },
  {
    claim: 'every function has a comment',
    offenders: `select f.name as offender from ${functions} where obj_description(oid, 'pg_proc') is null`,
    breach: 'create function app_public.answer() returns int language sql return 42',
  },
  {
    claim: 'every type has a comment',
    offenders: `
      select typname as offender from pg_type
      where typnamespace = 'app_public'::regnamespace and typtype in ('e', 'd') and obj_description(oid, 'pg_type') is null`,
    breach: "create type app_public.size as enum ('SMALL')",
  },
  {
    claim: 'every foreign key is served by an index, alone or after the tenant',
    offenders: `
      select conname as offender from pg_constraint
      left join ${tenantTables} on t.oid = conrelid
      where contype = 'f' and connamespace::regnamespace::text like 'app\\_%' and not exists (
        select from pg_index where indrelid = conrelid and indpred is null and (
          (indkey::int2[])[0:cardinality(conkey) - 1] operator(pg_catalog.@>) conkey
          or (indkey[0] = t.tenant and (indkey::int2[])[1:cardinality(conkey)] operator(pg_catalog.@>) conkey)))`,
    breach: 'drop index app_public.documents_org_id_owner_id_created_at_id_idx',
  },
  {
    claim: 'every index of a table of one organization leads with the tenant',
    offenders: `
      select indexrelid::regclass::text as offender from ${ownedTables} join pg_index on indrelid = tenants.oid
      where indkey[0] <> tenant`,
    breach: 'create index on app_public.documents (created_at)',
  },
  {
    claim: 'no index is a copy or the beginning of another',
    offenders: `
      select small.indexrelid::regclass::text as offender from pg_index small
      join pg_index large on large.indrelid = small.indrelid and large.indexrelid <> small.indexrelid
      join pg_class c on c.oid = small.indrelid
      where c.relnamespace::regnamespace::text like 'app\\_%'
        and not small.indisunique and small.indpred is null and large.indpred is null
        and small.indexprs is null and large.indexprs is null
        and (large.indkey::text || ' ') like (small.indkey::text || ' %')
        and (large.indoption::text || ' ') like (small.indoption::text || ' %')`,
    breach: 'create index on app_public.documents (org_id, owner_id)',
  },
  {
    claim: 'text is text, time has a zone, and nothing counts with a sequence',
    offenders: `
      select relname || '.' || attname as offender from pg_class c join pg_attribute on attrelid = c.oid
      where relnamespace::regnamespace::text like 'app\\_%' and attnum > 0 and not attisdropped
        and (relkind = 'S' or relkind in ('r', 'p') and atttypid in
          ('varchar'::regtype, 'bpchar'::regtype, '"char"'::regtype, 'name'::regtype, 'timestamp'::regtype,
           'timetz'::regtype, 'money'::regtype, 'json'::regtype))`,
    breach: 'create table app_public.spoons (id serial, name varchar(20), made timestamp)',
  },
  {
    claim: 'every table says when its rows were made and changed, and keeps that itself',
    offenders: `
      select relname as offender from ${tables}
      where (select count(*) from pg_attribute where attrelid = t.oid and attnotnull
          and attname in ('created_at', 'updated_at') and atttypid = 'timestamptz'::regtype) < 2
        or not exists (select from pg_trigger where tgrelid = t.oid
          and tgfoid = 'app_private.tg__touch'::regproc and tgtype & 19 = 19 and tgenabled = 'O')`,
    breach: 'drop trigger _100_touch on app_public.users',
  },
  {
    claim: 'the tenant and the owner, which depend on each other, have statistics together',
    offenders: `
      select tenants.oid::regclass::text as offender from ${ownedTables}
      join pg_attribute o on o.attrelid = tenants.oid and o.attname = 'owner_id'
      where not exists (select from pg_statistic_ext where stxrelid = tenants.oid
        and stxkeys::int2[] @> array[tenant, o.attnum] and 'f' = any (stxkind))`,
    breach: 'drop statistics app_public.documents_org_id_owner_id_stat',
  },
  {
    claim: 'views ask as their caller, and nothing is materialized',
    offenders: `
      select relname as offender from pg_class where relnamespace::regnamespace::text like 'app\\_%'
        and (relkind = 'm' or relkind = 'v' and not coalesce(reloptions @> array['security_invoker=true'], false))`,
    breach: 'create view app_public.titles as select title from app_public.documents',
  },
  {
    claim: 'every constraint and index is named after its table',
    offenders: String.raw`
      select conname as offender from pg_constraint
      where connamespace = 'app_public'::regnamespace
        and not (conname like replace(conrelid::regclass::text, 'app_public.', '') || '\_%'
          and conname ~ '_(pkey|key|fkey|check|excl|not_null)$')
      union all
      select c.relname from pg_index join pg_class c on c.oid = indexrelid
      where c.relnamespace = 'app_public'::regnamespace
        and not (c.relname like replace(indrelid::regclass::text, 'app_public.', '') || '\_%'
          and c.relname ~ '_(pkey|key|idx|excl)$')`,
    breach: 'create index by_time on app_public.documents (org_id, updated_at)',
  },
  {
    claim: 'nothing of ours is in public',
    offenders: `
      select relname as offender from pg_class where relnamespace = 'public'::regnamespace
      union all select proname from pg_proc where pronamespace = 'public'::regnamespace`,
    breach: 'create table public.spoons (id int)',
  },
];
