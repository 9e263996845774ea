/** Why a try came to nothing. All but the first four are failures of the service. */
export type Reason =
  /** Not the service: a mistake of ours. */
  | 'internal'
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
