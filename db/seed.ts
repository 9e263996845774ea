import type { ClientBase, Pool } from 'pg';
import { type Caller, pgSettings } from './claims.ts';

/** What a seed leaves behind. */
export type SeedResult = { organizations: number; users: number; documentsAdded: number };

/** Somebody in an organization. */
export type Member = { orgId: string; slug: string; userId: string; name: string; role: string };

/** Alice, as she is signed in by default. */
export const alice: Member = {
  orgId: 'org_acme',
  slug: 'acme',
  userId: 'user_alice',
  name: 'Alice Adams',
  role: 'admin',
};

/** Two organizations; Alice belongs to both, so that switching can be tried. */
const members: readonly Member[] = [
  alice,
  { orgId: 'org_acme', slug: 'acme', userId: 'user_bob', name: 'Bob Brown', role: 'member' },
  { orgId: 'org_acme', slug: 'acme', userId: 'user_erin', name: 'Erin Evans', role: 'member' },
  { orgId: 'org_globex', slug: 'globex', userId: 'user_carol', name: 'Carol Clark', role: 'admin' },
  { orgId: 'org_globex', slug: 'globex', userId: 'user_dave', name: 'Dave Davis', role: 'member' },
  {
    orgId: 'org_globex',
    slug: 'globex',
    userId: 'user_alice',
    name: 'Alice Adams',
    role: 'member',
  },
];

const kinds = ['Plan', 'Notes', 'Review', 'Proposal', 'Report', 'Checklist', 'Minutes'];
const subjects = ['onboarding', 'pricing', 'the spring release', 'hiring', 'security', 'support'];
/** Documents each member writes: enough to page through. */
const documentsEach = kinds.length * 4;

/**
 * Writes demo data the way requests would: provisioned as the API's login, then
 * written as each member, under the policies. Adds nothing where a member has
 * documents already, so it may run any number of times, also at once.
 *
 * @param pool the API's login.
 */
export async function seed(pool: Pool): Promise<SeedResult> {
  const documentsAdded = await inTransaction(pool, async (client) => {
    let added = 0;
    for (const member of members) {
      await client.query('select app_private.provision($1, $2, $3, $4, $5, $6)', [
        member.userId,
        `${member.userId.replace('user_', '')}@example.com`,
        member.name,
        member.orgId,
        member.slug,
        member.role,
      ]);
      added += await writeDocuments(client, member);
    }
    return added;
  });
  const distinct = (key: 'orgId' | 'userId') => new Set(members.map((m) => m[key])).size;
  return { organizations: distinct('orgId'), users: distinct('userId'), documentsAdded };
}

/** Works in a transaction in which no other seed does. */
export async function inTransaction<Result>(
  pool: Pool,
  work: (client: ClientBase) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query("select pg_advisory_xact_lock(hashtext('rowhouse seed'))");
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

/** Makes what follows in the transaction the member's, under the policies. */
export async function actAs(client: ClientBase, member: Member): Promise<void> {
  const caller: Caller = { ...member, orgRole: member.role, permissions: [] };
  await client.query(
    'select set_config(name, value, true) from jsonb_each_text($1) as setting (name, value)',
    [JSON.stringify(pgSettings(caller, 'seed'))],
  );
}

async function writeDocuments(client: ClientBase, member: Member): Promise<number> {
  await actAs(client, member);
  const titles = Array.from({ length: documentsEach }, (_, i) => {
    const subject = subjects[Math.floor(i / kinds.length) % subjects.length];
    return `${kinds[i % kinds.length]} on ${subject}`;
  });
  const { rowCount } = await client.query(
    `insert into app_public.documents (title, body)
     select title, title || ', written by ' || $2 || ' of ' || $3 || '.'
     from unnest($1::text[]) with ordinality as t (title, position)
     where not exists (
       select from app_public.documents where owner_id = (select app_hidden.current_user_id())
     )
     order by position`,
    [titles, member.name, member.slug],
  );
  await client.query('reset role');
  return rowCount ?? 0;
}
