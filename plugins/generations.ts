import { setTimeout as sleep } from 'node:timers/promises';
import {
  codeForSqlState,
  type ErrorCode,
  errorCodes,
  isRetryableSqlState,
  RowhouseError,
} from '../platform/errors/registry.ts';
import type { Pseudonym } from '../platform/logging.ts';
import type { Observe } from '../platform/observer.ts';
import { AiFailure, keptOutMs } from '../services/ai/AiFailure.ts';
import type { AiService } from '../services/ai/openAiService.ts';
import {
  type Outcome,
  type ProduceText,
  roomBeside,
  type Unfinished,
  type Work,
} from '../services/ai/produceText.ts';
import type { WhoAsks } from '../services/ai/whoAsks.ts';
import './context.ts';

/** What the API knows of generations. */
export type Generations = {
  /**
   * Accepts a generation, and answers its id once it has ended, was handed off, or is late. What
   * fails after it was accepted is the job's, and no error.
   */
  generate(asked: Asked, caller: Caller): Promise<string>;
  /** Accepts a generation, and answers its id: a job does it. */
  start(asked: Asked, caller: Caller): Promise<string>;
  /** @throws RowhouseError `NOT_FOUND` where the caller may cancel none such. */
  cancel(id: string, caller: Caller): Promise<void>;
  /** Waits for what still runs. */
  close(): Promise<void>;
};

/** What is asked for. */
export type Asked = {
  prompt: string;
  maxTokens?: number | null | undefined;
  /** The document whose text goes along. */
  documentId: string | null;
  idempotencyKey?: string | null | undefined;
};

/** Who asks. */
export type Caller = {
  /** The same for all that one request asks for. */
  request: object;
  orgId: string;
  userId: string;
  /** Of the trace of the request; '' for none. */
  traceId: string;
  /** One statement in the caller's scope, a transaction of its own, also when the caller is gone. */
  query<Row>(text: string, values: readonly unknown[]): Promise<readonly Row[]>;
};

/** What generations are made with. */
export type GenerationsOptions = {
  ai: Pick<AiService, 'isBusy' | 'busyMs'>;
  produce: ProduceText;
  /** For the answer to a request, all that it asks for together. */
  timeoutMs: number;
  /** With the text of the document. */
  maxPromptTokens: number;
  /** As `app_hidden.create_generation` reads them, but for when a job takes over. */
  limits: {
    maxTokens: number;
    promptMicros: number;
    completionMicros: number;
    budgetMicros: number;
    cacheTtlSeconds: number;
  };
  /** For the log. */
  pseudonym: Pseudonym;
  /** For the service. */
  whoAsks: WhoAsks;
  observe: Observe;
};

/** Where a request does not say. */
const usualMaxTokens = 1_024;
/** About so many bytes are one token. */
const bytesPerToken = 4;
/** With less time left there is no use in asking. */
const leastMs = 100;
/** For how long the end of a generation is written again while the database is away. */
const finishWithinMs = 5_000;
/** From the deadline of a request until a job takes over: it may write its end until then, and no later. */
const marginMs = finishWithinMs + 5_000;

type Created = { id: string; is_new: boolean; status: string; attempt: number };

/** Makes what the API does with generations. No connection to Postgres is held while the service is asked. */
export function makeGenerations(options: GenerationsOptions): Generations {
  const { ai, produce, timeoutMs, limits, pseudonym, whoAsks, observe } = options;
  const maxBytes = options.maxPromptTokens * bytesPerToken;
  const settings = JSON.stringify({ ...limits, takeOverAfterMs: timeoutMs + marginMs });
  /** Those that run in this process, by their id. */
  const running = new Map<string, Promise<void>>();
  /** When requests have to be answered, by the clock of `performance`. */
  const ends = new WeakMap<object, number>();

  async function create(asked: Asked, isNow: boolean, caller: Caller): Promise<Created & Work> {
    const { documentId, idempotencyKey = null } = asked;
    // As Postgres keeps it, where half a character is none: under one key goes one prompt.
    const prompt = asked.prompt.toWellFormed();
    const maxTokens = asked.maxTokens ?? Math.min(usualMaxTokens, limits.maxTokens);
    const room = roomBeside(prompt, maxBytes, documentId !== null);
    if (room < 0) {
      const message = `A prompt has at most ${maxBytes} bytes.`;
      throw new RowhouseError('BAD_USER_INPUT', { field: 'prompt', message });
    }
    const documentText = documentId === null ? null : await textOf(documentId, room, caller);
    const values = [prompt, maxTokens, documentId, documentText, idempotencyKey, isNow, settings];
    try {
      const [created] = await caller.query<Created>(createSql, values);
      if (!created) throw new Error('No generation was created.');
      const by = isNow && created.status === 'RUNNING' ? 'request' : 'job';
      if (created.is_new && created.status !== 'SUCCEEDED') {
        observe({ type: 'generationAccepted', by, orgHash: pseudonym(caller.orgId) });
      }
      return { ...created, prompt, documentText, maxTokens };
    } catch (error) {
      if ((error as { code?: unknown }).code === overBudget) {
        observe({ type: 'generationOverBudget', orgHash: pseudonym(caller.orgId) });
      }
      throw error;
    }
  }

  async function run(work: Created & Work, endsAtMs: number, caller: Caller): Promise<void> {
    const startedMs = performance.now();
    const orgHash = pseudonym(caller.orgId);
    const outcome = await produceUntil(work, endsAtMs, caller);
    if (outcome.status === 'UNFINISHED') {
      const { error, used = {} } = outcome;
      tellHandedOff(error, caller);
      const pauseMs = Math.ceil(keptOutMs(error) ?? 0);
      const values = [work.id, work.attempt, JSON.stringify(used), pauseMs];
      await whileAway(() => caller.query(handOffSql, values));
      return;
    }
    const values = [work.id, work.attempt, JSON.stringify(outcome)];
    const [row] = await whileAway(() => caller.query<{ has_ended: boolean }>(finishSql, values));
    observe({
      type: 'generationFinished',
      by: 'request',
      outcome: row?.has_ended ? outcome.status : 'DROPPED',
      errorCode: outcome.errorCode ?? null,
      durationMs: performance.now() - startedMs,
      costMicros: outcome.used?.costMicros ?? 0,
      orgHash,
    });
  }

  /** Whatever it was, the job may do better, and says what it was where it does not. */
  function tellHandedOff(error: unknown, { orgId }: Caller): void {
    const known = error instanceof RowhouseError;
    observe({
      type: 'generationHandedOff',
      reason: known ? error.code : 'INTERNAL',
      ...(!known && { error }),
      orgHash: pseudonym(orgId),
    });
  }

  /** Unfinished without asking, where that would be of no use. */
  async function produceUntil(
    work: Work,
    endsAtMs: number,
    { orgId, userId, traceId }: Caller,
  ): Promise<Outcome | Unfinished> {
    const caller = whoAsks(orgId, userId);
    const unfinished = (code: ErrorCode, cause?: unknown): Unfinished => ({
      status: 'UNFINISHED',
      error: new RowhouseError(code, { cause }),
    });
    if (ai.isBusy(caller.orgId)) {
      const pauseMs = ai.busyMs(caller.orgId);
      return unfinished('AI_UNAVAILABLE', new AiFailure('crowded', { pauseMs }));
    }
    const deadlineMs = endsAtMs - performance.now();
    if (deadlineMs < leastMs) return unfinished('AI_TIMEOUT');
    return produce(work, { ...caller, traceparent: traceparentOf(traceId), deadlineMs });
  }

  /** Waits for a generation that another request has begun. */
  async function untilEnded(id: string, endsAtMs: number, { query }: Caller): Promise<void> {
    const leftMs = () => Math.max(0, endsAtMs - performance.now());
    const here = running.get(id);
    if (here) {
      const late = new AbortController();
      const isLate = sleep(leftMs(), undefined, { signal: late.signal }).catch(() => {});
      await Promise.race([here.catch(() => {}), isLate]);
      return late.abort();
    }
    for (let pauseMs = 50; leftMs() > 0; pauseMs = Math.min(500, pauseMs * 1.5)) {
      await sleep(Math.min(pauseMs, leftMs()));
      const [row] = await query<{ status: string }>(statusSql, [id]);
      if (row?.status !== 'RUNNING') return;
    }
  }

  return {
    async generate(asked, caller) {
      const endsAtMs = ends.get(caller.request) ?? performance.now() + timeoutMs;
      ends.set(caller.request, endsAtMs);
      const created = await create(asked, true, caller);
      const { id, is_new: isNew, status } = created;
      if (status !== 'RUNNING') return id;
      if (!isNew) {
        // Whatever keeps it from being seen, it was accepted.
        await untilEnded(id, endsAtMs, caller).catch(() => {});
        return id;
      }
      const work = run(created, endsAtMs, caller)
        // Its end could not be written. It was accepted all the same, and its job will see to it.
        .catch((error) => tellHandedOff(error, caller))
        .finally(() => running.delete(id));
      running.set(id, work);
      await work;
      return id;
    },
    async start(asked, caller) {
      const { id } = await create(asked, false, caller);
      return id;
    },
    async cancel(id, { query, orgId }) {
      const [row] = await query<{ is_done: boolean | null }>(cancelSql, [id]);
      if (!row?.is_done) throw new RowhouseError('NOT_FOUND');
      observe({ type: 'generationCanceled', orgHash: pseudonym(orgId) });
    },
    async close() {
      await Promise.allSettled(running.values());
    },
  };
}

/** Title and text of a document as the caller may read it, cut to so many bytes; null for none. */
async function textOf(id: string, maxBytes: number, { query }: Caller): Promise<string | null> {
  const [document] = await query<{ title: string; body: string }>(documentSql, [id]);
  if (!document) return null;
  const bytes = Buffer.from(`${document.title}\n\n${document.body}`);
  if (bytes.length <= maxBytes) return bytes.toString();
  // The last character is not cut in two: its other bytes begin with the bits 10.
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end).toString();
}

/** A new span of the request's trace. */
function traceparentOf(traceId: string): string | undefined {
  if (traceId === '') return undefined;
  const spanId = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex');
  return `00-${traceId}-${spanId}-01`;
}

/** Writes how a generation goes on, again while the database is away: what is too late changes nothing. */
async function whileAway<Result>(work: () => Promise<Result>): Promise<Result> {
  const endsAtMs = performance.now() + finishWithinMs;
  for (let pauseMs = 50; ; pauseMs *= 2) {
    try {
      return await work();
    } catch (error) {
      if (!mayPass(error) || performance.now() + pauseMs > endsAtMs) throw error;
      await sleep(pauseMs);
    }
  }
}

/** Whether the database was away or busy. */
function mayPass(error: unknown): boolean {
  if (error instanceof RowhouseError) return errorCodes[error.code].isRetryable;
  const state = String((error as { code?: unknown }).code);
  return isRetryableSqlState(state) || errorCodes[codeForSqlState(state) ?? 'INTERNAL'].isRetryable;
}

/** @throws RowhouseError `AI_UNAVAILABLE` where no AI service is configured. */
export function required(generations: Generations | undefined): Generations {
  if (!generations) throw new RowhouseError('AI_UNAVAILABLE');
  return generations;
}

/** How SQL says so. */
const overBudget = 'RW402';
const createSql = 'select * from app_hidden.create_generation($1, $2, $3, $4, $5, $6, $7)';
const finishSql = 'select app_hidden.finish_generation($1, $2, $3) as has_ended';
const handOffSql = 'select app_hidden.hand_off_generation($1, $2, $3, $4)';
const cancelSql = 'select app_hidden.cancel_generation($1) as is_done';
const statusSql = 'select status from app_public.generations where id = $1';
const documentSql = 'select title, body from app_public.documents where id = $1';
