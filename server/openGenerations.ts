import type { Config } from '../platform/config/settings.ts';
import type { Lifecycle } from '../platform/lifecycle.ts';
import type { Pseudonym } from '../platform/logging.ts';
import type { Observe } from '../platform/observer.ts';
import { type Generations, makeGenerations } from '../plugins/generations.ts';
import { openConfiguredAi } from '../services/ai/openConfiguredAi.ts';
import { dearestPrices, makeProduceText } from '../services/ai/produceText.ts';
import { makeWhoAsks } from '../services/ai/whoAsks.ts';

/** Opens what the API needs for generations; nothing where no AI service is configured. */
export function openGenerations(
  config: Config<'api'>,
  lifecycle: Pick<Lifecycle, 'opened'>,
  { observe, pseudonym }: { observe: Observe; pseudonym: Pseudonym },
): Generations | undefined {
  const ai = openConfiguredAi(config, 'requests', observe);
  if (!ai) return undefined;
  lifecycle.opened('AI service', () => ai.close());
  const { aiPrices: prices, aiFilters: hasFilters } = config;
  const generations = makeGenerations({
    ai,
    produce: makeProduceText({ ai, hasFilters, prices }),
    timeoutMs: config.aiTimeoutMs,
    maxPromptTokens: config.aiMaxPromptTokens,
    limits: {
      maxTokens: config.aiMaxCompletionTokens,
      ...dearestPrices(prices),
      budgetMicros: config.aiMonthlyBudgetMicros,
      cacheTtlSeconds: config.aiCacheTtlSeconds,
    },
    pseudonym,
    whoAsks: makeWhoAsks(config.logPseudonymKey),
    observe,
  });
  // What clients have left goes on to its end.
  lifecycle.opened('generations', () => generations.close(), config.aiTimeoutMs + 1_000);
  return generations;
}
