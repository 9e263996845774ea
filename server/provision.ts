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
  const sights = new Map<string, Sight>();
  /** Claims of a token are one object as long as it is cached: no need to spell them out again. */
  const sightsOf = new WeakMap<Claims, Sight>();
  const isFresh = (sight: Sight | undefined) => sight && nowMs() - sight.atMs < freshMs;

  return (claims) => {
    const known = sightsOf.get(claims);
    if (known && isFresh(known)) return known.done;
    const sight = sightOf(claims);
    sightsOf.set(claims, sight);
    // A failure is told to those who wait for it, and tried again by the next.
    sight.done.catch(() => sightsOf.delete(claims));
    return sight.done;
  };

  function sightOf({ userId, email, name, orgId, orgSlug, orgRole }: Claims): Sight {
    const facts = [userId, email, name, orgId, orgSlug, orgRole || null];
    const key = JSON.stringify(facts);
    const known = sights.get(key);
    if (known && isFresh(known)) return known;

    const done = login
      .query('select app_private.provision($1, $2, $3, $4, $5, $6)', facts)
      .then(() => {});
    const sight = { done, atMs: nowMs() };
    sights.delete(key);
    sights.set(key, sight);
    done.catch(() => sights.delete(key));
    const oldest = sights.keys().next();
    if (sights.size > maxSights && !oldest.done) sights.delete(oldest.value);
    return sight;
  }
}

/** That somebody was seen: when, and whether the mirror knows by now. */
type Sight = { done: Promise<void>; atMs: number };
