import type { z } from 'zod';
import { RowhouseError } from '../../platform/errors/registry.ts';
import type { Observe } from '../../platform/observer.ts';
import { isDown, makeTries, type Tries } from '../calls/makeTries.ts';
import { AiFailure, type Reason, reasonOf, asksAgainMs as usualAsksAgainMs } from './AiFailure.ts';
import { embeddingsAnswer, filtersAnswer, generateAnswer, type Operation } from './contract.ts';
import { makeGate } from './makeGate.ts';
import { makePost } from './makePost.ts';

/** Who a call is for, and how long it may take. Leaves the house as headers: no personal data. */
export type AiCall = {
  /** `X-Org-ID`: no user's id, as `whoAsks` sees to. */
  orgId: string;
  /** `X-User-ID`, a pseudonym. */
  userId: string;
  /** The same for every try of the same work. */
  idempotencyKey: string;
  traceparent?: string | undefined;
  signal?: AbortSignal | undefined;
  /** All tries together; by default what the service was opened with. */
  deadlineMs?: number | undefined;
};

/** A text, and what it took. */
export type Generated = z.output<typeof generateAnswer>;
/** A vector of length 1 for each text, in their order, and what they took. */
export type Embedded = z.output<typeof embeddingsAnswer>;
/** Whether a text is allowed, and else why. */
export type Filtered = z.output<typeof filtersAnswer>;

/**
 * The AI service. Calls throw RowhouseError: `AI_REJECTED` where it refuses the content,
 * `AI_TIMEOUT` where it did not answer in time, `AI_UNAVAILABLE` where it is down, out of order
 * or busy, in particular when it was not asked at all. A signal that aborts is thrown as it is,
 * and so is what is no fault of the service.
 */
export type AiService = {
  generate(input: { prompt: string; maxTokens: number }, call: AiCall): Promise<Generated>;
  embed(input: { texts: readonly string[] }, call: AiCall): Promise<Embedded>;
  /** Whether a prompt or a result is allowed. */
  filter(input: { text: string; kind: 'prompt' | 'result' }, call: AiCall): Promise<Filtered>;
  /** Whether a generation of this organization would be refused right now without being sent. */
  isBusy(orgId: string): boolean;
  /** For how long at least it would be, in ms; 0 where it would not, or nobody knows. */
  busyMs(orgId: string): number;
  close(): Promise<void>;
};

/** Where the service is, and the limits of calls in this process. */
export type AiServiceOptions = {
  url: string;
  /** For all tries together, where a call does not say so itself. */
  timeoutMs: number;
  tryTimeoutMs: number;
  maxCalls: number;
  maxCallsPerOrg: number;
  maxAnswerBytes: number;
  /** While it is down it is asked no more often than this. */
  asksAgainMs?: number;
  observe: Observe;
};

/** After so many failures in a row the service counts as down. */
const breaksAfter = 8;
/** An organization that was told 429 without a time waits this long. */
const usualPauseMs = 1_000;
/** A service of the house is near: one that takes longer to accept a connection hangs. */
const longestConnectMs = 5_000;

/** It says nothing about the calls of others. */
const isOfThisCall: ReadonlySet<Reason> = new Set([
  'internal',
  'crowded',
  'rejected',
  'limited',
  'inProgress',
]);
/** The same call would end the same: by its key it would get the same answer. */
const isFinal: ReadonlySet<Reason> = new Set([
  'internal',
  'rejected',
  'unexpected',
  'malformed',
  'oversized',
]);

/** Opens connections to the AI service as they are needed. */
export function openAiService(options: AiServiceOptions): AiService {
  const {
    url,
    timeoutMs,
    maxCalls,
    maxAnswerBytes,
    observe,
    asksAgainMs = usualAsksAgainMs,
  } = options;
  const tryTimeoutMs = Math.min(options.tryTimeoutMs, timeoutMs);
  const connectTimeoutMs = Math.min(longestConnectMs, tryTimeoutMs);
  const post = makePost({ url, maxConnections: maxCalls, maxAnswerBytes, connectTimeoutMs });
  const gate = makeGate({ maxCalls, maxCallsPerOrg: options.maxCallsPerOrg });
  const makeTriesAt = (operation: Operation) =>
    makeTries({
      timeoutMs: tryTimeoutMs,
      deadlineMs: timeoutMs,
      breaksAfter,
      asksAgainMs,
      isFailure: (error) => !isOfThisCall.has(reasonOf(error)),
      mayPass: (error) => !isFinal.has(reasonOf(error)),
      isOurs: (error) => reasonOf(error) === 'internal',
      askedPauseMs,
      onFailedTry: (error, isRetried) =>
        observe({ type: 'aiTryFailed', reason: reasonOf(error), isRetried }),
      onDown: (isDown) =>
        observe({ type: isDown ? 'aiBreakerOpened' : 'aiBreakerClosed', operation }),
    });
  // Each by itself: what one of them does well says nothing of another's failures in a row.
  const tries: Record<Operation, Tries> = {
    generate: makeTriesAt('generate'),
    embed: makeTriesAt('embed'),
    filter: makeTriesAt('filter'),
  };

  const isClosedToWork = () => tries.filter.isClosedToWork() || tries.generate.isClosedToWork();

  async function ask<Answer extends object>(
    operation: Operation,
    body: object,
    answer: z.ZodType<Answer>,
    call: AiCall,
  ): Promise<Answer> {
    const beganMs = performance.now();
    // Of the answer, what it took alone: never a text.
    const report = (outcome: string, used: Used = {}) => {
      const { provider, model, promptTokens, completionTokens } = used;
      const cost = { provider, model, promptTokens, completionTokens };
      const durationMs = performance.now() - beganMs;
      observe({ type: 'aiCallFinished', operation, outcome, durationMs, ...cost });
    };
    const leave = gate.enter(call.orgId);
    if (!leave) {
      report('notAsked');
      const pauseMs = gate.pausedMs(call.orgId);
      const cause = new AiFailure('crowded', { pauseMs });
      throw new RowhouseError('AI_UNAVAILABLE', { cause });
    }
    const headers = headersOf(call);
    const send = (signal: AbortSignal) =>
      post.send({ operation, body, headers, answer, signal }).catch((error: unknown) => {
        if (reasonOf(error) === 'limited') gate.pause(call.orgId, askedPauseMs(error) ?? 0);
        throw error;
      });
    try {
      const result = await tries[operation].run(send, call);
      report('ok', result as Used);
      return result;
    } catch (error) {
      if (call.signal?.aborted) {
        report('aborted');
        throw error;
      }
      const reason = isDown(error) ? 'notAsked' : reasonOf(error);
      report(reason);
      if (reason === 'internal') throw error;
      throw new RowhouseError(codeFor(reason), { cause: error });
    } finally {
      leave();
    }
  }

  return {
    generate: (input, call) => ask('generate', input, generateAnswer, call),
    async embed({ texts }, call) {
      const answer = await ask('embed', { texts }, embeddingsOf(texts.length), call);
      return { ...answer, embeddings: answer.embeddings.map(unitVector) };
    },
    filter: (input, call) => ask('filter', input, filtersAnswer, call),
    isBusy: (orgId) => gate.isShut(orgId) || isClosedToWork(),
    busyMs: (orgId) => Math.max(gate.pausedMs(orgId), isClosedToWork() ? asksAgainMs : 0),
    close: () => post.close(),
  };
}

/** How long the service wants to be left alone. */
function askedPauseMs(error: unknown): number | undefined {
  if (!(error instanceof AiFailure)) return undefined;
  return error.pauseMs ?? (error.reason === 'limited' ? usualPauseMs : undefined);
}

/** What an answer says of its cost. */
type Used = Partial<Pick<Generated, 'provider' | 'model' | 'promptTokens' | 'completionTokens'>>;

function headersOf({ orgId, userId, idempotencyKey, traceparent }: AiCall): Record<string, string> {
  return {
    'x-org-id': orgId,
    'x-user-id': userId,
    'idempotency-key': idempotencyKey,
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** A vector for each text, all of one length and none without direction. */
function embeddingsOf(count: number) {
  return embeddingsAnswer.refine(
    ({ embeddings }) =>
      embeddings.length === count &&
      embeddings.every(
        (vector) => vector.length === embeddings[0]?.length && vector.some((x) => x !== 0),
      ),
  );
}

/** As Postgres keeps it, where what is next to nothing would be out of range. */
function unitVector(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return vector.map((x) => (Math.abs(x / length) < 1e-30 ? 0 : Math.fround(x / length)));
}

function codeFor(
  reason: Exclude<Reason, 'internal'> | 'notAsked',
): 'AI_REJECTED' | 'AI_TIMEOUT' | 'AI_UNAVAILABLE' {
  if (reason === 'rejected') return 'AI_REJECTED';
  return reason === 'timeout' ? 'AI_TIMEOUT' : 'AI_UNAVAILABLE';
}
