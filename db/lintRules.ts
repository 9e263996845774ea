import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** One rule of the catalogue lint: a file of `db/lint`, taken apart. */
export type LintRule = {
  /** The file's name without `.sql`. */
  name: string;
  /** What holds where the rule is kept, in a sentence without its full stop. */
  title: string;
  level: 'error' | 'warning';
  /** What goes wrong otherwise. */
  reason: string;
  /** What to do about a finding. */
  remedy: string;
  /** Without these there is nothing for the rule to look at. */
  needs: readonly LintNeed[];
  /** SQL that breaks this rule and no other, and what the finding is about. */
  bad: { object: string; sql: string };
  /** The same, done well. */
  good: { sql: string };
  /** A query with the columns object, detail and fix, over the tables of `db/lintCatalogue.sql`. */
  query: string;
};

/** A tenant column in some table; a role that requests run as. */
type LintNeed = 'tenant' | 'request role';

/** A file of `db/lint` that is not as it should be. */
export class LintRuleError extends Error {
  override readonly name = 'LintRuleError';
}

/** Where the rules are. */
export const lintFolder = join(import.meta.dirname, 'lint');

/** Reads the rules of a folder, sorted by name. @throws LintRuleError, naming the file. */
export function readLintRules(folder: string = lintFolder): LintRule[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .sort()
    .map((file) => parseLintRule(file, readFileSync(join(folder, file), 'utf8')));
}

/** Takes the text of a rule apart. @throws LintRuleError */
export function parseLintRule(file: string, text: string): LintRule {
  const fail = (why: string): never => {
    throw new LintRuleError(`${file}: ${why}`);
  };
  const match = form.exec(text);
  const { header = '', object = '', bad = '', good = '', query = '' } = match?.groups ?? {};
  if (!match) fail('is not header, /* Bad: object … */, /* Good: … */ and a query, in this order.');
  const fields = readFields(header) ?? fail('has a line in its header that is no field.');
  const field = (name: string) => fields.get(name) ?? fail(`has no "${name}:" in its header.`);
  const unknown = [...fields.keys()].find((name) => !fieldNames.includes(name));
  if (unknown !== undefined) fail(`has a field "${unknown}"; there are ${fieldNames.join(', ')}.`);
  const level = field('Level');
  if (level !== 'error' && level !== 'warning') return fail('is of level error or warning.');
  const name = basename(file, '.sql');
  if (!/^[a-z][a-z0-9_]*$/.test(name)) fail('has a name of more than letters, digits and _.');
  return {
    name,
    title: field('Title'),
    level,
    reason: field('Reason'),
    remedy: field('Remedy'),
    needs: (fields.get('Needs')?.split(', ') ?? []).map((need) => {
      if (need === 'tenant' || need === 'request role') return need;
      return fail('needs "tenant" or "request role".');
    }),
    bad: { object, sql: bad.trim() },
    good: { sql: good.trim() },
    query: query.trim().replace(/;$/, ''),
  };
}

const fieldNames = ['Title', 'Level', 'Reason', 'Remedy', 'Needs'];

const form =
  /^(?<header>(?:--[^\n]*\n)+)\n\/\* Bad: (?<object>\S[^\n]*)\n(?<bad>.*?\S.*?)\*\/\n\n\/\* Good:\n(?<good>.*?\S.*?)\*\/\n\n(?<query>(?:select|with)\b.*)$/s;

/** `-- Name: text`, continued on lines that begin with two more spaces. */
function readFields(header: string): Map<string, string> | undefined {
  const fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of header.trimEnd().split('\n')) {
    const [, name, text = ''] = line.match(/^-- ([A-Z]\w*): (.+)$/) ?? [];
    const [, more] = line.match(/^-- {3}(\S.*)$/) ?? [];
    if (name !== undefined && !fields.has(name)) {
      fields.set(name, text);
      last = name;
    } else if (more !== undefined && last !== undefined) {
      fields.set(last, `${fields.get(last)} ${more}`);
    } else {
      return undefined;
    }
  }
  return fields;
}
