import { Agent, type Dispatcher, errors } from 'undici';
import type { z } from 'zod';
import { AiFailure, type Reason } from './AiFailure.ts';
import { errorAnswer, type Operation, paths } from './contract.ts';

/** Sends one request to the AI service, and believes of the answer what fits the schema. */
export type Post = {
  /** @throws AiFailure; the reason of the signal; or what is no fault of the service, as it is. */
  send<Answer>(request: {
    operation: Operation;
    body: object;
    headers: Record<string, string>;
    answer: z.ZodType<Answer>;
    signal: AbortSignal;
  }): Promise<Answer>;
  close(): Promise<void>;
};

/** The longest body of a refusal that is of interest. */
const longestRefusal = 10_000;

/** Opens connections to the service: at most so many, none kept for longer than a few seconds. */
export function makePost(options: {
  url: string;
  maxConnections: number;
  maxAnswerBytes: number;
  /** For a connection, after which all that wait for it have failed. */
  connectTimeoutMs: number;
}): Post {
  const base = options.url.replace(/\/+$/, '');
  const agent = new Agent({
    connections: options.maxConnections,
    // While it is read, so that nothing beyond is ever in memory.
    maxResponseSize: options.maxAnswerBytes,
    // Signals bound these, to the millisecond. They do not bound a connection that is being made.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: options.connectTimeoutMs },
  });

  return {
    async send({ operation, body, headers, answer, signal }) {
      try {
        const response = await agent.request({
          ...place(base, operation),
          method: 'POST',
          headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
          body: JSON.stringify(body),
          signal,
        });
        if (response.statusCode === 200) return believed(await response.body.text(), answer);
        throw await refusal(response);
      } catch (error) {
        if (error instanceof AiFailure) throw error;
        signal.throwIfAborted();
        if (error instanceof errors.ResponseExceededMaxSizeError) {
          throw new AiFailure('oversized', { cause: error });
        }
        if (isMistake(error)) throw error;
        throw new AiFailure('unreachable', { cause: error });
      }
    },
    close: () => agent.destroy(),
  };
}

/** Whether it came of us: what connections throw has a code, and is neither of a wrong type nor out of range. */
function isMistake(error: unknown): boolean {
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code !== 'string' || code === 'UND_ERR_INVALID_ARG') return true;
  return name === 'TypeError' || name === 'RangeError';
}

function place(base: string, operation: Operation): { origin: string; path: string } {
  const { origin, pathname } = new URL(`${base}${paths[operation]}`);
  return { origin, path: pathname };
}

function believed<Answer>(text: string, answer: z.ZodType<Answer>): Answer {
  const parsed = answer.safeParse(readJson(text));
  if (parsed.success) return parsed.data;
  // Of zod's issues, which may quote the answer, the places alone.
  const places = parsed.error.issues.map(({ path, code }) => `${path.join('.')}: ${code}`);
  throw new AiFailure('malformed', {
    status: 200,
    cause: new Error(places.slice(0, 5).join(', ')),
  });
}

/** What a status other than 200 means. A no to the content has to say so in the contract's words. */
async function refusal({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<AiFailure> {
  const told = { status: statusCode, pauseMs: readPauseMs(headers['retry-after']) };
  if (statusCode === 429 || statusCode >= 500) {
    // The status says it all: a body that takes its time is not waited for.
    body.dump({ limit: longestRefusal }).catch(() => {});
    if (statusCode === 429) return new AiFailure('limited', told);
    return new AiFailure(statusCode === 503 ? 'overloaded' : 'failed', told);
  }
  const parsed = errorAnswer.safeParse(readJson(await body.text()));
  if (!parsed.success || statusCode < 400) return new AiFailure('unexpected', told);
  const { code } = parsed.data.error;
  return new AiFailure(reasons[code] ?? 'unexpected', { ...told, cause: new Error(code) });
}

/** Of refusals by their code. What passes comes with another status: whoever says it with this one is not believed. */
const reasons: Partial<Record<z.output<typeof errorAnswer>['error']['code'], Reason>> = {
  CONTENT_REJECTED: 'rejected',
  PROMPT_TOO_LONG: 'rejected',
  IN_PROGRESS: 'inProgress',
  INVALID_REQUEST: 'internal',
  IDEMPOTENCY_CONFLICT: 'internal',
};

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `Retry-After`, in seconds or as a date. */
function readPauseMs(header: string | string[] | undefined): number | undefined {
  if (typeof header !== 'string') return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
