import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { houseOptions, lint } from '../../db/lint.ts';
import { applyIgnores, houseIgnores, readLintIgnores } from '../../db/lintIgnores.ts';
import { readLintRules } from '../../db/lintRules.ts';
import { conventions } from '../db/conventions.ts';
import { matrixFaults, type Part, parts } from './compare.ts';
import type { House } from './house.ts';
import type { Matrix } from './matrix.ts';
import type { Mutant } from './mutants.ts';

/** What became of a mutant. */
export type Verdict = {
  mutant: Mutant;
  /** Who caught it: a part of the matrix, a rule of the lint, a convention; null for a survivor. */
  caughtBy: string | null;
  /** The first thing that was said of it. */
  says: string;
};

const rules = readLintRules();
const ignores = readLintIgnores(houseIgnores, rules);
const lintOptions = {
  ...houseOptions,
  loginRoles: ['rowhouse_api', 'rowhouse_worker', 'rowhouse_owner'],
};

let tried = 0;

/**
 * Weakens the database, lets the suite look, and takes it back: DDL is transactional. The part of the
 * matrix that should know looks first, then the rest of it, the lint and the conventions.
 */
export async function tryMutant(house: House, matrix: Matrix, mutant: Mutant): Promise<Verdict> {
  const { client } = house;
  await client.query('savepoint mutant');
  try {
    await client.query(mutant.sql);
    const table = house.catalogue.tables.find(({ name }) => name === mutant.table);
    const look = async (part: Part, tables?: typeof house.catalogue.tables) => {
      const faults = await matrixFaults(house, matrix, [part], tables);
      return faults[0] !== undefined
        ? { mutant, caughtBy: `matrix: ${part}`, says: faults[0] }
        : undefined;
    };
    for (const part of mutant.parts) {
      const verdict = await look(part, table && [table]);
      if (verdict) return verdict;
    }
    const [finding] = (await lintNow(house)) ?? [];
    if (finding) return { mutant, caughtBy: `lint: ${finding.rule}`, says: finding.detail };
    for (const { claim, offenders } of conventions) {
      const { rows } = await client.query(offenders);
      if (rows.length > 0)
        return { mutant, caughtBy: `convention: ${claim}`, says: String(rows[0]?.offender) };
    }
    for (const part of parts) {
      // Of no table, it was looked at whole.
      if (!table && mutant.parts.includes(part)) continue;
      const verdict = await look(part);
      if (verdict) return verdict;
    }
    return { mutant, caughtBy: null, says: '' };
  } finally {
    await client.query('rollback to mutant; release mutant');
    tried += 1;
    if (tried % 10 === 0) await house.sweep();
  }
}

async function lintNow({ client }: House) {
  await client.query('savepoint lint_run');
  const result = await lint(client, rules, lintOptions);
  // It changes the search_path.
  await client.query('rollback to lint_run; release lint_run');
  return applyIgnores(result, ignores, rules).findings;
}

/** A mutant that changes nothing anybody could see, and why; reviewed. */
export type Equivalent = {
  mutant: string;
  reason: string;
  date: string;
  /** Which rows are tried decides whether it is noticed. */
  sometimes?: boolean;
};

/** The mutants that need not be caught. In the file some share a reason. */
export function readEquivalents(): Equivalent[] {
  const file = readFileSync(new URL('./equivalents.yaml', import.meta.url), 'utf8');
  const entries: (Omit<Equivalent, 'mutant'> & { mutants: string[] })[] = parse(file) ?? [];
  return entries.flatMap(({ mutants, ...why }) => mutants.map((mutant) => ({ mutant, ...why })));
}

/**
 * Makes sure that nobody complains of the database as it is: a complaint would count as a catch.
 * @throws Error with the complaint.
 */
export async function assertQuiet(house: House, matrix: Matrix): Promise<void> {
  const nothing: Mutant = { name: 'nothing', kind: 'policy', sql: 'select', parts: [] };
  const { caughtBy, says } = await tryMutant(house, matrix, nothing);
  if (caughtBy !== null) throw new Error(`Without any mutant, ${caughtBy} says: ${says}`);
}

/** Tries mutants one after the other. */
export async function tryMutants(
  house: House,
  matrix: Matrix,
  mutants: readonly Mutant[],
  onProgress: (done: number) => void = () => {},
): Promise<Verdict[]> {
  await assertQuiet(house, matrix);
  const verdicts: Verdict[] = [];
  for (const mutant of mutants) {
    verdicts.push(await tryMutant(house, matrix, mutant));
    onProgress(verdicts.length);
  }
  return verdicts;
}

/** What survived without a reason, and the reasons that nothing needs. */
export function unexpected(verdicts: readonly Verdict[], equivalents: readonly Equivalent[]) {
  const isKept = (name: string) => equivalents.some(({ mutant }) => mutant === name);
  const survived = verdicts.filter(({ caughtBy }) => caughtBy === null).map(({ mutant }) => mutant);
  const tried = verdicts.map(({ mutant }) => mutant.name);
  return {
    survivors: survived
      .filter(({ name }) => !isKept(name))
      .map(({ name, sql }) => `${name}\n${sql}`),
    needless: equivalents
      .filter(({ sometimes }) => !sometimes)
      .map(({ mutant }) => mutant)
      .filter((name) => tried.includes(name) && !survived.some((one) => one.name === name)),
  };
}

/** Who caught how many of each kind, as a table to be read. */
export function reportOf(verdicts: readonly Verdict[]): string {
  const counts = new Map<string, number>();
  for (const { mutant, caughtBy } of verdicts) {
    const line = `| ${mutant.kind} | ${caughtBy ?? 'nobody'} |`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  const lines = [...counts].sort().map(([line, count]) => `${line} ${count} |`);
  return ['| what was weakened | caught by | mutants |', '|---|---|---|', ...lines].join('\n');
}
