import type { Config } from '../../platform/config/settings.ts';
import type { Observe } from '../../platform/observer.ts';
import { type AiService, openAiService } from './openAiService.ts';

/**
 * Opens the AI service that is configured; undefined where none is. Requests wait AI_TIMEOUT_MS;
 * jobs, for which nobody waits, AI_JOB_TIMEOUT_MS, and half of it for one try.
 */
export function openConfiguredAi(
  config: Pick<
    Config,
    | 'aiServiceUrl'
    | 'aiTimeoutMs'
    | 'aiTryTimeoutMs'
    | 'aiJobTimeoutMs'
    | 'aiMaxCalls'
    | 'aiMaxCallsPerOrganization'
    | 'aiMaxAnswerBytes'
  >,
  waiting: 'request' | 'job',
  observe: Observe,
): AiService | undefined {
  const { aiServiceUrl: url, aiJobTimeoutMs } = config;
  if (url === undefined) return undefined;
  const isJob = waiting === 'job';
  return openAiService({
    url,
    timeoutMs: isJob ? aiJobTimeoutMs : config.aiTimeoutMs,
    tryTimeoutMs: isJob ? aiJobTimeoutMs / 2 : config.aiTryTimeoutMs,
    maxCalls: config.aiMaxCalls,
    maxCallsPerOrg: config.aiMaxCallsPerOrganization,
    maxAnswerBytes: config.aiMaxAnswerBytes,
    observe,
  });
}
