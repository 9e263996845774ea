import { z } from 'zod';
import { RowhouseError } from '../../platform/errors/registry.ts';
import type { Pseudonym } from '../../platform/logging.ts';
import { keptOutMs } from '../../services/ai/AiFailure.ts';
import type { AiService } from '../../services/ai/openAiService.ts';
import type { ProduceText } from '../../services/ai/produceText.ts';
import type { WhoAsks } from '../../services/ai/whoAsks.ts';
import { defineTask, PostponedError, type Task } from '../task.ts';

/** What a generation is done with. */
export type GenerationServices = {
  produce: ProduceText;
  ai: Pick<AiService, 'isBusy' | 'busyMs'>;
  /** For one attempt, all calls of the AI service together. */
  timeoutMs: number;
  /** What generations of an organization may cost in a month, where it has no budget of its own. */
  budgetMicros: number;
  /** For the log. */
  pseudonym: Pseudonym;
  /** For the service. */
  whoAsks: WhoAsks;
};

const payload = z.object({
  orgId: z.string(),
  userId: z.string(),
  rowId: z.uuid(),
  traceparent: z.string().nullish(),
});

const taken = z.object({
  prompt: z.string(),
  document_text: z.string().nullable(),
  max_tokens: z.int(),
  taken: z.int(),
});

/** For taking it and for writing its end, which need no network but Postgres. */
const marginMs = 10_000;

/**
 * Does the work of a generation: one that was to be done later, one that a request handed off,
 * or one whose request died. Until the next attempt, it is QUEUED; where the service is only not to
 * be asked for this organization now, that is no attempt, and the generation stays as it is.
 */
export function makeGenerationsRun(services: GenerationServices): Task {
  const { produce, ai, timeoutMs, budgetMicros, pseudonym, whoAsks } = services;
  return defineTask({
    payload,
    timeoutMs: timeoutMs + marginMs,
    async run({ rowId: id, orgId, userId, traceparent }, context) {
      const { attempt, signal, observe, withClient, complete } = context;
      const caller = whoAsks(orgId, userId);
      // Not even taken: while the service is down, that would be two entries of the trail each time.
      if (ai.isBusy(caller.orgId)) {
        throw new PostponedError(ai.busyMs(caller.orgId), new RowhouseError('AI_UNAVAILABLE'));
      }
      const { rows } = await withClient((client) =>
        client.query('select * from app_private.take_generation($1, $2, $3)', [
          attempt,
          id,
          budgetMicros,
        ]),
      );
      // It has ended, if only now: the budget is spent.
      if (!rows[0]) return;

      const generation = taken.parse(rows[0]);
      const orgHash = pseudonym(orgId);
      const startedMs = performance.now();
      const outcome = await produce(
        {
          id,
          prompt: generation.prompt,
          documentText: generation.document_text,
          maxTokens: generation.max_tokens,
        },
        {
          ...caller,
          traceparent: traceparent ?? undefined,
          signal,
          deadlineMs: timeoutMs,
        },
      );
      if (outcome.status === 'UNFINISHED') {
        const { error, used = {} } = outcome;
        const values = [attempt, id, generation.taken, used];
        await withClient((client) =>
          client.query('select app_private.return_generation($1, $2, $3, $4)', values),
        ).catch((failure: unknown) => {
          // Of one that is stopped it was worth the try.
          if (!signal.aborted) throw failure;
        });
        if (signal.aborted) throw error;
        const pauseMs = keptOutMs(error);
        throw pauseMs === undefined ? error : new PostponedError(pauseMs, error);
      }
      const hasEnded = await complete(async (client) => {
        const { rows: answers } = await client.query<{ has_ended: boolean }>(
          'select app_private.complete_generation($1, $2, $3, $4) as has_ended',
          [attempt, id, generation.taken, JSON.stringify(outcome)],
        );
        return answers[0]?.has_ended === true;
      });
      observe({
        type: 'generationFinished',
        by: 'job',
        outcome: hasEnded ? outcome.status : 'DROPPED',
        errorCode: outcome.errorCode ?? null,
        durationMs: performance.now() - startedMs,
        costMicros: outcome.used?.costMicros ?? 0,
        orgHash,
      });
    },
  });
}
