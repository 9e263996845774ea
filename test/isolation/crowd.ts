import type { Client } from 'pg';
import { belonging, readCatalogue } from './catalogue.ts';
import { quoted, tablesInOrder } from './rows.ts';

/**
 * Makes a crowd of a few: organizations with members, and rows of every table for them, copied from
 * rows that are there. Keys are new; references to rows stay within reach only by chance, as they are
 * nobody's business here.
 */
export async function addCrowd(
  client: Client,
  { organizations, rows }: { organizations: number; rows: number },
  onProgress: (what: string) => void,
): Promise<void> {
  await client.query('set local session_replication_role = replica');
  await client.query(`
    insert into app_public.users (id) select 'user_crowd_' || n from generate_series(1, ${organizations * 2}) as n;
    insert into app_public.organizations (id, kind, name)
      select 'org_crowd_' || n, 'ORGANIZATION', 'Crowd ' || n from generate_series(1, ${organizations}) as n;
    insert into ${belonging} (org_id, user_id, role)
      select 'org_crowd_' || (n + 1) / 2, 'user_crowd_' || n, 'member' from generate_series(1, ${organizations * 2}) as n`);
  const tables = tablesInOrder(await readCatalogue(client)).filter(({ orgColumn }) => orgColumn);
  const each = Math.ceil(rows / tables.length / organizations);
  for (const table of tables) {
    const columns = table.columns.filter(({ isGenerated }) => !isGenerated);
    const unique = new Set(
      table.constraints
        .filter(({ kind }) => /unique|primary/.test(kind))
        .flatMap(({ columns: names }) => names),
    );
    const values = columns.map(({ name, type }) => {
      const column = `seed.${quoted(name)}`;
      if (name === table.orgColumn) return `'org_crowd_' || o`;
      if (name === table.personColumn) return `'user_crowd_' || (o * 2 - n % 2)`;
      if (type === 'uuid' && table.key.includes(name)) return 'uuidv7()';
      if (/^(text|character)/.test(type) && unique.has(name))
        return `${column} || ' ' || o || ' ' || n`;
      if (/int|numeric/.test(type) && unique.has(name)) return `o * ${each} + n`;
      if (name === 'created_at') return `${column} + n * interval '1 second'`;
      return column;
    });
    const { rowCount } = await client.query(`
      insert into ${table.name} (${columns.map(({ name }) => quoted(name)).join(', ')})
      select ${values.join(', ')}
      from generate_series(1, ${organizations}) as o, generate_series(1, ${each}) as n,
        (select * from ${table.name} order by ${table.key.map(quoted).join(', ')} desc limit 1) as seed
      on conflict do nothing`);
    onProgress(`${table.name}: ${rowCount} rows`);
  }
  await client.query("set local session_replication_role = 'origin'");
}
