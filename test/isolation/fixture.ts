import type { ClientBase } from 'pg';
import { belonging, type Catalogue, people, type Table, tenants } from './catalogue.ts';
import {
  literal,
  makeRowMaker,
  optionalReferences,
  type PlacedRow,
  quoted,
  type RowMaker,
  type Samples,
  tablesInOrder,
} from './rows.ts';

/** Who belongs where. */
export type Member = { orgId: string; personId: string };

/** A row as the matrix sees it: which one, and whose. */
export type KnownRow = { key: string; orgId: string | null; personId: string | null };

/** A database with a row in each table for every member. */
export type Fixture = {
  members: readonly Member[];
  /** Members, and those who were. */
  owners: readonly Member[];
  rows: ReadonlyMap<string, readonly KnownRow[]>;
  placed: readonly PlacedRow[];
  maker: RowMaker;
};

/**
 * Fills every table that requests can reach with a row for each member, and where a reference may be left out,
 * with another that leaves them out. Users, organizations and memberships
 * must be there. Runs in the open transaction of a superuser.
 * @param options.former those who were members, and left rows behind
 * @param options.rounds rows for each of them
 */
export async function fillTables(
  client: Pick<ClientBase, 'query'>,
  catalogue: Catalogue,
  members: readonly Member[],
  samples: Samples,
  { former = [], rounds = 1 }: { former?: readonly Member[]; rounds?: number } = {},
): Promise<Fixture> {
  const maker = makeRowMaker(client, samples);
  const owners = [...members, ...former];
  const memberships = catalogue.tables.find(({ name }) => name === belonging);
  const placed: PlacedRow[] = members.flatMap(({ orgId, personId }) => {
    const row = { org_id: literal(orgId), user_id: literal(personId) };
    return memberships ? [{ table: memberships, orgId, personId, row }] : [];
  });
  for (const table of tablesInOrder(catalogue)) {
    for (let round = 0; round < rounds; round += 1) {
      for (const owner of owners) {
        placed.push(await maker.place(table, owner, placed));
        if (round > 0 || optionalReferences(table).length === 0) continue;
        await maker.place(table, owner, placed, { isBare: true });
      }
    }
  }
  const rows = new Map<string, KnownRow[]>();
  for (const table of catalogue.tables) {
    if (table.isReachable) {
      rows.set(table.name, await readRows(client, table, personOf(table, catalogue)));
    }
  }
  return { members, owners, rows, placed, maker };
}

/** The key of a row as one text, in SQL. */
export function keyOf({ key }: Pick<Table, 'key'>): string {
  return `concat_ws('|', ${key.map((name) => `${quoted(name)}::text`).join(', ')})`;
}

async function readRows(
  client: Pick<ClientBase, 'query'>,
  table: Table,
  person: string,
): Promise<KnownRow[]> {
  const orgId = table.orgColumn ? `${quoted(table.orgColumn)}::text` : 'null';
  const { rows } = await client.query<KnownRow>(
    `select ${keyOf(table)} as key, ${orgId} as "orgId", ${person} as "personId"
     from ${table.name} as row order by 1`,
  );
  return rows;
}

/** Whose a row is, in SQL: as it says itself, or as the row does that it is a part of, by its key. */
function personOf(table: Table, { tables }: Catalogue): string {
  if (table.personColumn) return `${quoted(table.personColumn)}::text`;
  for (const { kind, target, columns, targetColumns } of table.constraints) {
    const whole = tables.find(({ name }) => name === target);
    if (kind !== 'foreign key' || !whole?.personColumn || whole.name === people) continue;
    if (!columns.every((column) => table.key.includes(column))) continue;
    const same = columns.map(
      (column, i) => `whole.${quoted(targetColumns[i] ?? '')} = row.${quoted(column)}`,
    );
    return `(select whole.${quoted(whole.personColumn)}::text from ${whole.name} as whole where ${same.join(' and ')})`;
  }
  return 'null';
}

/**
 * Whose a row is, as a caller sees it: their own in the organization they act in, that
 * organization's, their own in another one, of no organization, or foreign.
 */
export type RowClass = (typeof rowClasses)[number];
export const rowClasses = ['own', 'org', 'elsewhere', 'unowned', 'foreign'] as const;

/** Tells the class of a row for a caller. */
export function classOf(
  table: Pick<Table, 'name' | 'orgColumn'>,
  { orgId, personId }: Pick<KnownRow, 'orgId' | 'personId'>,
  caller: { userId: string; orgId: string },
  members: readonly Member[],
): RowClass {
  const isMember = (org: string | null, person: string | null) =>
    members.some((member) => member.orgId === org && member.personId === person);
  const isSelf = caller.userId !== '' && personId === caller.userId;
  if (table.name === people) {
    if (isSelf) return 'own';
    return isMember(caller.orgId, personId) ? 'org' : 'foreign';
  }
  if (table.name === tenants) {
    if (caller.orgId !== '' && orgId === caller.orgId) return 'org';
    return isMember(orgId, caller.userId) ? 'elsewhere' : 'foreign';
  }
  if (orgId === '') return 'unowned';
  if (orgId === caller.orgId) return isSelf ? 'own' : 'org';
  return isSelf ? 'elsewhere' : 'foreign';
}

/** The classes of rows, and what part of each where it is not all: `own`, `org 1/2`. */
export function classesOf(
  table: Pick<Table, 'name' | 'orgColumn'>,
  keys: readonly string[],
  { rows, members }: Pick<Fixture, 'rows' | 'members'>,
  caller: { userId: string; orgId: string },
): string[] {
  const known = rows.get(table.name) ?? [];
  const seen = new Set(keys);
  const found = rowClasses.flatMap((rowClass) => {
    const all = known.filter((row) => classOf(table, row, caller, members) === rowClass);
    const count = all.filter(({ key }) => seen.has(key)).length;
    if (count === 0) return [];
    return count === all.length ? [rowClass] : [`${rowClass} ${inLowestTerms(count, all.length)}`];
  });
  const strange = keys.filter((each) => !known.some(({ key }) => key === each)).length;
  return strange === 0 ? found : [...found, `unknown ${strange}`];
}

function inLowestTerms(part: number, whole: number): string {
  let [a, b] = [part, whole];
  while (b !== 0) [a, b] = [b, a % b];
  return `${part / a}/${whole / a}`;
}
