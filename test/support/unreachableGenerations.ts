import { type Generations, makeGenerations } from '../../plugins/generations.ts';
import { openAiService } from '../../services/ai/openAiService.ts';
import { makeProduceText } from '../../services/ai/produceText.ts';
import { makeWhoAsks } from '../../services/ai/whoAsks.ts';

/** Accepts generations; a service that is not there leaves them all to jobs. */
export function unreachableGenerations(): Generations {
  const ai = openAiService({
    url: 'http://127.0.0.1:1',
    timeoutMs: 150,
    tryTimeoutMs: 100,
    maxCalls: 100,
    maxCallsPerOrg: 100,
    maxAnswerBytes: 1_000,
    asksAgainMs: 3_600_000,
    observe: () => {},
  });
  return makeGenerations({
    ai,
    produce: makeProduceText({ ai, hasFilters: false, prices: [] }),
    timeoutMs: 150,
    maxPromptTokens: 1_000,
    limits: {
      maxTokens: 1_000,
      promptMicros: 0,
      completionMicros: 0,
      budgetMicros: 1_000_000,
      cacheTtlSeconds: 0,
    },
    pseudonym: (id) => id,
    whoAsks: makeWhoAsks(),
    observe: () => {},
  });
}
