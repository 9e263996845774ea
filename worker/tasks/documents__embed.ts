import { z } from 'zod';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { keptOutMs } from '../../services/ai/AiFailure.ts';
import type { AiService } from '../../services/ai/openAiService.ts';
import type { WhoAsks } from '../../services/ai/whoAsks.ts';
import { defineTask, PostponedError, type Task } from '../task.ts';

/**
 * Makes the task that has a document embedded, unless it is as it was when it last was. Without
 * an AI service, or where embeddings are not enabled, it does nothing. A text that the service
 * refuses, such as one too long for its model, stays without.
 */
export function makeDocumentsEmbed(ai: AiService | undefined, whoAsks: WhoAsks): Task {
  return defineTask({
    payload: z.object({
      rowId: z.uuid(),
      orgId: z.string(),
      userId: z.string().nullish(),
      traceparent: z.string().nullish(),
    }),
    async run({ rowId, orgId, userId, traceparent }, context) {
      const { attempt, signal, log, withClient, complete } = context;
      if (!ai) return;
      const { rows } = await withClient((client) =>
        client.query<{ content: string; content_hash: Buffer }>(
          'select * from app_private.document_to_embed($1, $2)',
          [attempt, rowId],
        ),
      );
      const [document] = rows;
      if (!document) return;
      const hash = document.content_hash.toString('hex');
      const call = {
        ...whoAsks(orgId, userId ?? ''),
        // The same for each attempt at this job, while the text is the same.
        idempotencyKey: `documents__embed:${jobOf(attempt)}:${hash}`,
        traceparent: traceparent ?? undefined,
        signal,
      };
      const embedded = await ai.embed({ texts: [document.content] }, call).catch((error) => {
        const pauseMs = keptOutMs(error);
        if (pauseMs !== undefined) throw new PostponedError(pauseMs, error);
        if (error instanceof RowhouseError && error.code === 'AI_REJECTED') return undefined;
        throw error;
      });
      if (!embedded) return log.warn('the AI service refuses to embed this document');
      await complete((client) =>
        client.query('select app_private.store_embedding($1, $2, $3, $4, $5)', [
          attempt,
          rowId,
          document.content_hash,
          embedded.model,
          embedded.embeddings[0],
        ]),
      );
    },
  });
}

/** An attempt is `(job,revision,number)`. */
function jobOf(attempt: string): string {
  return attempt.slice(1).split(',', 1)[0] ?? '';
}
