import type { Table } from './catalogue.ts';
import { enforcementFaults, observePrivate } from './enforcement.ts';
import {
  type Matrix,
  type Observed,
  observePermissive,
  observeRows,
  pasteable,
  type TableMatrix,
} from './matrix.ts';
import { observeConstraints, observeGrants, observeObjects } from './structure.ts';

/** Which part of the matrix is looked at. */
export type Part = 'rows' | 'grants' | 'constraints' | 'objects' | 'enforcement';
export const parts: readonly Part[] = ['rows', 'grants', 'constraints', 'objects', 'enforcement'];

/**
 * Where a database is not what the matrix says. What the matrix does not know comes ready to be pasted.
 * @param tables narrows it to some; all by default.
 */
export async function matrixFaults(
  observed: Observed,
  matrix: Matrix,
  wanted: readonly Part[] = parts,
  tables: readonly Table[] = observed.catalogue.tables,
): Promise<string[]> {
  const exposed = tables.filter(({ isReachable }) => isReachable);
  const hidden = tables.filter(({ isReachable }) => !isReachable);
  const found: Record<string, Partial<TableMatrix>> = Object.fromEntries(
    tables.map(({ name }) => [name, {}]),
  );
  const add = <Key extends keyof TableMatrix>(
    key: Key,
    values: Readonly<Record<string, NonNullable<TableMatrix[Key]>>>,
    isComplete = false,
  ) => {
    for (const [name, value] of Object.entries(values)) {
      if (isComplete || found[name]) found[name] = { ...found[name], [key]: value };
    }
  };
  const isWhole = tables.length === observed.catalogue.tables.length;
  // What is new is told once, with the rows, and whole.
  const isNew = tables.some(({ name }) => !matrix.tables[name]) && wanted.includes('rows');
  if (wanted.includes('grants') || isNew) add('grants', await observeGrants(observed), isWhole);
  if (wanted.includes('rows')) {
    const rows = await observeRows(observed, exposed);
    add('rows', rows);
    add('permissive', await observePermissive(observed, exposed, rows));
    add('rows', await observePrivate(observed, hidden));
  }
  if (wanted.includes('constraints') || isNew) {
    add('constraints', await observeConstraints(observed, exposed, matrix.tables));
  }
  const faults = Object.entries(found).flatMap(([name, value]) => {
    const meant = matrix.tables[name];
    if (!meant) return isNew ? [unknown(`tables, ${name}`, { [name]: value })] : [];
    return differences(name, pick(meant, Object.keys(value)), value);
  });
  if (isWhole && wanted.includes('rows')) {
    const gone = Object.keys(matrix.tables).filter((name) => !found[name]);
    faults.push(
      ...gone.map((name) => `${name} is in the matrix and not in the database: take it out.`),
    );
    const held = Object.values(matrix.actors).map(({ permissions = [] }) => permissions.join());
    for (const permission of observed.catalogue.permissions) {
      if (held.includes(permission)) continue;
      faults.push(
        unknown(`actors, who holds ${permission}`, {
          [`holder of ${permission}`]: {
            role: 'app_user',
            user: 'user_…',
            org: 'org_acme',
            permissions: [permission],
          },
        }),
      );
    }
    if (observed.catalogue.asksHowFresh && !Object.values(matrix.actors).some((one) => one.fresh)) {
      const fresh = { role: 'app_user', org: 'org_acme', fresh: true };
      faults.push(
        unknown('actors, who has just signed in', {
          'fresh member': { ...fresh, user: 'user_alice' },
          'fresh admin': { ...fresh, user: 'user_ann', orgRole: 'admin' },
        }),
      );
    }
  }
  if (wanted.includes('objects')) {
    const objects = await observeObjects(observed);
    const gone = Object.keys(matrix.objects).filter((name) => objects[name] === undefined);
    faults.push(
      ...gone.map((name) => `${name} is in the matrix and not in the database: take it out.`),
      ...differences('objects', matrix.objects, objects),
    );
  }
  if (wanted.includes('enforcement') && faults.length === 0) {
    faults.push(...(await enforcementFaults(observed, exposed, matrix.tables)));
  }
  return faults;
}

function pick<Value extends object>(value: Value, keys: readonly string[]): Partial<Value> {
  return Object.fromEntries(
    Object.entries(value).filter(([key]) => keys.includes(key)),
  ) as Partial<Value>;
}

function unknown(where: string, part: object): string {
  return `test/isolation/matrix.yaml says nothing of ${where}. Read what is so now, mend it where it should not be so, and add:\n${pasteable(part)}`;
}

/** What two parts of a matrix differ in, with the path to it. */
function differences(path: string, meant: unknown, found: unknown): string[] {
  if (typeof meant !== 'object' || typeof found !== 'object' || !meant || !found) {
    if (meant === found) return [];
    if (meant === undefined) return [unknown(path, { [path.split(', ').at(-1) ?? path]: found })];
    return [`${path}: meant ${JSON.stringify(meant)}, found ${JSON.stringify(found)}`];
  }
  const keys = new Set([...Object.keys(meant), ...Object.keys(found)]);
  const absent = [...keys].filter((key) => !(key in meant));
  return [
    ...[...keys]
      .filter((key) => key in meant)
      .flatMap((key) =>
        differences(
          `${path}, ${key}`,
          meant[key as keyof typeof meant],
          found[key as keyof typeof found],
        ),
      ),
    ...(absent.length > 0
      ? [
          unknown(
            path,
            Object.fromEntries(absent.map((key) => [key, found[key as keyof typeof found]])),
          ),
        ]
      : []),
  ];
}
