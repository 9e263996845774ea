import type { Config } from '../../platform/config/settings.ts';
import type { Observe } from '../../platform/observer.ts';
import { type AiService, openAiService } from './openAiService.ts';

/**
 * Opens the AI service that is configured; undefined where none is. Requests wait AI_TIMEOUT_MS;
 * jobs, for which nobody waits, AI_JOB_TIMEOUT_MS, and half of it for one try.
 *
 * @param waiting `jobs`: how many of them a worker does at once. Half of them at most wait for the
 * service, so that one which hangs leaves room for other work.
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
  waiting: 'requests' | { jobs: number },
  observe: Observe,
): AiService | undefined {
  const { aiServiceUrl: url, aiJobTimeoutMs } = config;
  if (url === undefined) return undefined;
  const limits =
    waiting === 'requests'
      ? {
          timeoutMs: config.aiTimeoutMs,
          tryTimeoutMs: config.aiTryTimeoutMs,
          maxCalls: config.aiMaxCalls,
        }
      : {
          timeoutMs: aiJobTimeoutMs,
          tryTimeoutMs: Math.floor(aiJobTimeoutMs / 2),
          maxCalls: Math.min(config.aiMaxCalls, Math.ceil(waiting.jobs / 2)),
        };
  return openAiService({
    url,
    ...limits,
    maxCallsPerOrg: config.aiMaxCallsPerOrganization,
    maxAnswerBytes: config.aiMaxAnswerBytes,
    observe,
  });
}
