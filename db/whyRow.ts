import { DatabaseError, escapeIdentifier } from 'pg';
import type { Caller } from './claims.ts';
import { enter, undone, type WhyClient, type WhyClients, WhyError } from './whyClients.ts';
import { type AccessTable, matchKey } from './whyTable.ts';

/**
 * Who had to look to see a row: the owner's login; app_user as the caller; app_user as an
 * administrator of the row's organization; or the owner's login with the force of row-level
 * security taken off the table for that one look.
 */
export type Sight = 'owner' | 'caller' | 'administrator' | 'unforced';

/** A row that was asked about. */
export type FoundRow = {
  /** By column; of a row that only app_user sees, those that it may read. */
  row: Record<string, unknown>;
  key: Record<string, unknown>;
  /** Null where the table has no tenant. */
  orgId: string | null;
  seenBy: Sight;
};

/** Which row: its id in the table (the key without the tenant, joined by commas) or its node id. */
export type RowName = {
  id: string;
  /** The type that node ids of the table name, where it is known; else the table's name tells it. */
  nodeType?: string | undefined;
};

type Row = Record<string, unknown>;
type Key = Record<string, string>;

/** How many other organizations are searched for a row that is not in the caller's. */
const maxOrganizations = 200;

/**
 * Finds a row by its id, on any table. Policies may bind the owner as they bind everybody; then
 * those whom they let in look for it, which locks nothing. Where nobody sees it, or not all of
 * it, and `mayLock` allows it, the owner looks once more, unbound.
 *
 * @throws WhyError where it is not there, or nobody sees it.
 */
export async function findRow(
  clients: WhyClients,
  table: AccessTable,
  caller: Caller,
  { id, nodeType }: RowName,
): Promise<FoundRow> {
  const { reader, mayLock } = clients;
  const key = await keyOf(reader, table, id, nodeType);
  const asOwner = () => look(reader, table, allColumns(table), key);
  if (!(await isBound(reader, table))) {
    const row = await asOwner();
    if (!row) throw new WhyError(`There is no row "${id}" in ${table.name}.`);
    return { ...placeOf(table, row, key), seenBy: 'owner' };
  }
  const shown = await lookAround(clients, table, caller, key);
  if (shown && allColumns(table).every((name) => name in shown.row)) return shown;
  const row = mayLock ? await lookUnforced(reader, table, asOwner) : null;
  if (row && !(row instanceof DatabaseError)) {
    return { ...placeOf(table, row, key), seenBy: 'unforced' };
  }
  if (shown) return shown;
  if (mayLock && !row) throw new WhyError(`There is no row "${id}" in ${table.name}.`);
  throw new WhyError(await hidden(reader, table, id, row?.message));
}

/** Whether policies bind the login that reads. */
async function isBound(reader: WhyClient, { name }: AccessTable): Promise<boolean> {
  const { rows } = await reader.query('select row_security_active($1::text) as "isBound"', [name]);
  return rows[0]?.isBound !== false;
}

/** Looks in the caller's organization, then in others, with the eyes of each whom policies may let in. */
async function lookAround(
  { reader, caller: client }: WhyClients,
  table: AccessTable,
  caller: Caller,
  key: Key,
): Promise<FoundRow | undefined> {
  for (const orgId of await organizations(reader, table, caller)) {
    await reader.query(
      "select set_config('jwt.org_id', $1, true), set_config('jwt.user_id', $2, true)",
      [orgId, caller.userId],
    );
    const own = await look(reader, table, allColumns(table), key);
    if (own) return { ...placeOf(table, own, key, orgId), seenBy: 'owner' };
    const eyes: [Sight, Caller][] = [['administrator', { ...caller, orgId, orgRole: 'admin' }]];
    if (orgId === caller.orgId) eyes.unshift(['caller', caller]);
    for (const [seenBy, who] of eyes) {
      const row = await undone(client, async () => {
        await enter(client, who);
        return look(client, table, readableColumns(table), key);
      });
      // Who may not read the table sees nothing in it.
      if (!row || row instanceof DatabaseError) continue;
      return { ...placeOf(table, row, key, orgId), seenBy };
    }
  }
  return undefined;
}

/** The caller's, and others where the table has a tenant. */
async function organizations(
  reader: WhyClient,
  { hasTenant }: AccessTable,
  { orgId }: Caller,
): Promise<string[]> {
  if (!hasTenant) return [orgId];
  const { rows } = await reader.query<{ id: string }>(
    'select id from app_public.organizations where id <> $1 order by created_at limit $2',
    [orgId, maxOrganizations],
  );
  return [orgId, ...rows.map(({ id }) => id)];
}

const allColumns = ({ columns }: AccessTable) => columns.map(({ name }) => name);
/** What app_user may read of a row. */
export const readableColumns = ({ columns }: AccessTable) =>
  columns.filter(({ privileges }) => privileges.includes('select')).map(({ name }) => name);

async function look(
  client: WhyClient,
  table: AccessTable,
  columns: readonly string[],
  key: Key,
): Promise<Row | undefined> {
  const shown = columns.map((name) => `t.${escapeIdentifier(name)}`).join(', ');
  const { rows } = await client.query<{ row: Row }>(
    `select to_jsonb(r) as row from (
       select ${shown} from ${table.name} as t where ${matchKey(table, Object.keys(key))} limit 1
     ) as r`,
    Object.values(key),
  );
  return rows[0]?.row;
}

/**
 * Looks as an owner whom policies do not bind, and undoes that. It takes a lock of the table that
 * keeps everybody out, so it waits and works for a moment only; it gives up with what Postgres says.
 */
async function lookUnforced(
  reader: WhyClient,
  table: AccessTable,
  asOwner: () => Promise<Row | undefined>,
): Promise<Row | DatabaseError | undefined> {
  return undone(reader, async () => {
    await reader.query("set local lock_timeout = '200ms'; set local statement_timeout = '500ms'");
    await reader.query(`alter table ${table.name} no force row level security`);
    return asOwner();
  });
}

function placeOf(table: AccessTable, row: Row, key: Key, orgId?: string): Omit<FoundRow, 'seenBy'> {
  const tenant = table.hasTenant ? String(row.org_id ?? orgId) : null;
  const whole: Row = { ...(tenant !== null && { org_id: tenant }), ...key, ...row };
  return {
    row,
    key: Object.fromEntries(table.key.map((name) => [name, whole[name]])),
    orgId: tenant,
  };
}

/** What there is to say of a row that nobody sees, and how to have it seen. */
async function hidden(
  reader: WhyClient,
  { name, hasTenant }: AccessTable,
  id: string,
  failure: string | undefined,
): Promise<string> {
  const { rows } = await reader.query('select quote_ident(current_user) as login');
  const [policy, condition] = hasTenant
    ? ['select_same_org', 'org_id = (select app_hidden.current_org_id())']
    : ['select_reader', 'true'];
  return [
    `The caller sees no row "${id}" in ${name}. Nor does an administrator, nor the owner’s login, which policies bind as well:`,
    'it is not there, or policies hide it. Which part of them does takes the row to tell.',
    failure === undefined
      ? 'In development this looks past them, for which it locks the table; elsewhere it does not.'
      : `It could not look past them: ${failure}.`,
    'For an answer anywhere, let the owner’s login see rows:',
    `  create policy ${policy} on ${name} for select to ${rows[0]?.login}`,
    `    using (${condition});`,
  ].join('\n');
}

/** The columns of the key that an id gives: all of it, or all but the tenant. */
async function keyOf(
  reader: WhyClient,
  table: AccessTable,
  id: string,
  nodeType: string | undefined,
): Promise<Key> {
  const nodeId = readNodeId(id);
  if (nodeId && !(await isTypeOf(reader, table, nodeId.type, nodeType))) {
    throw new WhyError(`"${id}" is an id of type ${nodeId.type}, not of a row of ${table.name}.`);
  }
  const given = nodeId?.key ?? id.split(',');
  const short = table.key.filter((name) => name !== 'org_id' || table.key.length === 1);
  const names = [table.key, short].find(({ length }) => length === given.length) ?? [];
  const types = names.map((name) => table.keyTypes[table.key.indexOf(name)]);
  const { rows } = await reader.query(
    'select bool_and(pg_input_is_valid(value, type)) as "isKey" from unnest($1::text[], $2::text[]) as k (value, type)',
    [given, types],
  );
  if (names.length === 0 || !rows[0]?.isKey) {
    throw new WhyError(
      `"${id}" is no id of ${table.name}, whose key is (${table.key.join(', ')}).`,
    );
  }
  return Object.fromEntries(names.map((name, i) => [name, given[i] ?? '']));
}

/** What a node id holds; null for what is none. */
function readNodeId(id: string): { type: string; key: string[] } | null {
  try {
    const parts: unknown = JSON.parse(Buffer.from(id, 'base64').toString('utf8'));
    if (!Array.isArray(parts) || parts.length < 2) return null;
    const [type = '', ...key] = parts.map(String);
    return { type, key };
  } catch {
    return null;
  }
}

/**
 * Whether node ids of the table name this type. Names of types follow those of tables, mostly; one
 * that follows none, an irregular plural or a name of its own, is given the benefit of the doubt.
 */
async function isTypeOf(
  reader: WhyClient,
  { name, schema }: AccessTable,
  type: string,
  nodeType: string | undefined,
): Promise<boolean> {
  if (nodeType !== undefined) return type === nodeType;
  const { rows } = await reader.query<{ name: string; isThis: boolean }>(
    `select relname as name, oid = $1::regclass as "isThis" from pg_class
     where relkind in ('r', 'p', 'v') and relnamespace = $2::regnamespace`,
    [name, escapeIdentifier(schema)],
  );
  const fitting = rows.filter((table) => plurals(type).includes(table.name));
  return fitting.length === 0 || fitting.some(({ isThis }) => isThis);
}

/** Names that a table of a type may have: `audit_events` for `AuditEvent`. */
function plurals(type: string): string[] {
  const name = type.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toLowerCase();
  return [name, `${name}s`, `${name}es`, name.replace(/y$/, 'ies'), name.replace(/fe?$/, 'ves')];
}
