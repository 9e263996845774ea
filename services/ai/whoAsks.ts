import { makePseudonym } from '../../platform/logging.ts';
import type { AiCall } from './openAiService.ts';

/**
 * Who a call is for, as the AI service may know it: users by a pseudonym, and organizations by
 * their id. The id of a personal space is its user's, so that is a pseudonym too.
 *
 * @param userId '' for nobody in particular.
 */
export type WhoAsks = (orgId: string, userId: string) => Pick<AiCall, 'orgId' | 'userId'>;

/** Clerk's ids are drawn by lot: whoever does not know one does not find it by its hash. */
const keyOfNobody = 'rowhouse';

/**
 * Makes it. Everything that does work under one key has to say the same, or the work is done
 * twice; so without a key of its own every process uses the same one.
 */
export function makeWhoAsks(pseudonymKey: string = keyOfNobody): WhoAsks {
  const pseudonym = makePseudonym(pseudonymKey);
  return (orgId, userId) => ({
    orgId: orgId.startsWith('org_') ? orgId : `personal-${pseudonym(orgId)}`,
    userId: pseudonym(userId),
  });
}
