import type { Table } from './catalogue.ts';
import { classesOf, classOf, type KnownRow, keyOf } from './fixture.ts';
import { type Actor, type Observed, settingsOf, type TableMatrix } from './matrix.ts';
import { type Outcome, type Probe, probe } from './prober.ts';
import { insertInto, quoted } from './rows.ts';

/**
 * What callers can do as things are: with their own privileges, policies and triggers together.
 * Lists where that is not what the matrix says of grants and rows taken together.
 */
export async function enforcementFaults(
  { client, fixture, actors }: Observed,
  tables: readonly Table[],
  meant: Readonly<Record<string, TableMatrix>>,
): Promise<string[]> {
  const { rows } = await client.query<{ now: string }>(
    'select pg_snapshot_xmax(pg_current_snapshot())::text as now',
  );
  const start = rows[0]?.now ?? '0';
  const trials = tables.flatMap((table) =>
    Object.entries(actors).flatMap(([name, actor]) => {
      const matrix = meant[table.name];
      if (!matrix || actor.role !== 'app_user') return [];
      return trialsOf(table, name, actor, matrix, start);
    }),
  );
  const outcomes = await probe(
    client,
    trials.map((trial) => trial.probe),
  );
  return trials.flatMap(({ name, expected, isOptional, tell }, i) => {
    const outcome = outcomes[i];
    const found = outcome && ('seen' in outcome ? tell(outcome.seen) : read(outcome));
    if (found === expected || (isOptional && outcome && isRefusedLater(outcome))) return [];
    return [`${name}: meant ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`];
  });

  function trialsOf(
    table: Table,
    name: string,
    actor: Actor,
    matrix: TableMatrix,
    at: string,
  ): Trial[] {
    const settings = settingsOf(actor);
    const grants = matrix.grants[actor.role] ?? 'none';
    const caller = { userId: actor.user ?? '', orgId: actor.org ?? '' };
    const known = fixture.rows.get(table.name) ?? [];
    const classNow = (row: KnownRow) => classOf(table, row, caller, fixture.members);
    const all = known.map(({ key }) => key);
    const words = (keys: readonly string[]) =>
      classesOf(table, keys, fixture, caller).join(' ') || 'none';
    const countOf = (cell: string) =>
      [...cell.matchAll(/([a-z]+)(?: (\d+)\/(\d+))?/g)].reduce(
        (sum, [, rowClass, part = '1', whole = '1']) =>
          sum + (known.filter((row) => classNow(row) === rowClass).length * +part) / +whole,
        0,
      );
    const listed = (seen: string) => words(seen.split('\n').filter(Boolean));
    const cell = (command: 'select' | 'insert' | 'update' | 'delete') => {
      const cells = typeof matrix.rows === 'string' ? matrix.rows : matrix.rows[name];
      return (typeof cells === 'string' ? cells : cells?.[command]) ?? 'none';
    };
    const list = (filter: string) =>
      `select string_agg(${keyOf(table)}, e'\\n' order by ${keyOf(table)} collate "C") from ${table.name} ${filter}`;
    const trial = (
      command: 'select' | 'insert' | 'update' | 'delete',
      rest: Omit<Probe, 'settings'>,
      expected: string,
      tell: (seen: string) => string = (seen) => seen,
    ): Trial => ({
      name: `${table.name}, ${name}, ${command}`,
      probe: { settings, ...rest },
      expected: cell(command) === 'refused' ? notAdmitted : expected,
      tell,
      isOptional: command !== 'select' && expected !== denied,
    });

    const readable = columnsOf(table, grants, 'select');
    const isKeyReadable = table.key.every((column) => readable.includes(column));
    const [first = table.columns[0]?.name ?? ''] = columnsOf(table, grants, 'update');
    const insertable = columnsOf(table, grants, 'insert');
    const owner = { orgId: caller.orgId || 'org_acme', personId: caller.userId || 'user_alice' };
    const row = fixture.maker.make(table, owner, fixture.placed);
    const given = Object.fromEntries(
      Object.entries(row).filter(
        ([column]) => insertable.length === 0 || insertable.includes(column),
      ),
    );
    const mayInsert = /\b(own|org)\b/.test(cell('insert'));
    const mayDelete = /\bdelete\b/.test(grants);
    const removed = (seen: string) => {
      const kept = seen.split('\n');
      return words(all.filter((key) => !kept.includes(key)));
    };
    return [
      isKeyReadable
        ? trial('select', { statement: list(''), wants: 'rows' }, cell('select'), listed)
        : trial(
            'select',
            { statement: `select count(*)::text from ${table.name}`, wants: 'rows' },
            readable.length === 0 ? denied : String(countOf(cell('select'))),
          ),
      trial(
        'insert',
        { statement: insertInto(table, given), wants: 'effect' },
        insertable.length > 0 && mayInsert ? '1' : denied,
      ),
      trial(
        'update',
        {
          statement: `update ${table.name} set ${quoted(first)} = ${row[first] ?? 'default'}`,
          wants: 'effect',
          look: list(`where xmin::text::bigint >= ${at}`),
        },
        columnsOf(table, grants, 'update').length > 0 ? cell('update') : denied,
        listed,
      ),
      trial(
        'delete',
        { statement: `delete from ${table.name}`, wants: 'effect', look: list('') },
        mayDelete ? cell('delete') : denied,
        removed,
      ),
    ];
  }
}

type Trial = {
  name: string;
  probe: Probe;
  expected: string;
  isOptional: boolean;
  /** What was seen, in words of the matrix. */
  tell: (seen: string) => string;
};

const denied = 'error 42501';
/** What `app_private.admit` says. */
const notAdmitted = 'error RW403';

function read(outcome: Outcome): string {
  return 'seen' in outcome ? outcome.seen : `error ${outcome.code}`;
}

/** A key or a trigger of the table refused it, and both come after privileges and policies. */
function isRefusedLater(outcome: Outcome): boolean {
  return 'code' in outcome && /^(23(503|505|514|P01)|RW)/.test(outcome.code);
}

/** The columns that a text of grants names for a privilege. */
export function columnsOf(table: Table, grants: string, privilege: string): string[] {
  const [found, list] = grants.match(new RegExp(`\\b${privilege}\\b(?: \\(([^)]*)\\))?`)) ?? [];
  if (found === undefined) return [];
  return list === undefined ? table.columns.map(({ name }) => name) : list.split(', ');
}

/** What happens to those who try a table that no request may touch, as it is. */
export async function observePrivate(
  { client, actors }: Observed,
  tables: readonly Table[],
): Promise<Record<string, TableMatrix['rows']>> {
  const callers = Object.entries(actors).filter(([, { role }]) => role !== 'rowhouse_owner');
  const asked = tables.flatMap((table) =>
    callers.flatMap(([name, actor]) => {
      const column = quoted(table.columns[0]?.name ?? '');
      return [
        `select 1 from ${table.name}`,
        `insert into ${table.name} default values`,
        `update ${table.name} set ${column} = default`,
        `delete from ${table.name}`,
      ].map((statement) => ({
        table,
        name,
        probe: { settings: settingsOf(actor), statement, wants: 'effect' as const },
      }));
    }),
  );
  const outcomes = await probe(
    client,
    asked.map((one) => one.probe),
  );
  const found: Record<string, Record<string, string>> = {};
  for (const [i, { table, name, probe: tried }] of asked.entries()) {
    const outcome = outcomes[i];
    const cells = found[table.name] ?? {};
    found[table.name] = cells;
    if (outcome && ![denied, notAdmitted].includes(read(outcome))) {
      const verb = tried.statement.split(' ')[0];
      cells[name] = [cells[name], `${verb}: ${read(outcome)}`].filter(Boolean).join('; ');
    }
  }
  return Object.fromEntries(
    Object.entries(found).map(([table, cells]) => [
      table,
      Object.keys(cells).length === 0 ? 'denied' : cells,
    ]),
  );
}
