import type { ClientBase, Pool } from 'pg';
import { findOwnSchemas } from '../../db/ownSchemas.ts';
import {
  belonging,
  type Catalogue,
  people,
  readCatalogue,
  type Table,
  tenants,
} from './catalogue.ts';
import { literal, quoted } from './rows.ts';

/**
 * An oracle is a database that holds what concerns one caller and nothing else: the rows of the
 * organization they act in, and what is theirs elsewhere. Whatever the shared database answers, it
 * has to answer too.
 */
export type Universe = { userId: string; orgId: string };

/** The queue's jobs are rows of an organization as well. */
export const jobs = 'graphile_worker._private_jobs';
/** The names of tasks, which the queue writes down as they first come up. */
export const tasks = 'graphile_worker._private_tasks';

/** All tables of ours, and the queue's. */
export async function readTables(client: Pick<ClientBase, 'query'>): Promise<Table[]> {
  const schemas = await findOwnSchemas(client);
  const { tables }: Catalogue = await readCatalogue(client, [...schemas, 'graphile_worker']);
  return tables.filter(
    ({ name, schema }) => schemas.includes(schema) || [jobs, tasks].includes(name),
  );
}

/** Those of them whose rows an oracle holds. */
export function copiedTables(tables: readonly Table[]): Table[] {
  return tables.filter(
    ({ name, schema, isReachable, orgColumn }) =>
      [jobs, tasks].includes(name) ||
      isReachable ||
      (schema !== 'graphile_worker' && orgColumn !== undefined),
  );
}

/** Which rows of a table concern a caller, as SQL. */
export function concerns(table: Table, { userId, orgId }: Universe): string {
  const [user, org] = [literal(userId), literal(orgId)];
  if (table.name === tasks) return 'true';
  if (table.name === jobs) return `payload ->> 'orgId' = ${org}`;
  if (table.name === people) {
    return `id = ${user} or id in (select user_id from ${belonging} where org_id = ${org})`;
  }
  if (table.name === tenants) {
    return `id = ${org} or id in (select org_id from ${belonging} where user_id = ${user})`;
  }
  if (table.name === belonging) return `org_id = ${org} or user_id = ${user}`;
  if (table.orgColumn) return `${quoted(table.orgColumn)} = ${org}`;
  if (table.personColumn) return `${quoted(table.personColumn)} = ${user}`;
  throw new Error(
    `${table.name} belongs to no organization and no person, so nothing can be said of who may see what of it. ` +
      'Give it an org_id, or a reference to users; or say in test/isolation/oracles.ts, `concerns`, whose its rows are.',
  );
}

/** Copies what concerns a caller from the shared database. */
export async function fillOracle(
  shared: Pool,
  oracle: Pool,
  tables: readonly Table[],
  universe: Universe,
): Promise<void> {
  for (const table of tables) {
    const { rows } = await shared.query<{ rows: unknown }>(
      `select coalesce(jsonb_agg(to_jsonb(t)), '[]') as rows from ${table.name} as t where ${concerns(table, universe)}`,
    );
    await replace(oracle, table, { delete: 'true', rows: rows[0]?.rows });
    // What the oracle numbers itself must not meet what is copied later.
    for (const { name, isIdentity } of table.columns) {
      if (!isIdentity) continue;
      await oracle.query(
        `alter table ${table.name} alter column ${quoted(name)} restart with 1000000000`,
      );
    }
  }
  // Jobs of the shared database come with their numbers; those that are added here get others.
  await oracle.query(
    `select setval(pg_get_serial_sequence('${jobs}', 'id'), 1000000000) where to_regclass('${jobs}') is not null`,
  );
}

/** Has a database write down the rows that change, before and after; what replicas copy is left out. */
export async function logChanges(database: Pool, tables: readonly Table[]): Promise<void> {
  await database.query(`
    create schema proof;
    create table proof.changes (relation text, operation text, key jsonb, row jsonb);
    create function proof.note() returns trigger language plpgsql security definer set search_path = '' as $$
    declare
      known jsonb[] := case tg_op when 'INSERT' then array[pg_catalog.to_jsonb(new)] when 'DELETE' then array[pg_catalog.to_jsonb(old)]
        when 'UPDATE' then array[pg_catalog.to_jsonb(old), pg_catalog.to_jsonb(new)] else array['{}'::jsonb] end;
    begin
      insert into proof.changes
      select tg_argv[0], tg_op, (select pg_catalog.jsonb_object_agg(k, r -> k) from pg_catalog.jsonb_array_elements_text(tg_argv[1]::jsonb) as k), r
      from pg_catalog.unnest(known) as r;
      return null;
    end $$;
    ${tables
      .map(({ name, key }) => {
        const call = `proof.note(${literal(name)}, ${literal(JSON.stringify(key))})`;
        return `
          create trigger zzz_proof after insert or update or delete on ${name} for each row execute function ${call};
          create trigger zzz_proof_all after truncate on ${name} for each statement execute function ${call};`;
      })
      .join('\n')}`);
}

/** A row that changed, as it was or as it became, with its key and its table. */
export type Change = {
  relation: string;
  operation: 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';
  key: Record<string, unknown>;
  /** Empty where the whole table was emptied. */
  row: Record<string, unknown>;
};

/** What changed since the last call. */
export async function takeChanges(database: Pool): Promise<Change[]> {
  const { rows } = await database.query<Change>(
    'with taken as (delete from proof.changes returning *) select * from taken',
  );
  return rows;
}

/** Makes an oracle's rows those of the shared database again, where something changed. */
export async function syncOracle(
  shared: Pool,
  oracle: Pool,
  tables: readonly Table[],
  universe: Universe,
  changes: readonly Change[],
): Promise<void> {
  for (const table of tables) {
    const keys = changes.filter(({ relation }) => relation === table.name).map(({ key }) => key);
    if (keys.length === 0) continue;
    const types = table.key.map((name) => {
      const column = table.columns.find((each) => each.name === name);
      return `${quoted(name)} ${column?.type}`;
    });
    const list = table.key.map(quoted).join(', ');
    const among = `(${list}) in (select ${list} from jsonb_to_recordset(${literal(JSON.stringify(keys))}) as k (${types.join(', ')}))`;
    const { rows } = await shared.query<{ rows: unknown }>(
      `select coalesce(jsonb_agg(to_jsonb(t)), '[]') as rows from ${table.name} as t where ${among} and (${concerns(table, universe)})`,
    );
    await replace(oracle, table, { delete: among, rows: rows[0]?.rows });
  }
}

async function replace(
  database: Pool,
  table: Table,
  change: { delete: string; rows: unknown },
): Promise<void> {
  const columns = table.columns
    .filter(({ isGenerated }) => !isGenerated)
    .map(({ name }) => quoted(name));
  const identity = table.columns
    .filter(({ isIdentity }) => isIdentity)
    .map(({ name }) => quoted(name));
  const list = [...columns, ...identity].join(', ');
  await database.query(`
    begin;
    set local session_replication_role = replica;
    delete from ${table.name} where ${change.delete};
    insert into ${table.name} (${list}) overriding system value
      select ${list} from jsonb_populate_recordset(null::${table.name}, ${literal(JSON.stringify(change.rows))}::jsonb);
    commit`);
}
