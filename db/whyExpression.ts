/** A condition of a policy, taken apart at its ANDs and ORs. */
export type Condition =
  | { kind: 'and' | 'or'; text: string; parts: Condition[] }
  | { kind: 'leaf'; text: string };

/**
 * Takes a boolean expression apart, as Postgres writes it (`pg_get_expr`): with brackets
 * around each operation, BETWEEN spelled out, and subqueries in brackets. What is in a
 * subquery, a CASE, a call or a NOT stays whole.
 */
export function takeApart(expression: string): Condition {
  const text = withoutBrackets(expression.trim());
  const words = topLevelWords(text);
  const isQuery = /^(select|with|values)\b/i.test(text);
  for (const kind of ['or', 'and'] as const) {
    const cuts = isQuery ? [] : words.filter(({ word }) => word === kind);
    if (cuts.length === 0) continue;
    const starts = [0, ...cuts.map(({ at }) => at + kind.length)];
    const ends = [...cuts.map(({ at }) => at), text.length];
    const parts = starts.map((start, i) => takeApart(text.slice(start, ends[i])));
    return { kind, text, parts };
  }
  // Its brackets are what makes a subquery a value.
  return { kind: 'leaf', text: isQuery ? `(${text})` : text };
}

/** Both sides of a comparison `a = b`; null for what is none. */
export function sidesOf(leaf: string): [string, string] | null {
  const equals = tokens(leaf).filter(({ token, depth }) => depth === 0 && token === '=');
  const [only] = equals;
  if (equals.length !== 1 || !only) return null;
  return [leaf.slice(0, only.at).trim(), leaf.slice(only.at + 1).trim()];
}

/** The text without pairs of brackets around all of it. */
function withoutBrackets(text: string): string {
  if (!text.startsWith('(') || !text.endsWith(')')) return text;
  const closes = tokens(text).find(({ token, depth }) => token === ')' && depth === 0);
  return closes?.at === text.length - 1 ? withoutBrackets(text.slice(1, -1).trim()) : text;
}

/** ANDs and ORs outside of all brackets and CASEs. */
function topLevelWords(text: string): { word: string; at: number }[] {
  let cases = 0;
  const found: { word: string; at: number }[] = [];
  for (const { token, depth, at } of tokens(text)) {
    const word = token.toLowerCase();
    if (depth > 0) continue;
    if (word === 'case') cases += 1;
    else if (word === 'end') cases -= 1;
    else if (cases === 0 && (word === 'and' || word === 'or')) found.push({ word, at });
  }
  return found;
}

/** `depth` counts the brackets around a token; those of a pair are outside of it. */
type Token = { token: string; depth: number; at: number };

function tokens(text: string): Token[] {
  const found: Token[] = [];
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(lexeme)) {
    if (token === ')' || token === ']') depth -= 1;
    found.push({ token, depth, at: index });
    if (token === '(' || token === '[') depth += 1;
  }
  return found;
}

/** Text (with backslashes only after E), a quoted name, a word, an operator, a bracket. */
const lexeme =
  /[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[\p{L}_][\p{L}\p{N}_$]*|[0-9][\w.]*|[-+*/<>=~!@#%^&|`?:]+|[()[\]]/gsu;
