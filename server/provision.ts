import type { Claims } from '../db/claims.ts';
import type { Login } from '../db/scope/asLogin.ts';

/** Makes sure that whom the claims name exists in the mirror. */
export type Provision = (claims: Claims) => Promise<void>;

/** How long a sight counts: after it the mirror is asked again, in case a row was lost. */
const freshMs = 5 * 60_000;
/** Sights remembered; beyond it the oldest is forgotten. */
const maxSights = 10_000;

/**
 * Makes the provisioning of users, organizations and memberships from verified
 * tokens. The database is asked when a token says something new; requests that
 * come in meanwhile wait for the same answer.
 */
export function makeProvision(login: Login, nowMs: () => number = Date.now): Provision {
  const sights = new Map<string, { done: Promise<void>; atMs: number }>();

  return async (claims) => {
    const { userId, email, name, orgId, orgSlug, orgRole } = claims;
    const facts = [userId, email, name, orgId, orgSlug, orgRole || null];
    const key = JSON.stringify(facts);
    const known = sights.get(key);
    if (known && nowMs() - known.atMs < freshMs) return known.done;

    const done = login
      .query('select app_private.provision($1, $2, $3, $4, $5, $6)', facts)
      .then(() => {});
    sights.delete(key);
    sights.set(key, { done, atMs: nowMs() });
    // A failure is told to those who wait for it, and tried again by the next.
    done.catch(() => sights.delete(key));
    const oldest = sights.keys().next();
    if (sights.size > maxSights && !oldest.done) sights.delete(oldest.value);
    return done;
  };
}
