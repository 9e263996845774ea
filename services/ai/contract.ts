import { z } from 'zod';

/**
 * What the AI service answers, and what of that is believed: docs/ai-service.openapi.yaml as
 * schemas. Fields that are not in the contract are ignored.
 */

/** Tokens of one call. No model counts as many; a column of Postgres holds as many. */
const tokenCount = z.int().min(0).max(10_000_000);

/** Postgres has no place for NUL in a text. */
const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .regex(/^[^\0]*$/);

const model = z.string().regex(/^[\w.:/@+-]{1,200}$/);

/** Of `POST /v1/generate`. */
export const generateAnswer = z.object({
  text: text(1_000_000),
  latencyMs: z.int().min(0).max(3_600_000),
  provider: z.string().regex(/^[\w.:-]{1,100}$/),
  model,
  promptTokens: tokenCount,
  completionTokens: tokenCount,
});

/** Of `POST /v1/embeddings`: one vector a text, in the order of the texts. */
export const embeddingsAnswer = z.object({
  embeddings: z.array(z.array(z.number().min(-1e6).max(1e6)).min(1).max(4_096)).max(128),
  model,
  promptTokens: tokenCount,
});

/** Of `POST /v1/filters`. */
export const filtersAnswer = z.object({
  isAllowed: z.boolean(),
  categories: z.array(z.string().regex(/^[\w-]{1,50}$/)).max(50),
});

/** Of every refusal. */
export const errorAnswer = z.object({
  error: z.object({
    code: z.enum([
      'CONTENT_REJECTED',
      'PROMPT_TOO_LONG',
      'INVALID_REQUEST',
      'IDEMPOTENCY_CONFLICT',
      'IN_PROGRESS',
      'RATE_LIMITED',
      'OVERLOADED',
      'INTERNAL',
    ]),
    message: z.string().max(1_000),
  }),
});

/** The paths of the contract. */
export const paths = {
  generate: '/v1/generate',
  embed: '/v1/embeddings',
  filter: '/v1/filters',
} as const;

/** What can be asked of the service. */
export type Operation = keyof typeof paths;
