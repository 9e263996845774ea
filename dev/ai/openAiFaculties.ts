import { z } from 'zod';
import { type Faculties, ModelError } from './faculties.ts';
import { localFaculties } from './localFaculties.ts';

/** A server that speaks OpenAI's API, such as Ollama. */
export type OpenAiServer = {
  /** The base of its paths, such as `http://localhost:11434/v1`. */
  url: string;
  model: string;
  /** Without it vectors are those of the local stand-in. */
  embeddingModel?: string | undefined;
  key?: string | undefined;
};

/** No answer of a model on this machine takes longer. */
const timeoutMs = 300_000;

const usage = z.object({
  prompt_tokens: z.int().default(0),
  completion_tokens: z.int().default(0),
});
const completion = z.object({
  model: z.string(),
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
  usage: usage.optional(),
});
const vectors = z.object({
  model: z.string(),
  data: z.array(z.object({ index: z.int(), embedding: z.array(z.number()) })),
  usage: usage.optional(),
});

/** What a server that speaks OpenAI's API can do. */
export function openAiFaculties({ url, model, embeddingModel, key }: OpenAiServer): Faculties {
  async function ask<Answer>(path: string, body: object, answer: z.ZodType<Answer>) {
    const response = await fetch(`${url.replace(/\/+$/, '')}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((cause: unknown) => {
      throw new ModelError(503, undefined, cause);
    });
    if (!response.ok) {
      await response.body?.cancel();
      const { status } = response;
      const retryAfter = response.headers.get('retry-after') ?? undefined;
      // What it will not take, such as a prompt that is too long, it will never take.
      const isRefused = status === 400 || status === 413 || status === 422;
      const told = isRefused ? 422 : status === 429 ? 429 : 503;
      throw new ModelError(told, retryAfter, new Error(String(status)));
    }
    return answer.parse(await response.json());
  }

  return {
    async generate(prompt, maxTokens) {
      const messages = [{ role: 'user', content: prompt }];
      const body = { model, messages, max_tokens: maxTokens };
      const answer = await ask('/chat/completions', body, completion);
      return {
        text: answer.choices[0]?.message.content ?? '',
        provider: 'openai-compatible',
        model: answer.model,
        promptTokens: answer.usage?.prompt_tokens ?? 0,
        completionTokens: answer.usage?.completion_tokens ?? 0,
      };
    },
    async embed(texts) {
      if (embeddingModel === undefined) return localFaculties.embed(texts);
      const answer = await ask('/embeddings', { model: embeddingModel, input: texts }, vectors);
      const inOrder = answer.data.toSorted((a, b) => a.index - b.index);
      return {
        embeddings: inOrder.map(({ embedding }) => embedding),
        model: answer.model,
        promptTokens: answer.usage?.prompt_tokens ?? 0,
      };
    },
  };
}
