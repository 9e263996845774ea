import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Claims } from '../../db/claims.ts';
import type { ErrorCode } from '../../platform/errors/registry.ts';

/** What is known of one request while it runs. */
export type RequestState = {
  /** The caller's `X-Request-Id` if it has the shape of one, else a new one. */
  readonly requestId: string;
  /** Of the trace it belongs to, by its header `traceparent`, or else of one that begins here. */
  readonly traceId: string;
  readonly startedMs: number;
  /** Aborted when the client leaves before its answer is written. */
  readonly leaving: AbortController;
  /** The route as declared, for logs and metrics. */
  route: string;
  claims: Claims | null;
  operationName: string | null;
  operationType: 'query' | 'mutation' | 'subscription' | null;
  /** Of the first error in the answer. */
  errorCode: ErrorCode | null;
  /** Whether nothing of the operation could be answered, for want of something the API needs. */
  isUnavailable: boolean;
  /** Whether a mutation of it may have been done, though nobody saw its end. */
  mayBeDone: boolean;
};

// On the request itself: in a WeakMap each state would outlive its request by several collections.
const stateKey = Symbol('rowhouse.request.state');
type WithState = IncomingMessage & { [stateKey]?: RequestState };

/** The state of a request; made when first asked for. */
export function stateOf(request: WithState): RequestState {
  const known = request[stateKey];
  if (known) return known;
  const state: RequestState = {
    requestId: givenId(request.headers['x-request-id']) ?? randomUUID(),
    traceId: traceIdOf(request.headers.traceparent),
    startedMs: performance.now(),
    leaving: new AbortController(),
    route: 'other',
    claims: null,
    operationName: null,
    operationType: null,
    errorCode: null,
    isUnavailable: false,
    mayBeDone: false,
  };
  request[stateKey] = state;
  return state;
}

/** Only what is safe to log, store and send back as it is. */
function givenId(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && /^[\w.:-]{1,128}$/.test(header) ? header : undefined;
}

/** W3C Trace Context: version, trace id, parent id, flags. An id of zeros is none. */
const traceparent =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;

function traceIdOf(header: string | string[] | undefined): string {
  const given = typeof header === 'string' && traceparent.exec(header)?.[1];
  return given || randomUUID().replaceAll('-', '');
}
