import { describe, expect, test } from '@jest/globals';
import { LintRuleError, parseLintRule, readLintRules } from './lintRules.ts';

const text = `-- Title: Spoons shine
-- Level: warning
-- Reason: A dull one
--   is no use.
-- Remedy: Polish.
-- Needs: tenant, request role

/* Bad: app_public.spoons
select 'dull';
*/

/* Good:
select 'bright';
*/

select 'a' as object, 'b' as detail, null as fix
`;

describe('a rule', () => {
  test('is taken apart', () => {
    expect(parseLintRule('spoons.sql', text)).toEqual({
      name: 'spoons',
      title: 'Spoons shine',
      level: 'warning',
      reason: 'A dull one is no use.',
      remedy: 'Polish.',
      needs: ['tenant', 'request role'],
      bad: { object: 'app_public.spoons', sql: "select 'dull';" },
      good: { sql: "select 'bright';" },
      query: "select 'a' as object, 'b' as detail, null as fix",
    });
  });

  test.each([
    ['no title', /-- Title: .*\n/, ''],
    ['no reason', /-- Reason: .*\n.*\n/, ''],
    ['no remedy', /-- Remedy: .*\n/, ''],
    ['an empty remedy', 'Polish.', ''],
    ['another level', 'warning', 'info'],
    ['a field twice', '-- Level', '-- Title: Again\n-- Level'],
    ['an unknown field', '-- Level', '-- Author: Me\n-- Level'],
    ['a line that is no field', '-- Level', '-- by the way\n-- Level'],
    ['another need', 'tenant,', 'water,'],
    ['no bad example', /\/\* Bad[\s\S]*?\*\/\n\n/, ''],
    ['an empty bad example', "select 'dull';\n", ''],
    ['a bad example of nothing', 'Bad: app_public.spoons', 'Bad:'],
    ['no good example', /\/\* Good[\s\S]*?\*\/\n\n/, ''],
    ['an empty good example', "select 'bright';\n", ''],
    ['no query', /select 'a'[\s\S]*/, ''],
  ])('with %s is refused, by its name', (_, from, to) => {
    const broken = text.replace(from, to);
    expect(broken).not.toBe(text);
    const parse = () => parseLintRule('spoons.sql', broken);
    expect(parse).toThrow(LintRuleError);
    expect(parse).toThrow(/^spoons\.sql: /);
  });

  test('has a name of letters, digits and _', () => {
    expect(() => parseLintRule("spoons' --.sql", text)).toThrow(LintRuleError);
  });
});

test('the rules of the house are there, each under a name of its own', () => {
  const rules = readLintRules();
  expect(rules.length).toBeGreaterThan(40);
  expect(new Set(rules.map(({ title }) => title)).size).toBe(rules.length);
});
