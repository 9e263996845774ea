import type { Table } from './catalogue.ts';
import { type Change, jobs, tasks, type Universe } from './oracles.ts';

/**
 * What a caller's operation may change: rows of the organization they act in, and their own where no
 * organization has them. A row that belongs to nobody is everybody's, so no operation changes it.
 */
export function strayWrites(
  tables: readonly Table[],
  universe: Universe,
  changes: readonly Change[],
): Change[] {
  return changes.filter((change) => !isWithin(tables, universe, change));
}

function isWithin(
  tables: readonly Table[],
  { userId, orgId }: Universe,
  { relation, row }: Change,
): boolean {
  if (relation === tasks) return true;
  if (relation === jobs) return (row.payload as { orgId?: unknown } | undefined)?.orgId === orgId;
  const table = tables.find(({ name }) => name === relation);
  if (table?.orgColumn) return row[table.orgColumn] === orgId;
  return table?.personColumn !== undefined && row[table.personColumn] === userId;
}

/**
 * What an operation wrote in one database and not in the other, each as text. What Postgres numbers,
 * and what the store names, differs by nature.
 * @param masked takes out of a text what is made up anew each time
 */
export function differentWrites(
  tables: readonly Table[],
  shared: readonly Change[],
  oracle: readonly Change[],
  masked: (text: string) => string,
): { shared: string[]; oracle: string[] } {
  const written = (changes: readonly Change[]) =>
    changes
      .filter(({ relation }) => relation !== tasks)
      .map((change) => masked(tellChange(tables, change)))
      .sort();
  return without(written(shared), written(oracle));
}

/** A change as text. */
export function tellChange(tables: readonly Table[], { relation, operation, row }: Change): string {
  const columns = tables.find(({ name }) => name === relation)?.columns ?? [];
  const numbered = columns.filter(({ isIdentity }) => isIdentity).map(({ name }) => name);
  const kept = Object.entries(row).filter(
    ([name]) => !numbered.includes(name) && !unlike.has(`${relation}.${name}`),
  );
  return `${operation} ${relation} ${JSON.stringify(Object.fromEntries(kept))}`;
}

/** Numbers of tasks, and what the store names. */
const unlike = new Set([`${jobs}.task_id`, 'app_public.files.multipart_upload_id']);

/** What each of two lists has more than the other. */
function without(first: string[], second: string[]): { shared: string[]; oracle: string[] } {
  const rest = [...second];
  const more = first.filter((text) => {
    const at = rest.indexOf(text);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  return { shared: more, oracle: rest };
}
