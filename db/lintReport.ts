import { type LintFinding, type LintOptions, type LintResult, lintDatabase } from './lint.ts';
import { applyIgnores, type LintIgnore } from './lintIgnores.ts';
import type { LintRule } from './lintRules.ts';

/** What is told of a lint: as JSON it is written as it is. */
export type LintReport = LintResult & { ignored: LintIgnore[] };

/** Lints a database, and takes out what is ignored. @throws LintError as lintDatabase does. */
export async function makeLintReport(
  connectionString: string,
  rules: readonly LintRule[],
  ignores: readonly LintIgnore[],
  options?: LintOptions,
): Promise<LintReport> {
  const found = await lintDatabase(connectionString, rules, options);
  return { ...found, ...applyIgnores(found, ignores, rules) };
}

/** The report for people: by rule, with its reason and remedy once. */
export function renderLintReport(report: LintReport, rules: readonly LintRule[]): string {
  const names = [...new Set(report.findings.map(({ rule }) => rule))];
  const parts = names.map((name) =>
    renderGroup(
      rules.find((rule) => rule.name === name),
      name,
      report.findings.filter(({ rule }) => rule === name),
    ),
  );
  return [...parts, ...renderSkipped(report), renderSummary(report)].join('\n');
}

function renderGroup(rule: LintRule | undefined, name: string, findings: LintFinding[]): string {
  const width = Math.max(...findings.map(({ object }) => object.length));
  return [
    `${name} (${findings[0]?.level ?? 'error'}): ${rule?.title ?? 'Every ignore is needed'}`,
    ...(rule ? wrap('reason', rule.reason) : []),
    ...(rule ? wrap('remedy', rule.remedy) : []),
    ...findings.flatMap(({ object, detail, fix }) => [
      `    ${object.padEnd(width)}  ${detail}`,
      ...(fix === null ? [] : [`    ${' '.repeat(width)}  ${fix}`]),
    ]),
    '',
  ].join('\n');
}

function renderSkipped({ skipped }: LintReport): string[] {
  if (skipped.length === 0) return [];
  return [
    `${skipped
      .map(({ why, rules }) =>
        rules.length === 0
          ? `Skipped: ${why}.`
          : `Skipped, since ${why}: ${rules.length} rules (${rules.join(', ')}).`,
      )
      .join('\n')}\n`,
  ];
}

function renderSummary({
  database,
  rules,
  objects,
  findings,
  ignored,
  schemas,
}: LintReport): string {
  const looked = Object.entries(objects).map(([kind, count]) => `${count} ${kind}`);
  const levels = (['error', 'warning'] as const)
    .map((level) => count(findings.filter((finding) => finding.level === level).length, level))
    .join(', ');
  return `${count(rules, 'rule')} looked at ${looked.join(', ')} of database ${database} (${schemas.join(', ')}): ${
    findings.length === 0 ? 'nothing found' : levels
  }; ${ignored.length} ignored with a reason.\n`;
}

const count = (number: number, thing: string) => `${number} ${thing}${number === 1 ? '' : 's'}`;

/** A field of a rule, in lines of about a hundred characters. */
function wrap(field: string, text: string): string[] {
  const lines = text.match(/.{1,88}(?:\s|$)/g) ?? [text];
  return lines.map((line, index) => `  ${(index === 0 ? field : '').padEnd(8)}${line.trimEnd()}`);
}
