import { z } from 'zod';
import { errorCodes, RowhouseError } from '../../platform/errors/registry.ts';
import type { Pseudonym } from '../../platform/logging.ts';
import type { ProduceText } from '../../services/ai/produceText.ts';
import { defineTask, type Task } from '../task.ts';

/** What a generation is done with. */
export type GenerationServices = {
  produce: ProduceText;
  /** For one attempt, all calls of the AI service together. */
  timeoutMs: number;
  pseudonym: Pseudonym;
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
 * or one whose request died. Until the next attempt after a failure that may pass, it is QUEUED.
 */
export function makeGenerationsRun({ produce, timeoutMs, pseudonym }: GenerationServices): Task {
  return defineTask({
    payload,
    timeoutMs: timeoutMs + marginMs,
    async run({ rowId: id, orgId, userId, traceparent }, context) {
      const { attempt, signal, observe, withClient, complete } = context;
      const { rows } = await withClient((client) =>
        client.query('select * from app_private.take_generation($1, $2)', [attempt, id]),
      );
      // It has ended.
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
          orgId,
          userId: pseudonym(userId),
          traceparent: traceparent ?? undefined,
          signal,
          deadlineMs: timeoutMs,
        },
      ).catch(async (error: unknown) => {
        const mayPass = error instanceof RowhouseError && errorCodes[error.code].isRetryable;
        if (mayPass && !signal.aborted) {
          await withClient((client) =>
            client.query('select app_private.return_generation($1, $2, $3)', [
              attempt,
              id,
              generation.taken,
            ]),
          );
        }
        throw error;
      });
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
