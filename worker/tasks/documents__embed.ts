import { z } from 'zod';
import type { Pseudonym } from '../../platform/logging.ts';
import type { AiService } from '../../services/ai/openAiService.ts';
import { whoAsks } from '../../services/ai/whoAsks.ts';
import { defineTask, type Task } from '../task.ts';

/**
 * Makes the task that has a document embedded, unless it is as it was when it last was. Without
 * an AI service, or where embeddings are not enabled, it does nothing.
 */
export function makeDocumentsEmbed(ai: AiService | undefined, pseudonym: Pseudonym): Task {
  return defineTask({
    payload: z.object({
      rowId: z.uuid(),
      orgId: z.string(),
      userId: z.string().nullish(),
      traceparent: z.string().nullish(),
    }),
    async run({ rowId, orgId, userId, traceparent }, { attempt, signal, withClient, complete }) {
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
      const { embeddings, model } = await ai.embed(
        { texts: [document.content] },
        {
          ...whoAsks(pseudonym, orgId, userId ?? ''),
          // The same for each attempt at this job, while the text is the same.
          idempotencyKey: `documents__embed:${jobOf(attempt)}:${hash}`,
          traceparent: traceparent ?? undefined,
          signal,
        },
      );
      await complete((client) =>
        client.query('select app_private.store_embedding($1, $2, $3, $4, $5)', [
          attempt,
          rowId,
          document.content_hash,
          model,
          embeddings[0],
        ]),
      );
    },
  });
}

/** An attempt is `(job,revision,number)`. */
function jobOf(attempt: string): string {
  return attempt.slice(1).split(',', 1)[0] ?? '';
}
