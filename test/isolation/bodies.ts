import type { ClientBase } from 'pg';
import { findOwnSchemas } from '../../db/ownSchemas.ts';
import { type Mutant, weakened } from './mutants.ts';

/** A mutant of what a function does, and the names by which its tests are found: its own, its callers', its trigger's tables'. */
export type BodyMutant = Mutant & { names: string[] };

/**
 * Every function of ours without one of its guards: a refusal left out, or a condition that says whose
 * something is taken for true. Other conditions say what a function does, and their tests are elsewhere.
 * Functions that only the owner can call count as well, since the others stand on them.
 */
export async function listBodyMutants(client: Pick<ClientBase, 'query'>): Promise<BodyMutant[]> {
  const { rows } = await client.query<{
    name: string;
    bare: string;
    definition: string;
    body: string;
    tables: string[];
  }>(
    `select p.oid::regprocedure::text as name, proname as bare, pg_get_functiondef(p.oid) as definition,
       coalesce(pg_get_function_sqlbody(p.oid), prosrc) as body,
       array(select distinct c.relname::text from pg_trigger g join pg_class c on c.oid = g.tgrelid where g.tgfoid = p.oid) as tables
     from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname = any ($1) order by 1`,
    [await findOwnSchemas(client)],
  );
  return rows.flatMap(({ name, bare, definition, body, tables }) => {
    const at = definition.indexOf(body);
    if (at < 0) return [];
    const isBound = /^\s*(return|begin atomic)/i.test(body);
    const callers = rows.filter(
      (row) => row.bare !== bare && new RegExp(`\\b${bare}\\(`).test(row.body),
    );
    const guards = (isBound ? weakened(body).slice(2) : unguarded(body)).filter(
      ({ what }) => what.startsWith('without') || whose.test(what),
    );
    return guards.map(({ what, expression }) => ({
      name: `function ${name}: ${what}`,
      kind: 'function',
      sql: definition.slice(0, at) + expression + definition.slice(at + body.length),
      parts: ['rows'],
      names: [bare, ...callers.map((caller) => caller.bare), ...tables],
    }));
  });
}

/** Organization, person, role, permission, claim, or the worker that holds a job. */
const whose =
  /org_?id|user_?id|owner|role|permission|current_setting|current_org|locked_by|worker_id/i;

/** A body in PL/pgSQL without one of its refusals, or with `true` for one of its conditions. */
export function unguarded(body: string): { what: string; expression: string }[] {
  const plain = blanked(body);
  const found: { what: string; expression: string }[] = [];
  const replace = (start: number, end: number, by: string, what: string) =>
    found.push({
      what: `${what} ${body.slice(start, end).trim().replace(/\s+/g, ' ').slice(0, 120)}`,
      expression: `${body.slice(0, start)} ${by} ${body.slice(end)}`,
    });
  for (const match of plain.matchAll(/\braise\s+exception\b[^;]*/gi)) {
    replace(match.index, match.index + match[0].length, 'null', 'without');
  }
  for (const match of plain.matchAll(/\b(where|and|or|if)\s/gi)) {
    const word = match[1]?.toLowerCase() ?? '';
    const start = match.index + match[0].length;
    if (
      word === 'if' &&
      /end\s+$|^if\s+(not\s+)?found/i.test(plain.slice(match.index - 4, start + 10))
    )
      continue;
    const end = endOfCondition(plain, start);
    const condition = plain.slice(start, end);
    if (
      /\bbetween\b/i.test(plain.slice(Math.max(0, match.index - 40), match.index)) &&
      word === 'and'
    )
      continue;
    // `or` widens: leaving an arm out narrows, which is no hole.
    if (word !== 'or' && condition.trim() !== '') replace(start, end, 'true', 'true for');
  }
  return found;
}

/** The same length, with strings and comments blanked. */
function blanked(body: string): string {
  return body.replace(/--[^\n]*|\/\*.*?\*\/|'(?:[^']|'')*'/gs, (text) => ' '.repeat(text.length));
}

const ending =
  /^(and|or|then|where|left|cross|join|group|order|limit|for|returning|loop|union|on|when|having|window|else|end)\b/i;

function endOfCondition(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const char = text[at];
    if (char === '(') depth += 1;
    if (char === ')') depth -= 1;
    if (depth < 0 || (depth === 0 && char === ';')) return at;
    const isWord =
      depth === 0 && /\s/.test(text[at - 1] ?? ' ') && ending.test(text.slice(at, at + 12));
    if (isWord && !isWithinBetween(text.slice(start, at))) return at;
  }
  return text.length;
}

function isWithinBetween(condition: string): boolean {
  return /\bbetween\b(?!.*\band\b)/is.test(condition);
}
