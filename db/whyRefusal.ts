import type { DatabaseError } from 'pg';
import type { WhyClient } from './whyClients.ts';

/** What Postgres said when it refused an attempt. */
export type Refusal = {
  sqlState: string;
  message: string;
  /** The constraint or unique index, where one refused, and what it says. */
  constraint: string | null;
  definition: string | null;
  /** The columns that it is about. */
  columns: string[];
  /** The function that raised, where one did: that of a trigger, mostly. */
  raisedIn: string | null;
};

/** Reads what refused out of an error; the catalogue has the columns of a constraint. */
export async function readRefusal(client: WhyClient, error: DatabaseError): Promise<Refusal> {
  const { code = '', message, schema, table, constraint = null, column, where } = error;
  const { rows } = await client.query<Pick<Refusal, 'definition' | 'columns'>>(constraintSql, [
    schema ?? null,
    table ?? null,
    constraint,
  ]);
  return {
    sqlState: code,
    message,
    constraint,
    definition: rows[0]?.definition ?? null,
    columns: rows[0]?.columns ?? (column === undefined ? [] : [column]),
    raisedIn: where?.match(/function (\S+\(.*?\)) line/)?.[1] ?? null,
  };
}

/** What refused, in one sentence. */
export function refusalText(refusal: Refusal): string {
  const { sqlState, message, constraint, definition, columns, raisedIn } = refusal;
  const what = columns.length === 0 ? '' : ` on ${columns.join(', ')}`;
  if (constraint !== null) {
    return `The constraint ${constraint}${what} refuses${definition === null ? '' : `: ${definition}`}.`;
  }
  if (sqlState === notNullViolation && columns.length > 0) {
    return `The column ${columns.join(', ')} has to have a value, and would be null.`;
  }
  const by = raisedIn === null ? 'Postgres' : `${raisedIn}, which a trigger or a policy calls,`;
  return `${by} refused it when it was tried, which grants and policies alone do not explain: ${message} (${sqlState})`;
}

const notNullViolation = '23502';

const constraintSql = `
  select pg_get_constraintdef(k.oid) as definition, array(
      select a.attname::text from unnest(k.conkey) with ordinality as u (attnum, place)
      join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum order by u.place
    ) as columns
  from pg_constraint k
  join pg_class c on c.oid = k.conrelid
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2 and k.conname = $3`;
