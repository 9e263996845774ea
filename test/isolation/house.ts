import { Client } from 'pg';
import type { TestDatabase } from '../support/database.ts';
import { readCatalogue } from './catalogue.ts';
import { fillTables } from './fixture.ts';
import { type Actor, type Matrix, type Observed, samplesOf } from './matrix.ts';
import { installProber } from './prober.ts';

/** A database in which the actors of the matrix live, seen by its superuser in one open transaction. */
export type House = Observed & {
  client: Client;
  /** Sweeps up what was tried and undone, which otherwise makes each look slower than the one before. */
  sweep(): Promise<void>;
  close(): Promise<void>;
};

/** Opens a house on a migrated database. What happens in it is never committed. */
export async function openHouse(database: TestDatabase, matrix: Matrix): Promise<House> {
  const known = Object.values(matrix.actors).filter((actor) => actor.user && actor.org);
  for (const { user = '', org = '', orgRole } of known) {
    await database.provision({ userId: user, orgId: org, ...(orgRole && { orgRole }) });
  }
  const client = new Client({
    connectionString: String(database.superuser.options.connectionString),
  });
  await client.connect();
  try {
    return await moveIn(client, matrix, known);
  } catch (error) {
    await client.end();
    throw error;
  }
}

async function moveIn(client: Client, matrix: Matrix, known: readonly Actor[]): Promise<House> {
  for (const { user, org, member = true } of known) {
    if (member) continue;
    // What Clerk's word leaves of a membership that is over.
    await client.query('delete from app_public.memberships where user_id = $1 and org_id = $2', [
      user,
      org,
    ]);
    await client.query(
      'insert into app_private.gone_members (clerk_user_id, clerk_org_id) values ($1, $2)',
      [user, org],
    );
  }
  await client.query('begin');
  await installProber(client);
  const catalogue = await readCatalogue(client);
  const { rows: members } = await client.query<{ orgId: string; personId: string }>(
    `select org_id as "orgId", user_id as "personId" from app_public.memberships order by 1, 2`,
  );
  const former = known
    .filter(({ member = true }) => !member)
    .map(({ org = '', user = '' }) => ({ orgId: org, personId: user }));
  const fixture = await fillTables(client, catalogue, members, samplesOf(matrix), {
    former,
  });
  // Rows of the fixture are committed, so that what a probe changes can be told from them.
  await client.query('commit; begin');
  return {
    client,
    catalogue,
    fixture,
    actors: matrix.actors,
    async sweep() {
      await client.query('rollback');
      await client.query('vacuum');
      await client.query('begin');
    },
    async close() {
      await client.query('rollback');
      await client.end();
    },
  };
}
