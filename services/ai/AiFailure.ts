import { isDown } from '../calls/makeTries.ts';

/** Nobody is kept out for longer, whatever the service asks for. */
export const longestPauseMs = 60_000;
/** While the service is down it is asked no more often than this. */
export const asksAgainMs = 5_000;

/** Why a try came to nothing. All but the first five are failures of the service. */
export type Reason =
  /** Not the service: a mistake of ours. */
  | 'internal'
  /** Not asked: the organization has as many calls open as it may, or was told to wait. */
  | 'crowded'
  /** It will not take this content, however often it is asked. */
  | 'rejected'
  /** 429: not from this organization, for now. */
  | 'limited'
  /** The first call with this key still runs. */
  | 'inProgress'
  /** 503. */
  | 'overloaded'
  /** Another 5xx. */
  | 'failed'
  /** A status or a refusal that is not in the contract. */
  | 'unexpected'
  /** An answer that is not in the contract. */
  | 'malformed'
  /** An answer over the limit. */
  | 'oversized'
  /** There was no connection, or it broke. */
  | 'unreachable'
  /** It did not answer in time. */
  | 'timeout';

/** Details for the log. */
type AiFailureOptions = {
  status?: number;
  /** How long the service asked to be left alone. */
  pauseMs?: number | undefined;
  cause?: unknown;
};

/** Why it came to nothing, in a word for logs and metrics. */
export function reasonOf(error: unknown): Reason {
  if (error instanceof AiFailure) return error.reason;
  const isTimeout = error instanceof DOMException && error.name === 'TimeoutError';
  return isTimeout ? 'timeout' : 'internal';
}

/**
 * For how long nobody is to ask for the organization, in ms and at least, where that is why a call
 * came to nothing or what it was told; undefined where it was another reason.
 */
export function keptOutMs(error: unknown): number | undefined {
  const cause = error instanceof Error ? error.cause : undefined;
  if (isDown(cause)) return asksAgainMs;
  if (!(cause instanceof AiFailure)) return undefined;
  const isKeptOut = cause.reason === 'crowded' || cause.reason === 'limited';
  const pauseMs = cause.pauseMs ?? (isKeptOut ? 0 : undefined);
  return pauseMs === undefined ? undefined : Math.min(pauseMs, longestPauseMs);
}

/** A try at the AI service that came to nothing. */
export class AiFailure extends Error {
  override readonly name = 'AiFailure';
  readonly reason: Reason;
  readonly status: number | undefined;
  readonly pauseMs: number | undefined;

  constructor(reason: Reason, { status, pauseMs, cause }: AiFailureOptions = {}) {
    super(`The AI service: ${reason}${status === undefined ? '' : ` (${status})`}.`, { cause });
    this.reason = reason;
    this.status = status;
    this.pauseMs = pauseMs;
  }
}
