import { DatabaseError } from 'pg';
import type { Caller } from './claims.ts';
import { enter, type WhyClients, WhyError } from './whyClients.ts';
import { type Answer, type Ask, type Evaluated, evaluate, rowSource } from './whyEvaluate.ts';
import { type Refusal, readRefusal, refusalText } from './whyRefusal.ts';
import { findRow, type RowName, readableColumns, type Sight } from './whyRow.ts';
import { type AccessTable, matchKey, readTable, type TablePolicy } from './whyTable.ts';

/** What somebody wants to do. */
export type Command = (typeof commands)[number];
export const commands = ['select', 'insert', 'update', 'delete'] as const;

/** What of a caller no token has named yet, so that the database does not know it. */
export type Unseen = 'membership' | 'personal space';

/** Who wants to do what, with what. */
export type AccessQuestion = {
  caller: Caller;
  unseen: Unseen | null;
  /** `documents`, or with its schema. */
  table: string;
  command: Command;
  /** The row, by its id or node id. */
  id?: RowName['id'] | undefined;
  nodeType?: RowName['nodeType'];
  /** What an insert or an update would write, by column. */
  values?: Readonly<Record<string, unknown>> | undefined;
};

/** Whether it is allowed, and what decided. */
export type Access = {
  allowed: boolean;
  /** In one sentence. */
  decidedBy: string;
  command: Command;
  table: string;
  caller: Caller;
  /** What the database does not know of the caller: the answer is that to a token which says it. */
  unseen: Unseen | null;
  /** Why the API lets the caller do nothing at all in this organization; null where it lets them in. */
  shutOut: string | null;
  /** What is looked at: a row that is there, what an insert would begin with, or rows in general. */
  row: 'given' | 'new' | 'any';
  /** The organization the row belongs to, where the table has one and the row is given. */
  rowOrgId: string | null;
  /** Who had to look to see the row; null where none is given. */
  seenBy: Sight | null;
  grants: AccessGrant[];
  policies: PolicyVerdict[];
  /** What Postgres did when it was tried, in a transaction that was rolled back; null where nothing was. */
  tried: boolean | null;
  /** What Postgres said, where it refused with an error what was tried. */
  refusal: Refusal | null;
};

/** A privilege that the command needs. */
export type AccessGrant = {
  /** `usage on schema app_public`. */
  privilege: string;
  isGranted: boolean;
  /** Where it is granted by columns: which. */
  columns: string[] | null;
};

/** What a policy says. */
export type PolicyVerdict = Pick<TablePolicy, 'name' | 'isPermissive'> & {
  /** `using` looks at rows that are there, `check` at rows as they are written. */
  part: 'using' | 'check';
  /** The command for which the policy is: a write also reads. */
  appliesAs: Command;
  /** Null: it depends on the row, or came out as null, which refuses. */
  passes: Answer;
  condition: Evaluated;
};

/**
 * Says whether a caller may do something, and which grant or policy decides. Conditions
 * are evaluated part by part by Postgres itself, as app_user with the caller's settings;
 * then the command is tried.
 *
 * @throws WhyError for a table or a row that is not there.
 */
export async function explainAccess(
  clients: WhyClients,
  question: AccessQuestion,
): Promise<Access> {
  const { caller, unseen, command, id, nodeType, values = {} } = question;
  const table = await readTable(clients.reader, question.table);
  if (!table) throw new WhyError(`There is no table "${question.table}".`);
  const written = Object.keys(values);
  for (const name of written) {
    if (!table.columns.some((column) => column.name === name)) {
      throw new WhyError(`${table.name} has no column "${name}".`);
    }
  }
  const grants = grantsOf(table, command, written);
  const place = id === undefined ? null : await findRow(clients, table, caller, { id, nodeType });

  const shutOut = await admit(clients.caller, caller, unseen !== null);
  await enter(clients.caller, caller);
  const ask: Ask = (sql, values) => askAs(clients.caller, sql, values);
  const row = place?.row ?? (command === 'insert' ? await newRow(ask, table) : null);
  // What a check looks at.
  const becomes = row && { ...row, ...values };
  const policies: PolicyVerdict[] = [];
  for (const [policy, part, appliesAs] of applying(table, command)) {
    const text = policy[part] ?? 'true';
    const condition = await evaluate(ask, text, rowSource(table, part === 'check' ? becomes : row));
    const { name, isPermissive } = policy;
    policies.push({ name, isPermissive, part, appliesAs, passes: condition.answer, condition });
  }
  const attempted =
    shutOut === null && (place || (command === 'insert' && written.length > 0))
      ? await attempt(clients.caller, table, command, place?.key ?? {}, values)
      : null;
  const verdict =
    shutOut === null
      ? judge(table, grants, policies, command, place !== null)
      : { allowed: false, decidedBy: `The API refuses the caller before any policy: ${shutOut}` };
  const isRefused = attempted instanceof DatabaseError;
  const refusal = isRefused ? await readRefusal(clients.reader, attempted) : null;
  const tried = isRefused ? false : attempted;
  const isOpen = policies.some(({ passes }) => passes === 'row');
  // What Postgres does is what counts.
  const { allowed, decidedBy } =
    tried === null || tried === verdict.allowed
      ? verdict
      : { allowed: tried, decidedBy: refusal ? refusalText(refusal) : unforeseen(tried, isOpen) };
  return {
    allowed,
    decidedBy: shutOut === null ? `${proviso(caller, unseen)}${decidedBy}` : decidedBy,
    command,
    table: table.name,
    caller,
    unseen,
    shutOut,
    row: place ? 'given' : command === 'insert' ? 'new' : 'any',
    rowOrgId: place?.orgId ?? null,
    seenBy: place?.seenBy ?? null,
    grants,
    policies,
    tried,
    refusal,
  };
}

/** What the answer takes for granted. */
function proviso({ userId, orgId, orgRole }: Caller, unseen: Unseen | null): string {
  switch (unseen) {
    case null:
      return '';
    case 'membership':
      return `${userId} is not a member of ${orgId}, as far as the database knows. To a token that says otherwise, ${orgRole ? `in the role ${orgRole}` : 'without a role'}: `;
    case 'personal space':
      return `${userId} has not used their personal space yet; it is made for their first request there. Then: `;
    default: {
      const never: never = unseen;
      return never;
    }
  }
}

const unforeseen = (tried: boolean, isOpen: boolean) =>
  `Postgres ${tried ? 'did it' : 'met no row'} when it was tried, which grants and policies alone do not explain: ` +
  (isOpen
    ? 'some look at columns that app_user may not read, and no policy shows them to the owner’s login.'
    : 'look at triggers.');

function grantsOf(table: AccessTable, command: Command, written: readonly string[]): AccessGrant[] {
  const columns = table.columns.filter((column) => column.privileges.includes(command));
  const isWhole = table.privileges.includes(command);
  const needed: AccessGrant[] = [
    {
      privilege: `usage on schema ${table.schema}`,
      isGranted: table.isSchemaUsable,
      columns: null,
    },
    {
      privilege: `${command} on ${table.name}`,
      isGranted: isWhole || columns.length > 0,
      columns: isWhole || columns.length === 0 ? null : columns.map(({ name }) => name),
    },
  ];
  const ungranted = written.filter((name) => !columns.some((column) => column.name === name));
  if (!isWhole && columns.length > 0 && ungranted.length > 0) {
    needed.push({
      privilege: `${command} (${ungranted.join(', ')}) on ${table.name}`,
      isGranted: false,
      columns: null,
    });
  }
  return needed;
}

/** Which part of which policy applies: a write reads the row first, and checks it as written. */
function applying(
  table: AccessTable,
  command: Command,
): [TablePolicy, 'using' | 'check', Command][] {
  if (!table.hasRowSecurity) return [];
  const of = (wanted: Command) =>
    table.policies.filter((policy) => policy.command === wanted || policy.command === 'all');
  const using = (wanted: Command) =>
    of(wanted).map((policy): [TablePolicy, 'using', Command] => [policy, 'using', wanted]);
  const check = (wanted: Command) =>
    of(wanted).map((policy): [TablePolicy, 'check', Command] => [
      policy.check === null ? { ...policy, check: policy.using } : policy,
      'check',
      wanted,
    ]);
  switch (command) {
    case 'select':
      return using('select');
    case 'insert':
      return check('insert');
    case 'update':
      return [...using('select'), ...using('update'), ...check('update')];
    case 'delete':
      return [...using('select'), ...using('delete')];
    default: {
      const never: never = command;
      return never;
    }
  }
}

/** The first thing that refuses; else what allows. */
function judge(
  table: AccessTable,
  grants: readonly AccessGrant[],
  policies: readonly PolicyVerdict[],
  command: Command,
  isNamed: boolean,
): Pick<Access, 'allowed' | 'decidedBy'> {
  const missing = grants.find(({ isGranted }) => !isGranted);
  if (missing)
    return { allowed: false, decidedBy: `Nobody granted app_user ${missing.privilege}.` };
  if (!table.hasRowSecurity) {
    return {
      allowed: true,
      decidedBy: `${table.name} has no row-level security: the grant decides.`,
    };
  }
  const stages =
    command === 'insert'
      ? ['insert check']
      : [
          'select using',
          ...(command === 'select' ? [] : [`${command} using`]),
          ...(command === 'update' ? ['update check'] : []),
        ];
  let depends = false;
  let last: PolicyVerdict | undefined;
  for (const stage of stages) {
    const here = policies.filter((one) => `${one.appliesAs} ${one.part}` === stage);
    const refusing = here.find((one) => !one.isPermissive && isNo(one.passes));
    if (refusing)
      return {
        allowed: false,
        decidedBy: `The restrictive policy ${refusing.name} refuses${asRead(stage, command)}.`,
      };
    const permissive = here.filter((one) => one.isPermissive);
    if (permissive.length === 0) {
      return {
        allowed: false,
        decidedBy: `No permissive policy on ${table.name} is for ${stage.split(' ')[0]} as app_user.`,
      };
    }
    if (permissive.every((one) => isNo(one.passes))) {
      const names = permissive.map(({ name }) => name).join(', ');
      return {
        allowed: false,
        decidedBy: `No permissive policy lets it pass: ${names}${asRead(stage, command)}.`,
      };
    }
    last =
      permissive.find((one) => one.passes === true) ??
      permissive.find((one) => one.passes === 'row');
    depends ||= here.some((one) => one.passes === 'row');
  }
  const decided = `The policy ${last?.name} lets it pass, and no restrictive policy refuses.`;
  return {
    allowed: true,
    decidedBy: depends
      ? `It depends on the row: ${last?.name} has to pass.${isNamed ? '' : ' Name one with --id.'}`
      : decided,
  };
}

const isNo = (answer: Answer) => answer !== true && answer !== 'row';
const asRead = (stage: string, command: Command) =>
  command !== 'select' && stage === 'select using' ? `: the caller cannot even see the row` : '';

/**
 * Asks what each request asks before its claims count: whether the caller is still one. Says why
 * not. Undoes what that wrote, which is little, unless the rest of the answer needs it.
 */
async function admit(
  client: WhyClients['caller'],
  { userId, orgId, orgRole }: Caller,
  isFirstSight: boolean,
): Promise<string | null> {
  await client.query('savepoint admit');
  let isKept = false;
  try {
    await client.query('select app_private.provision($1, null, null, $2, null, $3)', [
      userId,
      orgId,
      orgRole || null,
    ]);
    await client.query('select app_private.admit($1, $2)', [userId, orgId]);
    isKept = isFirstSight;
    return null;
  } catch (error) {
    if (error instanceof DatabaseError && error.code === 'RW403') return error.message;
    throw error;
  } finally {
    await client.query(`${isKept ? 'release' : 'rollback to'} savepoint admit`);
  }
}

/** What an insert begins with: defaults, as the caller gets them. */
async function newRow(ask: Ask, table: AccessTable): Promise<Record<string, unknown>> {
  const row: Record<string, unknown> = {};
  for (const { name, default: text } of table.columns) {
    const value = text === null ? null : await ask(`select to_jsonb(${text}) as value`, []);
    row[name] = value !== null && 'value' in value ? value.value : null;
  }
  return row;
}

/** Asks in a savepoint; what cannot be answered is told by its error. */
async function askAs(client: WhyClients['caller'], sql: string, values: unknown[]) {
  await client.query('savepoint why');
  try {
    const { rows } = await client.query<{ value: unknown }>(sql, values);
    await client.query('release savepoint why');
    return { value: rows[0]?.value ?? null };
  } catch (error) {
    await client.query('rollback to savepoint why');
    if (!(error instanceof DatabaseError)) throw error;
    return { sqlState: error.code ?? '', error };
  }
}

/** Tries it: true where a row was met, or added; what Postgres said, where it refused. */
async function attempt(
  client: WhyClients['caller'],
  table: AccessTable,
  command: Command,
  key: Record<string, unknown>,
  values: Readonly<Record<string, unknown>>,
): Promise<boolean | DatabaseError> {
  const names = Object.keys(values).map((name) => `"${name}"`);
  // A condition reads: of the key, what the caller may read, and the policy stands for the tenant.
  const readable = readableColumns(table);
  const matched = table.key.filter((name) => name !== 'org_id' || readable.includes(name));
  const given = `jsonb_populate_record(null::${table.name}, $${command === 'insert' ? 1 : matched.length + 1}::jsonb)`;
  if (command === 'insert') {
    const sql = `insert into ${table.name} (${names.join(', ')}) select ${names.join(', ')} from ${given}`;
    const added = await askAs(client, sql, [JSON.stringify(values)]);
    return 'value' in added || added.error;
  }
  const column = table.columns.find(({ privileges }) => privileges.includes('update'))?.name;
  if (command === 'update' && !column) return false;
  const isWritten = command === 'update' && names.length > 0;
  const set = isWritten
    ? `(${names.join(', ')}) = row (${names.map((name) => `g.${name}`).join(', ')}) from ${given} as g`
    : `"${column}" = t."${column}"`;
  const where = matchKey(table, matched);
  const sql = {
    select: `select count(*)::int as value from ${table.name} as t where ${where}`,
    update: `with w as (update ${table.name} as t set ${set} where ${where} returning 1) select count(*)::int as value from w`,
    delete: `with w as (delete from ${table.name} as t where ${where} returning 1) select count(*)::int as value from w`,
  }[command];
  const answer = await askAs(client, sql, [
    ...matched.map((name) => String(key[name])),
    ...(isWritten ? [JSON.stringify(values)] : []),
  ]);
  return 'value' in answer ? answer.value === 1 : answer.error;
}
