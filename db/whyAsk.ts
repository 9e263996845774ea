import { Client } from 'pg';
import { type Access, type AccessQuestion, explainAccess, type Unseen } from './why.ts';
import { type WhyClients, WhyError } from './whyClients.ts';

/** Where to ask; the logins of the owner and of the API. */
export type WhyUrls = {
  ownerUrl: string;
  apiUrl: string;
  /**
   * Whether a table may be locked for a moment, to see a row that nothing else shows: everybody
   * who wants the table waits meanwhile, so never in production.
   */
  mayLock: boolean;
};

/** Who asks, as far as it is said; the mirror knows the rest. */
export type WhyQuestion = Omit<AccessQuestion, 'caller' | 'unseen'> & {
  userId: string;
  /** The personal space, where nothing is said. */
  orgId?: string | undefined;
  /** That of the membership, where nothing is said. */
  role?: string | undefined;
  permissions: readonly string[];
};

/** Nothing waits longer than this for a lock, or runs longer. */
const limits = "set local lock_timeout = '2s'; set local statement_timeout = '5s'";

/**
 * Asks on connections of its own, in transactions that are rolled back.
 * @throws WhyError for a user, organization, table or row that is not there.
 */
export async function askWhy(urls: WhyUrls, question: WhyQuestion): Promise<Access> {
  return inRolledBack(urls.ownerUrl, (reader) =>
    inRolledBack(urls.apiUrl, async (caller) => {
      const { userId, permissions, orgId = userId, role: _, ...asked } = question;
      const { role, unseen } = await membershipOf(reader, userId, orgId);
      const orgRole = question.role ?? role;
      return explainAccess(
        { reader, caller, mayLock: urls.mayLock },
        { caller: { userId, orgId, orgRole, permissions }, unseen, ...asked },
      );
    }),
  );
}

/**
 * The role of a membership, as a token would say it, '' without one and in the personal space; and
 * what the database has yet to see of it.
 */
async function membershipOf(
  reader: WhyClients['reader'],
  userId: string,
  orgId: string,
): Promise<{ role: string; unseen: Unseen | null }> {
  const { rows } = await reader.query<{ user: boolean; org: boolean; role: string | null }>(
    `select exists (select from app_public.users where id = $1) as user,
       exists (select from app_public.organizations where id = $2) as org,
       (select role from app_public.memberships where user_id = $1 and org_id = $2) as role`,
    [userId, orgId],
  );
  const { user, org, role = null } = rows[0] ?? {};
  if (!user) throw new WhyError(`There is no user "${userId}".`);
  if (userId === orgId) return { role: '', unseen: org ? null : 'personal space' };
  if (!org) throw new WhyError(`There is no organization "${orgId}".`);
  return { role: role ?? '', unseen: role === null ? 'membership' : null };
}

async function inRolledBack<Result>(
  connectionString: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString, application_name: 'rowhouse-why' });
  await client.connect();
  try {
    await client.query(`begin; ${limits}`);
    return await work(client);
  } finally {
    // Ends the session, and the transaction with it.
    await client.end();
  }
}
