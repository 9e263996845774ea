import type { ClientBase } from 'pg';
import { findOwnSchemas } from '../../db/ownSchemas.ts';
import { type Constraint, people, type Table, tenants } from './catalogue.ts';
import type { Observed, TableMatrix } from './matrix.ts';
import { type Outcome, type Probe, probe } from './prober.ts';
import { insertInto, literal, type Row, type RowOwner } from './rows.ts';

/** What each role may do to each table, column by column where it is not all of them. */
export async function observeGrants({
  client,
}: Pick<Observed, 'client'>): Promise<Record<string, TableMatrix['grants']>> {
  const { rows } = await client.query<{ table: string; role: string; grants: string }>(grantsSql, [
    await findOwnSchemas(client),
  ]);
  const grants: Record<string, TableMatrix['grants']> = {};
  for (const row of rows) grants[row.table] = { ...grants[row.table], [row.role]: row.grants };
  return grants;
}

/** The roles of the house; a cluster may have others. */
const roleSql = `
  select rolname, oid from pg_roles
  where rolname ~ '^(app|rowhouse)_' and not rolsuper and not pg_has_role(oid, 'rowhouse_owner', 'member')
  union all select 'everybody', 0`;

const tablePrivileges = [
  'select',
  'insert',
  'update',
  'delete',
  'truncate',
  'references',
  'trigger',
  'maintain',
];
const columnPrivileges = ['select', 'insert', 'update', 'references'];

/** `0` is the pseudo-role of everybody, which the inquiry functions know by that name. */
const asks = (kind: string, object: string, privilege: string) =>
  `(case when r.oid = 0 then has_${kind}_privilege('public', ${object}, ${privilege}) else has_${kind}_privilege(r.oid, ${object}, ${privilege}) end)`;

const grantsSql = `
  select n.nspname || '.' || c.relname as table, r.rolname as role,
    coalesce((
      select string_agg(p.word, ', ' order by p.place) from (
        select place, case
          when ${asks('table', 'c.oid', 'privilege')} then privilege
          when privilege = any ('{${columnPrivileges}}') then privilege || ' (' || (
            select string_agg(a.attname, ', ' order by a.attnum) from pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
              and ${asks('column', 'c.oid, a.attnum', "case when privilege = any ('{select,insert,update,references}') then privilege else 'select' end")}
          ) || ')'
        end as word
        from unnest('{${tablePrivileges}}'::text[]) with ordinality as t (privilege, place)
      ) as p where p.word is not null
    ), 'none') as grants
  from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join (${roleSql}) as r
  where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  order by 1, 2`;

/** Who may use schemas, functions, types and sequences, and which functions run as their owner. */
export async function observeObjects({
  client,
}: Pick<Observed, 'client'>): Promise<Record<string, string>> {
  const { rows } = await client.query<{ object: string; facts: string }>(objectsSql, [
    await findOwnSchemas(client),
  ]);
  return Object.fromEntries(rows.map(({ object, facts }) => [object, facts]));
}

const whoMay = (kind: string, object: string, privilege: string) =>
  `(select string_agg(r.rolname, ', ' order by r.rolname) from (${roleSql}) as r where ${asks(kind, object, `'${privilege}'`)})`;

const objectsSql = `
  select * from (
    select 'schema ' || nspname as object,
      concat_ws('; ', 'use: ' || ${whoMay('schema', 'n.oid', 'usage')}, 'create: ' || ${whoMay('schema', 'n.oid', 'create')}) as facts
    from pg_namespace n where nspname = any ($1) or nspname = 'public'
    union all
    select 'function ' || p.oid::regprocedure, concat_ws('; ',
      case when prosecdef then 'as ' || case when rolsuper then 'superuser' else rolname end end,
      array_to_string(proconfig, ', '),
      coalesce('call: ' || ${whoMay('function', 'p.oid', 'execute')}, 'called by nobody'))
    from pg_proc p join pg_namespace n on n.oid = pronamespace join pg_roles o on o.oid = proowner
    where nspname = any ($1)
    union all
    select 'type ' || t.oid::regtype, coalesce('use: ' || ${whoMay('type', 't.oid', 'usage')}, 'used by nobody')
    from pg_type t join pg_namespace n on n.oid = typnamespace
    where nspname = any ($1) and typelem = 0 and (typrelid = 0 or exists (
      select from pg_class c where c.oid = typrelid and c.relkind = 'c'))
    union all
    select 'sequence ' || c.oid::regclass, coalesce('use: ' || ${whoMay('sequence', 'c.oid', 'usage,select,update')}, 'used by nobody')
    from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = any ($1) and relkind = 'S'
    union all
    select 'queue ' || c.oid::regclass, coalesce(nullif(concat_ws('; ',
      ${['select', 'insert', 'update', 'delete', 'truncate']
        .map((privilege) => `'${privilege}: ' || ${whoMay('table', 'c.oid', privilege)}`)
        .join(',\n      ')}), ''), 'nobody')
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where nspname = 'graphile_worker' and relkind in ('r', 'p', 'v')
    union all
    select 'policy ' || policyname || ' on ' || schemaname || '.' || tablename,
      concat_ws('; ', lower(permissive) || ' for ' || lower(cmd) || ' to ' || array_to_string(roles, ', '),
        'using ' || qual, 'check ' || with_check)
    from pg_policies where schemaname in ('graphile_worker', 'app_private')
    union all
    select 'trigger ' || tgname || ' on ' || tgrelid::regclass,
      regexp_replace(pg_get_triggerdef(t.oid), '^CREATE TRIGGER \\S+ | ON \\S+', '', 'g')
        || case when tgenabled <> 'O' then ' (off)' else '' end
    from pg_trigger t join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = c.relnamespace
    where (nspname = any ($1) or nspname = 'graphile_worker') and not tgisinternal and tgparentid = 0
      and not relispartition
    union all
    -- Partitions come and go with the months: what counts is whether all of a table have it.
    select 'trigger ' || tgname || ' on partitions of ' || inhparent::regclass,
      case when count(*) = (select count(*) from pg_inherits s where s.inhparent = i.inhparent)
        then 'all: ' else 'some: ' end || definition
    from pg_trigger t join pg_inherits i on i.inhrelid = tgrelid,
      lateral (select regexp_replace(pg_get_triggerdef(t.oid), '^CREATE TRIGGER \\S+ | ON \\S+', '', 'g')
        || case when tgenabled <> 'O' then ' (off)' else '' end) as d (definition)
    where not tgisinternal and tgparentid = 0
    group by tgname, inhparent, definition
    union all
    select 'role ' || rolname, concat_ws(', ',
      case when rolcanlogin then 'login' end, case when rolbypassrls then 'bypasses policies' end,
      case when rolcreaterole then 'creates roles' end, case when rolcreatedb then 'creates databases' end,
      (select 'member of ' || string_agg(m.roleid::regrole || case when m.inherit_option then '' else ' (on request)' end, ', ' order by m.roleid::regrole::text)
        from pg_auth_members m where m.member = r.oid))
    from pg_roles r where rolname ~ '^(app|rowhouse)_'
  ) as o order by object collate "C"`;

/** What each constraint of each table refuses, by breaking it. */
export async function observeConstraints(
  observed: Observed,
  tables: readonly Table[],
  reviewed: Readonly<Record<string, TableMatrix>>,
): Promise<Record<string, TableMatrix['constraints']>> {
  const result: Record<string, TableMatrix['constraints']> = {};
  for (const table of tables) {
    const found: TableMatrix['constraints'] = {};
    for (const column of requiredColumns(table)) found[column] = notEnforced;
    for (const { kind, name } of table.constraints) {
      if (kind === 'check') found[name] = refusesNothing;
    }
    // What one row may be, another of another state may not.
    for (const row of [home, next].map((at) => baseRow(observed, table, at))) {
      const trials = trialsOf(table, reviewed[table.name]?.constraints, found);
      const outcomes = await insertAll(
        observed.client,
        table,
        trials.map(({ values }) => ({ ...row, ...values })),
      );
      for (const [i, { name, values, code, says }] of trials.entries()) {
        if (!isOpen(found[name])) continue;
        const [column = '', value] = Object.entries(values)[0] ?? [];
        const isRefused =
          code === '23502'
            ? codeOf(outcomes[i]) === code
            : row[column] !== value && isRefusal(outcomes[i], code, name);
        if (isRefused) found[name] = says;
      }
    }
    for (const constraint of table.constraints) {
      if (constraint.kind === 'check') continue;
      found[constraint.name] = await observeKey(observed, table, constraint);
    }
    result[table.name] = found;
  }
  return result;
}

function requiredColumns(table: Table): string[] {
  return table.columns
    .filter(({ isRequired, isGenerated }) => isRequired && !isGenerated)
    .map(({ name }) => name);
}

const notEnforced = 'not enforced';
const refusesNothing = 'refuses nothing that was tried';
const isOpen = (word: string | undefined) => word === notEnforced || word === refusesNothing;

type Trial = { name: string; values: Row; code: string; says: string };

/** How to break what is not known to be enforced yet: a column left empty, or given what its check refuses. */
function trialsOf(
  table: Table,
  reviewed: Readonly<Record<string, string>> | undefined,
  found: Readonly<Record<string, string>>,
): Trial[] {
  return [
    ...requiredColumns(table)
      .filter((name) => isOpen(found[name]))
      .map((name) => ({ name, values: { [name]: 'null' }, code: '23502', says: 'required' })),
    ...table.constraints
      .filter(({ kind, name }) => kind === 'check' && isOpen(found[name]))
      .flatMap((check) =>
        breaches(table, check, reviewed?.[check.name]).map((values) => ({
          name: check.name,
          values,
          code: '23514',
          says: `refuses ${Object.entries(values)[0]?.join(' = ')}`,
        })),
      ),
  ];
}

/** Where constraints are tried, and where they must not reach; actors of the matrix. */
const home: RowOwner = { orgId: 'org_acme', personId: 'user_alice' };
const next: RowOwner = { orgId: 'org_acme', personId: 'user_bob' };
const abroad: RowOwner = { orgId: 'org_void', personId: 'user_stranger' };

/** A row that would be accepted, of somebody who has none yet where that matters. */
function baseRow({ fixture }: Observed, table: Table, at: RowOwner = home): Row {
  const owner = {
    orgId: table.name === tenants ? 'org_new' : at.orgId,
    personId:
      table.name === people
        ? 'user_new'
        : table.name === 'app_public.memberships'
          ? 'user_stranger'
          : at.personId,
  };
  return fixture.maker.make(table, owner, fixture.placed);
}

/** Values that a check might refuse, the reviewed ones first. */
function breaches(table: Table, check: Constraint, reviewed: string | undefined): Row[] {
  const [, column, value] = reviewed?.match(/^refuses (\w+) = (.*)$/s) ?? [];
  const given = column !== undefined && value !== undefined ? [{ [column]: value }] : [];
  return [
    ...given,
    ...check.columns.flatMap((name) => {
      const type = table.columns.find((each) => each.name === name)?.type ?? 'text';
      const values = /^text|^character/.test(type)
        ? [
            "''",
            "'?'",
            "'A b'",
            ...[51, 101, 256, 321, 501, 1001, 2001, 100001, 1000001].map(
              (n) => `repeat('x', ${n})`,
            ),
          ]
        : /int|numeric|double|real/.test(type)
          ? ['-1', '0', '32767', '-32768', '2147483647']
          : type === 'boolean'
            ? ['true', 'false']
            : type.startsWith('timestamp')
              ? ["'1900-01-01'", "'3000-01-01'"]
              : ["'null'"];
      return [...values, 'null'].map((each) => ({ [name]: each }));
    }),
  ];
}

async function observeKey(
  observed: Observed,
  table: Table,
  constraint: Constraint,
): Promise<string> {
  const { fixture, client } = observed;
  const { kind, columns, target, targetColumns, name } = constraint;
  const row = baseRow(observed, table);
  const away = baseRow(observed, table, abroad);
  if (kind === 'foreign key') {
    const foreign = fixture.placed.find(
      (placed) =>
        placed.table.name === target &&
        placed.orgId === abroad.orgId &&
        placed.personId === abroad.personId,
    )?.row;
    const own = columns.filter((column) => column !== table.orgColumn || target === tenants);
    const pointing = (value: (column: string) => string | undefined) => ({
      ...row,
      ...Object.fromEntries(own.map((column) => [column, value(column) ?? 'null'])),
    });
    const [dangling, across] = await insertAll(client, table, [
      pointing((column) => missingValue(table, column)),
      pointing((column) => foreign?.[targetColumns[columns.indexOf(column)] ?? '']),
    ]);
    if (!isRefusal(dangling, '23503', name)) return notEnforced;
    if (!foreign || own.length === columns.length) return `reference to ${target}`;
    return isRefusal(across, '23503', name)
      ? `reference to ${target} of the same organization`
      : `reference to ${target} of any organization`;
  }
  const taken = await client.query<Record<string, string>>(
    `select ${columns.map((column) => `${column}::text`).join(', ')} from ${table.name}
     ${table.orgColumn ? `order by (${table.orgColumn} = ${literal(home.orgId)}) desc` : ''} limit 1`,
  );
  const first = taken.rows[0] ?? {};
  const like = (base: Row, skip?: string) => ({
    ...base,
    ...Object.fromEntries(
      columns
        .filter((column) => column !== skip && first[column] != null)
        .map((column) => [column, `${literal(first[column] ?? '')}`]),
    ),
  });
  const [same, other] = await insertAll(client, table, [
    like(row),
    like(away, columns.length > 1 ? table.orgColumn : undefined),
  ]);
  if (!isRefusal(same, '23505', name) && !isRefusal(same, '23P01', name)) return notEnforced;
  const crosses = codeOf(other) === '23505' || codeOf(other) === '23P01';
  return crosses
    ? `unique everywhere (${columns.join(', ')})`
    : `unique in the organization (${columns.join(', ')})`;
}

function missingValue(table: Table, column: string): string {
  const type = table.columns.find(({ name }) => name === column)?.type;
  if (type === 'uuid') return "'ffffffff-ffff-7fff-8fff-ffffffffffff'";
  return type === 'text' ? "'nowhere'" : '0';
}

function insertAll(
  client: Pick<ClientBase, 'query'>,
  table: Table,
  rows: readonly Row[],
): Promise<Outcome[]> {
  // As the superuser, without triggers of ours, which might mend what is broken; references are checked at once.
  const probes = rows.map(
    (row): Probe => ({
      settings: { role: 'none' },
      statement: `alter table ${table.name} disable trigger user; set constraints all immediate; ${insertInto(table, row)}`,
      wants: 'effect',
    }),
  );
  return probe(client, probes);
}

function codeOf(outcome: Outcome | undefined): string | undefined {
  return outcome && 'code' in outcome ? outcome.code : undefined;
}

function isRefusal(outcome: Outcome | undefined, code: string, constraint: string): boolean {
  return (
    outcome !== undefined &&
    'code' in outcome &&
    outcome.code === code &&
    outcome.constraint === constraint
  );
}
