import type { IncomingMessage } from 'node:http';
import 'postgraphile/grafserv/node';
import type { GrafastExecutionArgs } from 'postgraphile/grafast';
import type { ExecutionResult, GraphQLError } from 'postgraphile/graphql';
import { type ErrorCode, errorCodes } from '../platform/errors/registry.ts';
import type { Observe } from '../platform/observer.ts';
import { codedError } from './graphqlErrors.ts';
import { stateOf } from './http/requestState.ts';
import { retryAfterSeconds } from './http/sendError.ts';
import { onErrors } from './onErrors.ts';

/**
 * Gives every error of a GraphQL request its code and request id, and masks what
 * nobody foresaw.
 */
export function makeOperationsPlugin(observe: Observe): GraphileConfig.Plugin {
  return {
    name: 'OperationsPlugin',
    version: '1.0.0',

    grafserv: {
      middleware: {
        setPreset: onErrors((result, args) => tellErrors(result, requestOf(args), observe)),

        // What never ran (no JSON, no valid document, too large a body) has errors without codes.
        async processRequest(next, { requestDigest }) {
          const result = await next();
          const request = requestDigest.requestContext.node?.req;
          if (!request || result?.type !== 'buffer') return result;
          const { operationType, isUnavailable, mayBeDone } = stateOf(request);
          if (isUnavailable) return unavailable(result, mayBeDone);
          if (operationType) return result;
          if (!String(result.headers['content-type']).includes('json')) return result;
          return codedAnswer(result, request);
        },
      },
    },
  };
}

function requestOf(args: GrafastExecutionArgs): IncomingMessage | undefined {
  return args.requestContext?.node?.req;
}

/** Gives the errors of an operation their codes, and masks what nobody foresaw. */
export function tellErrors(
  result: ExecutionResult,
  request: IncomingMessage | undefined,
  observe: Observe,
): void {
  const requestId = request ? stateOf(request).requestId : 'none';
  const isMutation = request !== undefined && stateOf(request).operationType === 'mutation';
  const coded = (result.errors ?? []).map((error) => {
    const known = codedError(error, requestId);
    // Of what was done something could not be read.
    if (isMutation && isBelowPayload(known)) known.extensions.mayBeDone = true;
    if (isWorthAttention(known)) {
      observe({ type: 'errorMasked', requestId, error: error.originalError ?? error });
    }
    return known;
  });
  (result as { errors?: readonly GraphQLError[] }).errors = coded;
  if (!request) return;
  const state = stateOf(request);
  state.errorCode = coded[0]?.extensions.code as ErrorCode;
  state.isUnavailable = isUnavailable(result, coded);
  state.mayBeDone = coded.some(({ extensions }) => extensions.mayBeDone === true);
}

const isBelowPayload = ({ path = [], extensions }: GraphQLError) =>
  path.length > 1 && (extensions.code === 'UNAVAILABLE' || extensions.code === 'TIMEOUT');

/** Whether there is no answer at all, because something that the API needs is away. */
function isUnavailable({ data }: ExecutionResult, errors: readonly GraphQLError[]): boolean {
  if (errors.some(({ extensions }) => extensions.code !== 'UNAVAILABLE')) return false;
  // Text already, where it is to travel.
  const fields: unknown = typeof data === 'string' ? JSON.parse(data) : data;
  return Object.values(fields ?? {}).every((field) => field === null);
}

const isWorthAttention = ({ extensions }: GraphQLError) =>
  extensions.code === 'INTERNAL' || extensions.code === 'UNAVAILABLE';

type BufferAnswer = { statusCode: number; headers: Record<string, unknown>; buffer: Buffer };

function unavailable<T extends BufferAnswer>(answer: T, mayBeDone: boolean): T {
  // What may have been done is not to be asked for again unseen.
  const retry = mayBeDone ? {} : { 'retry-after': retryAfterSeconds };
  const headers = { ...answer.headers, ...retry };
  return { ...answer, statusCode: 503, headers };
}

function codedAnswer<T extends BufferAnswer>(answer: T, request: IncomingMessage): T {
  const body: { errors?: { message: string; extensions?: object }[] } = JSON.parse(
    answer.buffer.toString('utf8'),
  );
  if (!body.errors) return answer;
  const state = stateOf(request);
  const code = codeOfStatus(answer.statusCode);
  state.errorCode = code;
  for (const error of body.errors) {
    if (code === 'INTERNAL' || code === 'UNAVAILABLE') error.message = errorCodes[code].message;
    error.extensions = { code, requestId: state.requestId };
  }
  const buffer = Buffer.from(JSON.stringify(body), 'utf8');
  const headers = { ...answer.headers, 'content-length': String(buffer.length) };
  return { ...answer, headers, buffer };
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 413) return 'PAYLOAD_TOO_LARGE';
  if (status === 503) return 'UNAVAILABLE';
  return status >= 500 ? 'INTERNAL' : 'BAD_USER_INPUT';
}
