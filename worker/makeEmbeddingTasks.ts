import type { Config } from '../platform/config/settings.ts';
import type { AiService } from '../services/ai/openAiService.ts';
import { makeWhoAsks } from '../services/ai/whoAsks.ts';
import type { Tasks } from './task.ts';
import { makeDocumentsEmbed } from './tasks/documents__embed.ts';
import { documents__embed_missing } from './tasks/documents__embed_missing.ts';

/** The tasks about embeddings, under the names jobs call them by. Not enabled, they do nothing. */
export function makeEmbeddingTasks(
  { aiEmbeddings, logPseudonymKey }: Pick<Config, 'aiEmbeddings' | 'logPseudonymKey'>,
  ai: AiService | undefined,
): Tasks {
  const whoAsks = makeWhoAsks(logPseudonymKey);
  return {
    documents__embed: makeDocumentsEmbed(aiEmbeddings ? ai : undefined, whoAsks),
    documents__embed_missing,
  };
}
