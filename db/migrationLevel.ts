import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../migrations/committed', import.meta.url));

/** Number of the newest migration this version of the program was written for. */
export function expectedMigration(): number {
  const newest = readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .at(-1);
  if (!newest) throw new Error(`There are no committed migrations in ${folder}.`);
  return Number.parseInt(newest, 10);
}

/** The part of a login that is called here. */
type Database = { query(sql: string): Promise<{ rows: readonly { level: string | null }[] }> };

/** Number of the newest migration of the database; 0 where there is none. */
export async function appliedMigration(database: Database): Promise<number> {
  const { rows } = await database.query('select app_private.migration_level() as level');
  return Number.parseInt(rows[0]?.level ?? '0', 10);
}
