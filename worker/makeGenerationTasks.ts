import { z } from 'zod';
import type { Config } from '../platform/config/settings.ts';
import { RowhouseError } from '../platform/errors/registry.ts';
import { makePseudonym } from '../platform/logging.ts';
import type { AiService } from '../services/ai/openAiService.ts';
import { makeProduceText } from '../services/ai/produceText.ts';
import { makeWhoAsks } from '../services/ai/whoAsks.ts';
import { defineTask, type Tasks } from './task.ts';
import { makeGenerationsRun } from './tasks/generations__run.ts';

/**
 * The tasks about generations, under the names jobs call them by. Without an AI service they
 * fail and are tried again: somebody will configure it.
 */
export function makeGenerationTasks(config: Config<'worker'>, ai: AiService | undefined): Tasks {
  const { aiFilters: hasFilters, aiPrices: prices, aiJobTimeoutMs: timeoutMs } = config;
  return {
    generations__run: ai
      ? makeGenerationsRun({
          produce: makeProduceText({ ai, hasFilters, prices }),
          ai,
          timeoutMs,
          budgetMicros: config.aiMonthlyBudgetMicros,
          pseudonym: makePseudonym(config.logPseudonymKey),
          whoAsks: makeWhoAsks(config.logPseudonymKey),
        })
      : defineTask({
          payload: z.object({}),
          run: () => Promise.reject(new RowhouseError('AI_UNAVAILABLE')),
        }),
  };
}
