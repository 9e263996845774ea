import type { Pseudonym } from '../../platform/logging.ts';
import type { AiCall } from './openAiService.ts';

/**
 * Who a call is for, as the AI service may know it: users by a pseudonym, and organizations by
 * their id. The id of a personal space is its user's, so that is a pseudonym too. Everything that
 * does work under one key has to say the same, or the work is done twice.
 *
 * @param userId '' for nobody in particular.
 */
export function whoAsks(
  pseudonym: Pseudonym,
  orgId: string,
  userId: string,
): Pick<AiCall, 'orgId' | 'userId'> {
  return {
    orgId: orgId.startsWith('org_') ? orgId : `personal-${pseudonym(orgId)}`,
    userId: pseudonym(userId),
  };
}
