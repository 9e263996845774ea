import type { ClientBase } from 'pg';
import { findOwnSchemas } from '../../db/ownSchemas.ts';
import type { Part } from './compare.ts';
import { quoted } from './rows.ts';

/** One weakening of the database's own defences. */
export type Mutant = {
  /** What was done, in words; unique. */
  name: string;
  kind: MutantKind;
  sql: string;
  /** The table it is about, if it is about one. */
  table?: string;
  /** Where it is looked for first. */
  parts: readonly Part[];
};

export type MutantKind =
  | 'policy'
  | 'row-level security'
  | 'grant'
  | 'constraint'
  | 'function'
  | 'trigger'
  | 'role';

/** Every mutant of a database, enumerated from its catalogue. */
export async function listMutants(client: Pick<ClientBase, 'query'>): Promise<Mutant[]> {
  const mutants = [
    ...(await policyMutants(client, await findOwnSchemas(client), ['rows', 'enforcement'])),
    // The matrix has no rows of the queue, but a line for each of its policies.
    ...(await policyMutants(client, ['graphile_worker'], ['objects'])),
  ];
  for (const source of Object.values(sources))
    mutants.push(...(await fromCatalogue(client, source)));
  return mutants;
}

type Policy = {
  table: string;
  policy: string;
  permissive: string;
  roles: string;
  command: string;
  using: string | null;
  check: string | null;
};

/** Every policy of some schemas, dropped, widened, and without each of its conditions. */
async function policyMutants(
  client: Pick<ClientBase, 'query'>,
  wanted: readonly string[],
  parts: readonly Part[],
): Promise<Mutant[]> {
  const { rows } = await client.query<Policy>(
    `select schemaname || '.' || quote_ident(tablename) as table, policyname as policy, lower(permissive) as permissive,
       array_to_string(roles, ', ') as roles, lower(cmd) as command, qual as using, with_check as check
     from pg_policies where schemaname = any ($1) order by 1, 2`,
    [wanted],
  );
  return rows.flatMap((policy) => {
    const { table, policy: name, permissive, command, roles } = policy;
    const on = `${quoted(name)} on ${table}`;
    const mutant = (what: string, sql: string): Mutant => ({
      name: `policy ${name} of ${table}: ${what}`,
      kind: 'policy',
      sql,
      table,
      parts,
    });
    const text = (part: 'using' | 'check', expression: string) =>
      `${part === 'using' ? 'using' : 'with check'} (${expression})`;
    const clauses = (['using', 'check'] as const).flatMap((part) => {
      const expression = policy[part];
      return expression === null ? [] : [{ part, expression }];
    });
    const whole = (permissiveness: string, to: string) =>
      `drop policy ${on}; create policy ${on} as ${permissiveness} for ${command} to ${to} ${clauses
        .map(({ part, expression }) => text(part, expression))
        .join(' ')}`;
    return [
      mutant('dropped', `drop policy ${on}`),
      mutant('for everybody', `alter policy ${on} to public`),
      ...(roles === 'app_user' ? [] : [mutant('for requests', whole(permissive, 'app_user'))]),
      mutant(
        permissive === 'permissive' ? 'restrictive' : 'permissive',
        whole(permissive === 'permissive' ? 'restrictive' : 'permissive', roles),
      ),
      ...clauses.flatMap(({ part, expression }) =>
        weakened(expression).map(({ what, expression: other }) =>
          mutant(`${part} ${what}`, `alter policy ${on} ${text(part, other)}`),
        ),
      ),
    ];
  });
}

/** All ways to take one condition out of an expression, as Postgres prints it. */
export function weakened(expression: string): { what: string; expression: string }[] {
  const found = ['true', 'false'].map((value) => ({ what: `is ${value}`, expression: value }));
  for (const group of groupsOf(expression)) {
    const { arms, operator } = armsOf(expression.slice(group.start, group.end));
    const isCondition = arms.length > 1 || group.isWhere;
    if (!isCondition) continue;
    for (const [i, arm] of arms.entries()) {
      const values = arms.length === 1 || operator === 'AND' ? ['true'] : ['true', 'false'];
      for (const value of values) {
        const inner = arms.map((each, at) => (at === i ? value : each)).join(` ${operator} `);
        found.push({
          what: `with ${value} for ${arm.replace(/\s+/g, ' ')}`,
          expression: expression.slice(0, group.start) + inner + expression.slice(group.end),
        });
      }
    }
  }
  const own = new Map(found.map((one) => [one.expression, one]));
  own.delete(expression);
  return [...own.values()];
}

/** What stands between each pair of brackets. */
function groupsOf(text: string): { start: number; end: number; isWhere: boolean }[] {
  const groups: { start: number; end: number; isWhere: boolean }[] = [];
  const open: number[] = [];
  for (const { char, at } of unquoted(text)) {
    if (char === '(') open.push(at + 1);
    if (char !== ')') continue;
    const start = open.pop() ?? 0;
    groups.push({ start, end: at, isWhere: /\bWHERE \($/.test(text.slice(0, start)) });
  }
  return groups;
}

/** The conditions that AND or OR joins at the top of an expression. */
function armsOf(text: string): { arms: string[]; operator: string } {
  const arms: string[] = [];
  let depth = 0;
  let from = 0;
  let operator = 'AND';
  for (const { char, at } of unquoted(text)) {
    if (char === '(') depth += 1;
    if (char === ')') depth -= 1;
    const [word, found] =
      (depth === 0 && char === ' ' && text.slice(at).match(/^ (AND|OR) /)) || [];
    if (word === undefined || found === undefined) continue;
    arms.push(text.slice(from, at));
    from = at + word.length;
    operator = found;
  }
  return { arms: [...arms, text.slice(from)], operator };
}

function* unquoted(text: string): Generator<{ char: string; at: number }> {
  let quote: string | undefined;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? '';
    if (quote) {
      if (char === quote) quote = undefined;
    } else if (char === "'" || char === '"') quote = char;
    else yield { char, at };
  }
}

type Source = { kind: MutantKind; parts: readonly Part[]; sql: string };

async function fromCatalogue(
  client: Pick<ClientBase, 'query'>,
  { kind, parts, sql }: Source,
): Promise<Mutant[]> {
  const { rows } = await client.query<{ name: string; sql: string; table: string | null }>(sql, [
    await findOwnSchemas(client),
  ]);
  return rows.map(({ table, ...row }) => ({
    ...row,
    kind,
    parts,
    ...(table !== null && { table }),
  }));
}

const tables = `(
  select c.oid, n.nspname || '.' || quote_ident(c.relname) as name, c.relkind, c.relrowsecurity, c.relforcerowsecurity,
    has_schema_privilege('app_user', n.oid, 'usage') as is_reachable
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition)`;
const grantees = `(
  select quote_ident(rolname) as name, oid from pg_roles
  where rolname ~ '^(app|rowhouse)_' and not rolsuper and not pg_has_role(oid, 'rowhouse_owner', 'member')
  union all select 'public', 0)`;
const holds = (kind: string, object: string, privilege: string) =>
  `(case when g.oid = 0 then has_${kind}_privilege('public', ${object}, ${privilege}) else has_${kind}_privilege(g.oid, ${object}, ${privilege}) end)`;

/** Each gives rows of name, sql and table. */
const sources: Record<string, Source> = {
  rowSecurity: {
    kind: 'row-level security',
    parts: ['rows', 'enforcement'],
    sql: `
      select name || ': row-level security off' as name, 'alter table ' || name || ' disable row level security' as sql, name as table
      from ${tables} t where relrowsecurity
      union all
      select name || ': not forced', 'alter table ' || name || ' no force row level security', name
      from ${tables} t where relforcerowsecurity
      union all
      select name || ': asks as its owner', 'alter view ' || name || ' set (security_invoker = off)', name
      from ${tables} t where relkind = 'v'`,
  },
  tableGrantsRemoved: {
    kind: 'grant',
    parts: ['grants', 'enforcement'],
    sql: `
      select t.name || ': without ' || lower(a.privilege_type) || ' of ' || coalesce(r.rolname, 'public') as name,
        format('revoke %s on %s from %s', a.privilege_type, t.name, coalesce(quote_ident(r.rolname), 'public')) as sql, t.name as table
      from ${tables} t join pg_class c on c.oid = t.oid, aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
      where a.grantee <> c.relowner
      union all
      select format('%s: without %s (%I) of %s', t.name, lower(a.privilege_type), k.attname, coalesce(r.rolname, 'public')),
        format('revoke %s (%I) on %s from %s', a.privilege_type, k.attname, t.name, coalesce(quote_ident(r.rolname), 'public')), t.name
      from ${tables} t join pg_attribute k on k.attrelid = t.oid, aclexplode(k.attacl) a left join pg_roles r on r.oid = a.grantee`,
  },
  tableGrantsAdded: {
    kind: 'grant',
    parts: ['grants', 'enforcement'],
    sql: `
      select format('%s: with %s for %s', t.name, p, g.name) as name,
        format('grant %s on %s to %s', p, t.name, g.name) as sql, t.name as table
      from ${tables} t, ${grantees} g, unnest('{select,insert,update,delete,truncate,references,trigger,maintain}'::text[]) p
      where not ${holds('table', 't.oid', 'p')}
      union all
      select format('%s: with %s (%I) for %s', t.name, p, k.attname, g.name),
        format('grant %s (%I) on %s to %s', p, k.attname, t.name, g.name), t.name
      from ${tables} t join pg_attribute k on k.attrelid = t.oid and k.attnum > 0 and not k.attisdropped,
        ${grantees} g, unnest('{select,insert,update,references}'::text[]) p
      where not ${holds('column', 't.oid, k.attnum', 'p')} and g.name in ('app_user', 'public')`,
  },
  objectGrants: {
    kind: 'grant',
    parts: ['objects'],
    sql: `
      select format('schema %I: without %s of %s', n.nspname, lower(a.privilege_type), coalesce(r.rolname, 'public')) as name,
        format('revoke %s on schema %I from %s', a.privilege_type, n.nspname, coalesce(quote_ident(r.rolname), 'public')) as sql, null as table
      from pg_namespace n, aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee
      where n.nspname = any ($1) and a.grantee <> n.nspowner
      union all
      select format('schema %I: with %s for %s', n.nspname, p, g.name), format('grant %s on schema %I to %s', p, n.nspname, g.name), null
      from pg_namespace n, ${grantees} g, unnest('{usage,create}'::text[]) p
      where (n.nspname = any ($1) or n.nspname = 'public') and not ${holds('schema', 'n.oid', 'p')}
      union all
      select format('queue %s: without %s of %s', c.oid::regclass, lower(a.privilege_type), r.rolname),
        format('revoke %s on %s from %I', a.privilege_type, c.oid::regclass, r.rolname), null
      from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
      where n.nspname = 'graphile_worker' and c.relkind in ('r', 'p', 'v') and a.grantee <> c.relowner
      union all
      select format('queue %s: with %s for %s', c.oid::regclass, p, g.name), format('grant %s on %s to %s', p, c.oid::regclass, g.name), null
      from pg_class c join pg_namespace n on n.oid = c.relnamespace, ${grantees} g, unnest('{select,insert,update,delete,truncate}'::text[]) p
      where n.nspname = 'graphile_worker' and c.relkind in ('r', 'p', 'v') and not ${holds('table', 'c.oid', 'p')}
      union all
      select format('function %s: not for %s', f.oid::regprocedure, coalesce(r.rolname, 'public')),
        format('revoke execute on function %s from %s', f.oid::regprocedure, coalesce(quote_ident(r.rolname), 'public')), null
      from pg_proc f join pg_namespace n on n.oid = f.pronamespace, aclexplode(f.proacl) a left join pg_roles r on r.oid = a.grantee
      where n.nspname = any ($1) and a.grantee <> f.proowner
      union all
      select format('function %s: for %s', f.oid::regprocedure, g.name), format('grant execute on function %s to %s', f.oid::regprocedure, g.name), null
      from pg_proc f join pg_namespace n on n.oid = f.pronamespace, ${grantees} g
      where n.nspname = any ($1) and not ${holds('function', 'f.oid', "'execute'")}
      union all
      select format('type %s: not for %s', t.oid::regtype, coalesce(r.rolname, 'public')),
        format('revoke usage on type %s from %s', t.oid::regtype, coalesce(quote_ident(r.rolname), 'public')), null
      from pg_type t join pg_namespace n on n.oid = t.typnamespace, aclexplode(t.typacl) a left join pg_roles r on r.oid = a.grantee
      where n.nspname = any ($1) and a.grantee <> t.typowner and t.typelem = 0 and t.typtype in ('e', 'd', 'c')
        and (t.typtype <> 'c' or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))`,
  },
  constraints: {
    kind: 'constraint',
    parts: ['constraints', 'enforcement'],
    sql: `
      with k as (
        select k.*, t.name as table, quote_ident(k.conname) as quoted,
          (select quote_ident(a.attname) from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) as first,
          (select string_agg(quote_ident(a.attname), ', ' order by o) from unnest(k.conkey[2:]) with ordinality u (n, o)
            join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.n) as rest,
          (select string_agg(quote_ident(a.attname), ', ' order by o) from unnest(k.confkey[2:]) with ordinality u (n, o)
            join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.n) as target_rest
        from pg_constraint k join ${tables} t on t.oid = k.conrelid
        where k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0 and t.is_reachable
      )
      select format('%s: without %s', k.table, conname) as name, format('alter table %s drop constraint %s cascade', k.table, quoted) as sql, k.table as table from k
      union all
      select format('%s: %s without the tenant', k.table, conname),
        format('create unique index on %s (%s); alter table %s drop constraint %s; alter table %s add constraint %s foreign key (%s) references %s (%s)',
          confrelid::regclass, target_rest, k.table, quoted, k.table, quoted, rest, confrelid::regclass, target_rest), k.table
      from k where contype = 'f' and first = 'org_id' and rest is not null
      union all
      select format('%s: %s without the tenant', k.table, conname),
        format('delete from %s; alter table %s drop constraint %s cascade; alter table %s add constraint %s %s (%s)', k.table, k.table, quoted, k.table, quoted,
          case contype when 'p' then 'primary key' else 'unique' end, rest), k.table
      from k where contype in ('p', 'u') and first = 'org_id' and rest is not null
        and not exists (select from pg_partitioned_table p where p.partrelid = k.conrelid)
      union all
      select format('%s: %s is true', k.table, conname),
        format('alter table %s drop constraint %s; alter table %s add constraint %s check (true)', k.table, quoted, k.table, quoted), k.table
      from k where contype = 'c'`,
  },
  columns: {
    kind: 'constraint',
    parts: ['constraints', 'enforcement'],
    sql: `
      select format('%s: %I may be null', t.name, a.attname) as name,
        format('alter table %s alter %I drop not null', t.name, a.attname) as sql, t.name as table
      from ${tables} t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attnotnull
      where t.is_reachable and a.attidentity = '' and not exists (
        select from pg_constraint k where k.conrelid = t.oid and k.contype = 'p' and a.attnum = any (k.conkey))
      union all
      select format('%s: %I does not come from the claims', t.name, a.attname),
        format('alter table %s alter %I drop default', t.name, a.attname), t.name
      from ${tables} t join pg_attribute a on a.attrelid = t.oid join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
      where pg_get_expr(d.adbin, d.adrelid) ~ 'app_hidden\\.'`,
  },
  functions: {
    kind: 'function',
    parts: ['objects'],
    sql: `
      select format('function %s: as its caller', f.oid::regprocedure) as name, format('alter function %s security invoker', f.oid::regprocedure) as sql, null as table
      from pg_proc f join pg_namespace n on n.oid = f.pronamespace where n.nspname = any ($1) and f.prosecdef
      union all
      select format('function %s: as its owner', f.oid::regprocedure), format('alter function %s security definer', f.oid::regprocedure), null
      from pg_proc f join pg_namespace n on n.oid = f.pronamespace where n.nspname = any ($1) and not f.prosecdef
      union all
      select format('function %s: without %s', f.oid::regprocedure, c), format('alter function %s reset %s', f.oid::regprocedure, split_part(c, '=', 1)), null
      from pg_proc f join pg_namespace n on n.oid = f.pronamespace, unnest(f.proconfig) c where n.nspname = any ($1)`,
  },
  triggers: {
    kind: 'trigger',
    parts: ['objects'],
    sql: `
      select format('trigger %s of %s: %s', g.tgname, g.tgrelid::regclass, w.word) as name,
        format(w.sql, case when w.word = 'dropped' then quote_ident(g.tgname) else g.tgrelid::regclass::text end,
          case when w.word = 'dropped' then g.tgrelid::regclass::text else quote_ident(g.tgname) end) as sql, null as table
      from pg_trigger g join pg_proc f on f.oid = g.tgfoid join pg_namespace n on n.oid = f.pronamespace,
        (values ('dropped', 'drop trigger %s on %s'), ('off', 'alter table %s disable trigger %s')) as w (word, sql)
      where n.nspname = any ($1) and not g.tgisinternal and g.tgparentid = 0`,
  },
  roles: {
    kind: 'role',
    parts: ['objects'],
    sql: `
      select format('role %s: %s', r.rolname, w) as name, format('alter role %I %s', r.rolname, w) as sql, null as table
      from pg_roles r, unnest('{bypassrls,superuser,createrole}'::text[]) w
      where r.rolname ~ '^(app|rowhouse)_' and not r.rolsuper and not (w = 'createrole' and r.rolcreaterole) and $1::text[] is not null
      union all
      select format('role %s: inherits %s', r.rolname, g.rolname), format('grant %I to %I with inherit true', g.rolname, r.rolname), null
      from pg_roles r, pg_roles g
      where r.rolname ~ '^rowhouse_(api|worker)$' and g.rolname ~ '^(app_user|app_api|app_worker|rowhouse_owner)$'
        and not pg_has_role(r.oid, g.oid, 'usage')`,
  },
};
