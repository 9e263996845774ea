import type { Client } from 'pg';
import type { Issuer } from '../dev/issuer.ts';

/** Somebody who sends requests. */
export type BenchCaller = {
  userId: string;
  orgId: string;
  role: string;
  /** A document of the organization. */
  documentId: string;
  /** A session token that outlives the run. */
  token: string;
};

/** The header by which contestants without authentication know the caller. */
export const callerHeader = 'x-caller';

/** The value of that header: what a verified token would say. */
export function writeCaller({ userId, orgId, role }: BenchCaller): string {
  return `${userId}/${orgId}/${role}`;
}

/**
 * Everybody may read the documents of all: a page is then the same rows with policies and without,
 * and costs what its size costs, not what its reader owns.
 */
export const permissions: readonly string[] = ['org:docs:manage'];

/** A day. */
const ttlSeconds = 86_400;

/** Draws members of all organizations, each with a token and a document: always the same ones. */
export async function drawCallers(
  superuser: Client,
  issuer: Pick<Issuer, 'sign'>,
  count: number,
): Promise<BenchCaller[]> {
  const { rows } = await superuser.query<Omit<BenchCaller, 'token'>>(
    `select user_id as "userId", org_id as "orgId", role, (
       select d.id from app_public.documents as d where d.org_id = m.org_id
       order by d.created_at desc
       offset hashtextextended(m.user_id, 1) & 15 limit 1
     ) as "documentId"
     from app_public.memberships as m
     order by hashtextextended(user_id || org_id, 0)
     limit $1`,
    [count],
  );
  return Promise.all(
    rows.map(async (caller) => {
      const { userId: user, orgId: org, role } = caller;
      const content = { user, org, role, permissions, ttlSeconds };
      return { ...caller, token: await issuer.sign(content) };
    }),
  );
}
