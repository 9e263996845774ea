import { createHash } from 'node:crypto';
import type { ClientBase } from 'pg';
import type { Catalogue, Column, Table } from './catalogue.ts';
import { belonging, people, tenants } from './catalogue.ts';

/** A row to be inserted: SQL expressions by column. */
export type Row = Record<string, string>;

/** A row that is in the database, and whose it is. */
export type PlacedRow = { table: Table; orgId: string; personId: string; row: Row };

/** Columns of tables for which no value can be guessed, as SQL; `:org`, `:person`, `:id` and `:n` stand for the row's own. */
export type Samples = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** Who a row is made for. */
export type RowOwner = { orgId: string; personId: string };

/** Makes rows of any table of ours that its constraints accept, without having seen it before. */
export type RowMaker = {
  /** A row of the table for somebody in an organization, not yet inserted. */
  make(table: Table, owner: RowOwner, placed: readonly PlacedRow[]): Row;
  /** Inserts such a row as the superuser, with the owner's claims for the triggers; a bare one without references that may be left out. */
  place(
    table: Table,
    owner: RowOwner,
    placed: readonly PlacedRow[],
    how?: { isBare?: boolean },
  ): Promise<PlacedRow>;
};

/** Tables that rows can be made for by themselves, those that are referenced first. */
export function tablesInOrder({ tables }: Catalogue): Table[] {
  const given = [people, tenants, belonging];
  const rest = tables.filter(({ name, isReachable }) => isReachable && !given.includes(name));
  const ordered: Table[] = [];
  while (ordered.length < rest.length) {
    const isReady = (table: Table) =>
      table.constraints.every(
        ({ kind, target }) =>
          kind !== 'foreign key' ||
          target === table.name ||
          !rest.some(({ name }) => name === target) ||
          ordered.some(({ name }) => name === target),
      );
    const waiting = rest.filter((table) => !ordered.includes(table));
    const next = waiting.find(isReady) ?? waiting[0];
    if (next) ordered.push(next);
  }
  return ordered;
}

/** Opens a maker of rows on a superuser's connection. */
export function makeRowMaker(client: Pick<ClientBase, 'query'>, samples: Samples): RowMaker {
  /** Which candidate of a column the checks accept; found by trying, once a table. */
  const choices = new Map<Table, Map<string, number>>();
  let count = 0;

  function candidatesFor(
    table: Table,
    owner: RowOwner,
    placed: readonly PlacedRow[],
    { isBare = false }: { isBare?: boolean } = {},
  ) {
    const candidates = candidatesOf(table, owner, placed, samples.get(table.name) ?? {}, count);
    for (const name of isBare ? optionalReferences(table) : []) candidates.set(name, ['null']);
    return candidates;
  }

  function make(
    table: Table,
    owner: RowOwner,
    placed: readonly PlacedRow[],
    how?: { isBare?: boolean },
  ): Row {
    count += 1;
    const chosen = choices.get(table) ?? new Map<string, number>();
    const candidates = candidatesFor(table, owner, placed, how);
    return Object.fromEntries(
      [...candidates].map(([name, values]) => [
        name,
        values[(chosen.get(name) ?? 0) % values.length] ?? 'null',
      ]),
    );
  }

  async function place(
    table: Table,
    owner: RowOwner,
    placed: readonly PlacedRow[],
    how?: { isBare?: boolean },
  ) {
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const row = make(table, owner, placed, how);
      const error = await insert(client, table, row, owner);
      if (!error) return { table, ...owner, row };
      const columns = columnsToVary(table, error);
      if (columns.length === 0) throw new Error(hint(table, error.message));
      const chosen = choices.get(table) ?? new Map<string, number>();
      choices.set(table, chosen);
      const candidates = candidatesFor(table, owner, placed, how);
      if (!advance(chosen, columns, candidates)) throw new Error(hint(table, error.message));
    }
    throw new Error(hint(table, 'nothing that was tried is accepted'));
  }
  return { make, place };
}

/** Columns that refer to rows of another table of the organization, or to a member, and may be null. */
export function optionalReferences({ columns, constraints }: Table): string[] {
  const references = constraints.filter(
    ({ kind, target }) => kind === 'foreign key' && ![people, tenants].includes(target ?? ''),
  );
  return columns
    .filter(
      ({ name, isRequired }) =>
        !isRequired && references.some(({ columns: keys }) => keys.includes(name)),
    )
    .map(({ name }) => name);
}

const maxAttempts = 3_000;

function hint(table: Table, why: string): string {
  return (
    `No row of ${table.name} can be made (${why}). Say in test/isolation/matrix.yaml what it accepts, as SQL:\n` +
    `  ${table.name}:\n    sample: { column: "'value'" }`
  );
}

type Refusal = { code: string; message: string; constraint?: string };

async function insert(
  client: Pick<ClientBase, 'query'>,
  table: Table,
  row: Row,
  { orgId, personId }: RowOwner,
): Promise<Refusal | undefined> {
  await client.query('savepoint row');
  await client.query(
    `select set_config('jwt.org_id', $1, true), set_config('jwt.user_id', $2, true)`,
    [orgId, personId],
  );
  try {
    await client.query(insertInto(table, row));
    await client.query('release row');
    return undefined;
  } catch (error) {
    await client.query('rollback to row');
    return error as Refusal;
  }
}

/** The statement that inserts a row. */
export function insertInto(table: Pick<Table, 'name'>, row: Row): string {
  return `insert into ${table.name} (${Object.keys(row).map(quoted).join(', ')}) values (${Object.values(row).join(', ')})`;
}

function columnsToVary(table: Table, { code, constraint }: Refusal): string[] {
  if (code !== '23514') return [];
  // A row without a partition names no constraint: its time is at fault.
  if (!constraint) return table.columns.filter(isTime).map(({ name }) => name);
  return table.constraints.find(({ name }) => name === constraint)?.columns ?? [];
}

/** Goes on to the next combination of candidates; false after the last. */
function advance(
  chosen: Map<string, number>,
  columns: readonly string[],
  candidates: ReadonlyMap<string, readonly string[]>,
): boolean {
  for (const name of columns) {
    const next = (chosen.get(name) ?? 0) + 1;
    if (next < (candidates.get(name)?.length ?? 0)) {
      chosen.set(name, next);
      return true;
    }
    chosen.set(name, 0);
  }
  return false;
}

/** What each column may be given, as SQL, best guess first. */
function candidatesOf(
  table: Table,
  { orgId, personId }: RowOwner,
  placed: readonly PlacedRow[],
  sample: Readonly<Record<string, string>>,
  n: number,
): Map<string, string[]> {
  const id = uuidOf(`${table.name} ${orgId} ${personId} ${n}`);
  const values = new Map<string, string[]>();
  for (const column of table.columns) {
    const given = sample[column.name];
    if (given !== undefined) {
      const own = { ':org': orgId, ':person': personId, ':id': id, ':n': String(n) };
      values.set(column.name, [
        given.replace(/:(?:org|person|id|n)\b/g, (name) => literal(own[name as keyof typeof own])),
      ]);
    } else if (!column.isGenerated && (!keepsPreset(column) || table.key.includes(column.name))) {
      values.set(column.name, guesses(table, column, { id, n, orgId }));
    }
  }
  for (const { kind, columns, target, targetColumns } of table.constraints) {
    if (kind !== 'foreign key') continue;
    if (target === tenants || target === people) {
      const at = target === tenants ? orgId : personId;
      const name = columns[targetColumns.indexOf('id')];
      if (name !== undefined) values.set(name, [literal(at)]);
      continue;
    }
    const rows = placed.filter((other) => other.table.name === target && other.orgId === orgId);
    const own = rows.findIndex((other) => other.personId === personId);
    // Beside an owner a colleague, so that what one may is not mistaken for what the other may; for who has left, somebody.
    const isAnother = target === belonging && (table.personColumn !== undefined || own < 0);
    const row = isAnother ? rows[(own + 1) % rows.length] : rows[own];
    for (const [i, name] of columns.entries()) {
      if (name === 'org_id' || name in sample) continue;
      values.set(name, [row?.row[targetColumns[i] ?? ''] ?? 'null']);
    }
  }
  if (table.orgColumn) values.set(table.orgColumn, [literal(orgId)]);
  if (table.personColumn) values.set(table.personColumn, [literal(personId)]);
  return values;
}

/** Whether what Postgres fills in by itself is best left as it is. */
function keepsPreset(column: Column): boolean {
  return column.preset !== null && !isTime(column) && column.type !== 'uuid';
}

function isTime({ type }: Column): boolean {
  return type.startsWith('timestamp');
}

/** What tells one row from another. */
type Salt = { id: string; n: number; orgId: string };

function guesses(table: Table, column: Column, salt: Salt): string[] {
  const found = typedGuesses(table, column, salt);
  if (!found && column.isRequired) {
    throw new Error(hint(table, `nothing is known of the type ${column.type} of ${column.name}`));
  }
  return [...new Set([...(found ?? []), ...(column.isRequired ? [] : ['null'])])];
}

function typedGuesses(table: Table, column: Column, { id, n, orgId }: Salt): string[] | undefined {
  const { name, type, labels, isRequired, preset } = column;
  const checks = table.constraints.filter(
    ({ kind, columns }) => kind === 'check' && columns.includes(name),
  );
  const written = checks.flatMap(({ definition }) =>
    [...definition.matchAll(/'((?:[^']|'')*)'::/g)].map(([, text]) => `'${text}'`),
  );
  const numbers = checks.flatMap(({ definition }) => definition.match(/\b\d+\b/g) ?? []);
  if (labels.length > 0) return labels.map((label) => `${literal(label)}::${type}`);
  if (type.endsWith('[]')) return [`'{}'::${type}`];
  if (type === 'text' || type.startsWith('character')) {
    const text = `${name} ${n} of ${orgId}`;
    return [
      literal(text),
      ...written,
      "'a'",
      "'CODE'",
      "'table__verb'",
      literal(createHash('sha256').update(text).digest('hex')),
      literal(createHash('sha256').update(text).digest('base64')),
      literal(id),
      "'text/plain'",
      "'https://example.com/a'",
      "'a@example.com'",
    ];
  }
  if (/^(smallint|integer|bigint|numeric|real|double precision)/.test(type)) {
    const isUnique = table.constraints.some(
      ({ kind, columns }) => /unique|primary/.test(kind) && columns.includes(name),
    );
    const own =
      isRequired || isUnique
        ? [isUnique ? String(n) : '1', '0', '100', ...numbers]
        : ['null', '1', '0', ...numbers];
    return [...own, ...written];
  }
  if (isTime(column)) {
    if (preset === null && !isRequired) return ['null', fixedTime(n)];
    return [fixedTime(n), 'now()'];
  }
  if (type === 'uuid') {
    return isRequired ? [`'${id}'::uuid`] : ['null', `'${id}'::uuid`];
  }
  const simple: Record<string, string[]> = {
    boolean: ['true', 'false'],
    date: ["'2020-01-01'::date"],
    'time without time zone': ["'12:00'::time"],
    interval: ["'1 hour'::interval"],
    jsonb: ["'{}'::jsonb", "'[]'::jsonb"],
    json: ["'{}'::json"],
    bytea: [String.raw`'\x00'::bytea`, "decode(repeat('00', 32), 'hex')"],
    tsvector: ["''::tsvector"],
    inet: ["'192.0.2.1'::inet"],
    cidr: ["'192.0.2.0/24'::cidr"],
  };
  return simple[type] ?? (type.includes('range') ? [`'empty'::${type}`] : undefined);
}

/** Long ago, a minute apart, and two at a time. */
function fixedTime(n: number): string {
  return `timestamptz '2020-01-01 00:00Z' + interval '${Math.floor(n / 2)} minutes'`;
}

function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** A text as SQL. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A name as SQL. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
