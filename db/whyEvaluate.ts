import { escapeIdentifier } from 'pg';
import { type Condition, sidesOf, takeApart } from './whyExpression.ts';
import type { AccessTable } from './whyTable.ts';

/** What a condition came out as; `row`: it depends on what is not known of the row; `error`: it raised. */
export type Answer = boolean | null | 'row' | 'error';

/** A condition with what each of its parts came out as. */
export type Evaluated = {
  kind: Condition['kind'];
  text: string;
  answer: Answer;
  parts: Evaluated[];
  /** Of a comparison: both sides with their values. */
  sides: { text: string; value: string | null }[];
};

/** Asks Postgres for one value, in the caller's scope. */
export type Ask = (
  sql: string,
  values: unknown[],
) => Promise<{ value: unknown } | { sqlState: string }>;

/** Where a condition finds its columns. */
export type RowSource = { from: string; values: unknown[]; isWhole: boolean } | null;

/** A row as a table of one row, with the columns that are known, whatever the caller may see of the real one. */
export function rowSource(table: AccessTable, row: Record<string, unknown> | null): RowSource {
  if (!row) return null;
  const known = table.columns.filter(({ name }) => name in row);
  const columns = known.map(({ name }) => `r.${escapeIdentifier(name)}`).join(', ');
  const from = ` from (select ${columns} from jsonb_populate_record(null::${table.name}, $1::jsonb) as r) as ${table.alias}`;
  return { from, values: [JSON.stringify(row)], isWhole: known.length === table.columns.length };
}

/** Undefined column, undefined table: it asks for what is not known of the row. */
const needsRow = ['42703', '42P01'];

/** Evaluates a condition and each of its parts. */
export async function evaluate(
  ask: Ask,
  expression: string,
  source: RowSource,
): Promise<Evaluated> {
  return evaluatePart(ask, takeApart(expression), source);
}

async function evaluatePart(ask: Ask, condition: Condition, source: RowSource): Promise<Evaluated> {
  const { kind, text } = condition;
  const answer = await answerOf(ask, text, source);
  if (condition.kind === 'leaf') {
    return { kind, text, answer, parts: [], sides: await evaluateSides(ask, text, source) };
  }
  const parts: Evaluated[] = [];
  for (const part of condition.parts) parts.push(await evaluatePart(ask, part, source));
  // Without a row, Postgres cannot say; the parts that need none may.
  const known = answer === 'row' ? combined(condition.kind, parts) : answer;
  return { kind, text, answer: known, parts, sides: [] };
}

function combined(kind: 'and' | 'or', parts: readonly Evaluated[]): Answer {
  const decisive = kind === 'or';
  if (parts.some(({ answer }) => answer === decisive)) return decisive;
  return 'row';
}

async function answerOf(ask: Ask, text: string, source: RowSource): Promise<Answer> {
  const found = await ask(
    `select (${text})::boolean as value${source?.from ?? ''}`,
    source?.values ?? [],
  );
  if ('value' in found) return found.value as boolean | null;
  return !source?.isWhole && needsRow.includes(found.sqlState) ? 'row' : 'error';
}

async function evaluateSides(
  ask: Ask,
  text: string,
  source: RowSource,
): Promise<Evaluated['sides']> {
  const sides = sidesOf(text) ?? [];
  const found: Evaluated['sides'] = [];
  for (const side of sides) {
    const value = await ask(
      `select (${side})::text as value${source?.from ?? ''}`,
      source?.values ?? [],
    );
    // One side of `= ANY (…)` is no value.
    if ('value' in value) found.push({ text: side, value: value.value as string | null });
  }
  return found;
}
