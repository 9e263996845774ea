import { readFileSync } from 'node:fs';
import type { ClientBase } from 'pg';
import { Document, parse, visit } from 'yaml';
import { pgSettings } from '../../db/claims.ts';
import { belonging, type Catalogue, people, type Table, tenants } from './catalogue.ts';
import { classesOf, classOf, type Fixture, keyOf, type RowClass, rowClasses } from './fixture.ts';
import { type Outcome, type Probe, probe } from './prober.ts';
import {
  insertInto,
  literal,
  type PlacedRow,
  quoted,
  type RowOwner,
  type Samples,
} from './rows.ts';

/**
 * The matrix: who may do what to which rows. `matrix.yaml` says what is meant; `observe` finds out
 * what Postgres does, by doing it. Both have the same shape, so what one has and the other has not
 * is told by a comparison, and what is new can be printed ready to be pasted.
 */
export type Matrix = {
  actors: Record<string, Actor>;
  tables: Record<string, TableMatrix>;
  /** What may be done to objects that are no tables, and by whom. */
  objects: Record<string, string>;
};

/** Who asks: a role, and the claims of a token if there are any. */
export type Actor = {
  role: string;
  user?: string;
  org?: string;
  orgRole?: string;
  permissions?: string[];
  /** False for one who is no member (any more), whatever the token says. */
  member?: boolean;
  /** True for one who has just signed in. */
  fresh?: boolean;
};

export type TableMatrix = {
  /** Values that cannot be guessed, as SQL by column; not observed. */
  sample?: Record<string, string>;
  /** By role: `select, delete, insert (title, body)`. */
  grants: Record<string, string>;
  /**
   * By actor and command: the classes of rows that policies let through; `denied` where no actor gets so
   * far, `refused` for who is not let in.
   */
  rows: Rows | string;
  /** What the permissive policies alone would let through, where that differs: the restrictive ones have to hold it. */
  permissive?: Rows;
  /** By name: what it refuses, found out by breaking it. */
  constraints: Record<string, string>;
};

type Rows = Record<string, Cells | string>;
type Cells = Record<Command, string>;
type Command = (typeof commands)[number];
/** `move`: whose a row may become by an update. */
const commands = ['select', 'insert', 'update', 'move', 'delete'] as const;

const matrixFile = new URL('./matrix.yaml', import.meta.url);

/** Reads the matrix as it was reviewed. */
export function readMatrix(): Matrix {
  return parse(readFileSync(matrixFile, 'utf8')) as Matrix;
}

/** The part of the matrix that only people know. */
export function samplesOf({ tables }: Matrix): Samples {
  return new Map(Object.entries(tables).map(([name, { sample = {} }]) => [name, sample]));
}

/** Prints a part of the matrix as it is to be pasted: one line for what one actor may do. */
export function pasteable(part: object): string {
  const document = new Document(part);
  visit(document, {
    Map(_key, node) {
      if (commands.every((command) => node.has(command))) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0 });
}

/** The settings of a transaction of an actor. */
export function settingsOf({ role, user = '', org = '', orgRole, permissions = [], fresh }: Actor) {
  const isPersonal = user === org;
  const claims = {
    userId: user,
    orgId: org,
    orgRole: orgRole ?? (isPersonal ? '' : 'member'),
    permissions,
    firstFactorAtMs: fresh ? Date.now() : null,
  };
  return { ...pgSettings(claims, 'isolation'), role };
}

/** What is looked at: everything a probe needs to know. */
export type Observed = {
  client: Pick<ClientBase, 'query'>;
  catalogue: Catalogue;
  fixture: Fixture;
  actors: Matrix['actors'];
};

/** The rows that policies let an actor see, add, change and remove, with every privilege granted. */
export async function observeRows(
  { client, catalogue, fixture, actors }: Observed,
  tables: readonly Table[],
  { isPermissiveOnly = false } = {},
): Promise<Record<string, Rows>> {
  await client.query('savepoint granted');
  const schemas = [
    ...new Set(catalogue.tables.filter((table) => table.isReachable).map(({ schema }) => schema)),
  ];
  await client.query(grantEverything(schemas));
  if (isPermissiveOnly) await client.query(dropRestrictive(schemas));
  const { rows } = await client.query<{ now: string }>(
    'select pg_snapshot_xmax(pg_current_snapshot())::text as now',
  );
  const start = rows[0]?.now ?? '0';
  const plans = tables.flatMap((table) =>
    Object.entries(actors).map(([name, actor]) => ({
      table,
      name,
      steps: policyProbes(table, actor, fixture, start),
    })),
  );
  const outcomes = await probe(
    client,
    plans.flatMap(({ steps }) => steps.map((step) => step.probe)),
  );
  await client.query('rollback to granted; release granted');
  const observed: Record<string, Record<string, Cells | string>> = {};
  let at = 0;
  for (const { table, name, steps } of plans) {
    const found: Record<string, string[]> = {};
    for (const { command, read } of steps) {
      const outcome = outcomes[at++];
      const words = found[command] ?? [];
      found[command] = words;
      if (outcome) words.push(...read(outcome, words));
    }
    const cells = Object.fromEntries(
      commands.map((command) => [command, [...new Set(found[command])].join(' ') || 'none']),
    ) as Cells;
    observed[table.name] = { ...observed[table.name], [name]: inOneWord(cells) };
  }
  return observed;
}

function inOneWord(cells: Cells): Cells | string {
  const words = Object.values(cells);
  const isDenied = cells.select === 'denied' && words.every((word) => /^(denied|none)$/.test(word));
  if (isDenied) return 'denied';
  return words.every((word) => word === words[0]) ? cells.select : cells;
}

/** Privileges and triggers out of the way: what is left is policies. */
const grantEverything = (schemas: readonly string[]) => `
  grant usage on schema ${schemas.map(quoted).join(', ')}, app_hidden to app_user;
  grant all on all tables in schema ${schemas.map(quoted).join(', ')} to app_user;
  set local session_replication_role = replica`;

const dropRestrictive = (schemas: readonly string[]) => `
  do $$ declare p record; begin
    for p in select * from pg_policies where permissive = 'RESTRICTIVE' and schemaname in (${schemas.map(literal).join(', ')}) loop
      execute format('drop policy %I on %I.%I', p.policyname, p.schemaname, p.tablename);
    end loop;
  end $$`;

/** The same without the restrictive policies, for the actors to whom that makes a difference. */
export async function observePermissive(
  observed: Observed,
  tables: readonly Table[],
  rows: Readonly<Record<string, Rows>>,
): Promise<Record<string, Rows>> {
  const { rows: restricted } = await observed.client.query<{ name: string }>(
    "select distinct schemaname || '.' || tablename as name from pg_policies where permissive = 'RESTRICTIVE'",
  );
  const bound = tables.filter(({ name }) => restricted.some((one) => one.name === name));
  if (bound.length === 0) return {};
  const alone = await observeRows(observed, bound, { isPermissiveOnly: true });
  return Object.fromEntries(
    Object.entries(alone).map(([table, cells]) => [
      table,
      Object.fromEntries(
        Object.entries(cells).filter(
          ([actor, cell]) => JSON.stringify(cell) !== JSON.stringify(rows[table]?.[actor]),
        ),
      ),
    ]),
  );
}

type Step = {
  command: Command;
  probe: Probe;
  read: (outcome: Outcome, before: readonly string[]) => string[];
};

function policyProbes(table: Table, actor: Actor, fixture: Fixture, start: string): Step[] {
  const settings = settingsOf(actor);
  const caller = { userId: actor.user ?? '', orgId: actor.org ?? '' };
  const known = fixture.rows.get(table.name) ?? [];
  const words = (keys: readonly string[]) => classesOf(table, keys, fixture, caller);
  const key = keyOf(table);
  const keysOf = (text: string) => (text === '' ? [] : text.split('\n'));
  const listed = (outcome: Outcome) =>
    'seen' in outcome ? words(keysOf(outcome.seen)) : [outcomeWord(outcome.code)];
  const remaining = (outcome: Outcome) => {
    if (!('seen' in outcome)) return [outcomeWord(outcome.code)];
    const kept = new Set(keysOf(outcome.seen));
    return words(known.map((row) => row.key).filter((each) => !kept.has(each)));
  };

  const steps: Step[] = [
    {
      command: 'select',
      probe: {
        settings,
        statement: `select string_agg(${key}, e'\\n') from ${table.name}`,
        wants: 'rows',
      },
      read: listed,
    },
    {
      command: 'delete',
      probe: {
        settings,
        statement: `delete from ${table.name}`,
        wants: 'effect',
        look: `select string_agg(${key}, e'\\n') from ${table.name}`,
      },
      read: remaining,
    },
  ];
  const plain = plainColumn(table);
  if (plain) {
    steps.push({
      command: 'update',
      probe: {
        settings,
        statement: `update ${table.name} set ${plain}`,
        wants: 'effect',
        look: `select string_agg(${key}, e'\\n') from ${table.name} where xmin::text::bigint >= ${start}`,
      },
      read: listed,
    });
  }
  for (const { rowClass, owner } of owners(table, caller, fixture)) {
    const allowed = (outcome: Outcome): string[] => {
      if ('seen' in outcome) return outcome.seen === '0' ? [] : [rowClass];
      // Keys and checks come after policies.
      if (outcome.code.startsWith('23')) return [rowClass];
      return outcome.code === '42501' ? [] : [outcomeWord(outcome.code)];
    };
    steps.push({
      command: 'insert',
      probe: {
        settings,
        statement: insertInto(table, fixture.maker.make(table, owner, fixture.placed)),
        wants: 'effect',
      },
      read: allowed,
    });
    const isCallers = owner.personId === caller.userId;
    for (const [target, placed] of isCallers ? ofColleagues(table, owner, fixture.placed) : []) {
      steps.push({
        command: 'insert',
        probe: {
          settings,
          statement: insertInto(table, fixture.maker.make(table, owner, placed)),
          wants: 'effect',
        },
        read: (outcome, before) =>
          before.includes(rowClass) && allowed(outcome).length === 0
            ? [`on own ${target.name.replace(/^.*\./, '')}`]
            : [],
      });
    }
    const moved = [
      table.orgColumn && `${quoted(table.orgColumn)} = ${literal(owner.orgId)}`,
      table.personColumn && `${quoted(table.personColumn)} = ${literal(owner.personId)}`,
    ].filter(Boolean);
    if (moved.length > 0) {
      steps.push({
        command: 'move',
        probe: {
          settings,
          statement: `update ${table.name} set ${moved.join(', ')}`,
          wants: 'effect',
        },
        read: allowed,
      });
    }
  }
  return steps;
}

/** `refused`: by `app_private.admit`, before any table is reached. */
function outcomeWord(code: string): string {
  if (code === 'RW403') return 'refused';
  return code === '42501' ? 'denied' : `error ${code}`;
}

/** A column to be set to a value that changes nothing of whose a row is. */
function plainColumn(table: Table): string | undefined {
  const bound = new Set(
    table.constraints
      .filter(({ kind }) => kind !== 'check')
      .flatMap(({ columns }) => columns)
      .concat(table.orgColumn ?? [], table.personColumn ?? []),
  );
  const free = table.columns.filter(({ name, isGenerated }) => !bound.has(name) && !isGenerated);
  const time =
    free.find(({ name }) => name === 'updated_at') ??
    free.find(({ type }) => type.startsWith('timestamp'));
  if (time) return `${quoted(time.name)} = now()`;
  const other =
    free.find(({ preset }) => preset !== null) ?? free.find(({ isRequired }) => !isRequired);
  return other && `${quoted(other.name)} = ${other.preset === null ? 'null' : 'default'}`;
}

/** For each table that a row refers to and whose rows have owners: what is there, with a colleague's row as if it were one's own. */
function ofColleagues(
  table: Table,
  { orgId, personId }: RowOwner,
  placed: readonly PlacedRow[],
): [Table, PlacedRow[]][] {
  const targets = table.constraints.filter(({ kind }) => kind === 'foreign key');
  return targets.flatMap(({ target }) => {
    const theirs = placed.find(
      (row) =>
        row.table.name === target &&
        row.table.isReachable &&
        ![people, tenants, belonging].includes(target) &&
        row.table.personColumn !== undefined &&
        row.orgId === orgId &&
        row.personId !== personId,
    );
    const rest = placed.filter(({ table: { name } }) => name !== target);
    return theirs ? [[theirs.table, [...rest, { ...theirs, personId }]]] : [];
  });
}

/** For each class of rows, somebody whose row would be of it, the caller where there is no saying. */
function owners(
  table: Table,
  caller: { userId: string; orgId: string },
  fixture: Fixture,
): { rowClass: RowClass; owner: RowOwner }[] {
  const known = fixture.owners.map(({ personId }) => personId);
  const persons = [...new Set(known.includes(caller.userId) ? [caller.userId, ...known] : known)];
  const orgs = [...new Set(fixture.owners.map(({ orgId }) => orgId))];
  const pairs = orgs.flatMap((orgId) => persons.map((personId) => ({ orgId, personId })));
  return rowClasses.flatMap((rowClass) => {
    const owner = pairs.find(
      (pair) =>
        classOf(
          table,
          {
            orgId: table.orgColumn ? pair.orgId : null,
            personId: table.personColumn ? pair.personId : null,
          },
          caller,
          fixture.members,
        ) === rowClass,
    );
    return owner ? [{ rowClass, owner }] : [];
  });
}
