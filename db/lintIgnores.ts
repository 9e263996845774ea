import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { LintFinding, LintResult } from './lint.ts';
import { type LintRule, lintFolder } from './lintRules.ts';

/** A finding that somebody has looked at and keeps, and why. */
export type LintIgnore = {
  rule: string;
  /** As the finding says it. */
  object: string;
  reason: string;
  /** When it was decided, `2026-01-31`. */
  date: string;
};

/** A file of ignores that is not as it should be. */
export class LintIgnoreError extends Error {
  override readonly name = 'LintIgnoreError';
}

/** The house's own file, reviewed with every change of it. */
export const houseIgnores = `${lintFolder}/ignores.json`;

/** Reads a file of ignores. @throws LintIgnoreError, naming the file and what is wrong with it. */
export function readLintIgnores(file: string, rules: readonly LintRule[]): LintIgnore[] {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new LintIgnoreError(`${file}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
  const parsed = ignoreList(rules.map(({ name }) => name)).safeParse(json);
  if (!parsed.success) throw new LintIgnoreError(`${file}:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/**
 * Takes what is ignored out of a result. An ignore that nothing needs any more is a finding of
 * its own, unless the lint did not look there: another rule, or a schema that is not there.
 */
export function applyIgnores(
  result: LintResult,
  ignores: readonly LintIgnore[],
  ran: readonly LintRule[],
): { findings: LintFinding[]; ignored: LintIgnore[] } {
  const fits = (ignore: LintIgnore) => (finding: LintFinding) =>
    ignore.rule === finding.rule && ignore.object === finding.object;
  const used = ignores.filter((ignore) => result.findings.some(fits(ignore)));
  const skipped = new Set(result.skipped.flatMap(({ rules }) => rules));
  const looked = (ignore: LintIgnore) =>
    ran.some(({ name }) => name === ignore.rule && !skipped.has(name)) &&
    (!ignore.object.includes('.') || result.schemas.includes(schemaOf(ignore.object)));
  return {
    findings: [
      ...result.findings.filter((finding) => !used.some((ignore) => fits(ignore)(finding))),
      ...ignores
        .filter((ignore) => looked(ignore) && !used.includes(ignore))
        .map(({ rule, object }) => ({
          rule: 'unused_ignore',
          level: 'error' as const,
          object,
          detail: `The rule ${rule} finds nothing there: take the ignore out.`,
          fix: null,
        })),
    ],
    ignored: used,
  };
}

const schemaOf = (object: string) => object.slice(0, object.indexOf('.')).replaceAll('"', '');

const ignoreList = (rules: readonly string[]) =>
  z.array(
    z.strictObject({
      rule: z.string().refine((rule) => rules.includes(rule), 'there is no such rule'),
      object: z.string().min(1),
      reason: z.string().trim().min(20, 'an ignore needs a reason, in a sentence'),
      date: z.iso.date(),
    }),
  );
