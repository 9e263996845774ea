import { readLintRules } from './lintRules.ts';

/** The text of docs/lint.md, from the rules in db/lint. */
export function renderLintPage(): string {
  const rules = readLintRules();
  return [
    '# Rules of the catalogue lint',
    '',
    '<!-- Written by `npm run docs` from db/lint. Do not edit. -->',
    '',
    '`npm run db:lint` looks in the catalogue of a database for what breaks one of these rules. How to',
    'run it, and how to keep a finding: [schema guide](schema-guide.md#the-catalogue-lint). A bad example',
    'breaks its own rule and no other; a good one breaks none. Both are changes to the tables that the',
    'migrations make, and are run by a test.',
    '',
    '| rule | level | what holds |',
    '|---|---|---|',
    ...rules.map(({ name, level, title }) => `| [\`${name}\`](#${name}) | ${level} | ${title} |`),
    '',
    ...rules.flatMap(({ name, level, title, reason, remedy, needs, bad, good }) => [
      `## ${name}`,
      '',
      `${title}. (${level}${needs.length === 0 ? '' : `; needs a ${needs.join(' and a ')}`})`,
      '',
      reason,
      '',
      `**Remedy.** ${remedy}`,
      '',
      `Bad, found at \`${bad.object}\`:`,
      '',
      '```sql',
      bad.sql,
      '```',
      '',
      'Good:',
      '',
      '```sql',
      good.sql,
      '```',
      '',
    ]),
  ].join('\n');
}
