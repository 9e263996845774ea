import { isSafeError } from 'postgraphile/grafast';
import { GraphQLError } from 'postgraphile/graphql';
import {
  codeForSqlState,
  type ErrorCode,
  errorCodes,
  notAllowed,
  RowhouseError,
} from '../platform/errors/registry.ts';

/** What is told of an error: nothing of it comes from inside but what was written to be told. */
export type ToldError = {
  code: ErrorCode;
  message: string;
  field?: string | undefined;
  /** Of a mutation of which nobody knows whether it was done. */
  mayBeDone?: boolean;
};

/**
 * Gives an error of an operation its code and request id, and masks what nobody
 * foresaw. The path stays, so that the client knows which field is null.
 */
export function codedError(error: GraphQLError, requestId: string): GraphQLError {
  const { code, message, field, mayBeDone } = told(error);
  return new GraphQLError(message, {
    nodes: error.nodes,
    source: error.source,
    positions: error.positions,
    path: error.path,
    originalError: error.originalError,
    extensions: {
      code,
      requestId,
      ...(field !== undefined && { field }),
      ...(mayBeDone && { mayBeDone }),
    },
  });
}

/** What may be said of an error of an operation, by its kind and never by its text. */
export function told(error: GraphQLError): ToldError {
  const cause = error.originalError;
  // Graphile's word for errors that are meant for the caller: bad cursors, empty patches.
  if (cause && isSafeError(cause)) return { code: 'BAD_USER_INPUT', message: cause.message };
  // Without a path nothing ran: the document or its variables (whose error wraps another) are at fault.
  if (error.path === undefined && (!cause || cause instanceof GraphQLError)) {
    return { code: 'BAD_USER_INPUT', message: error.message };
  }
  return toldByKind(cause);
}

/** What may be said of an error of our own, of Postgres or of the network; else INTERNAL. */
export function toldByKind(error: unknown): ToldError {
  if (error instanceof RowhouseError) {
    const { code, message, field, mayBeDone } = error;
    return { code, message, field, ...(mayBeDone && { mayBeDone }) };
  }
  if (isPostgresError(error)) return toldByPostgres(error);
  return standard(isConnectionError(error) ? 'UNAVAILABLE' : 'INTERNAL');
}

/** The parts of a node-postgres DatabaseError that are read here. */
type PostgresError = Error & {
  code: string;
  severity: string;
  hint?: string;
  table?: string;
  column?: string;
  constraint?: string;
};

function isPostgresError(error: unknown): error is PostgresError {
  return error instanceof Error && 'severity' in error && 'code' in error;
}

const connectionErrors = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND']);

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && connectionErrors.has(String(error.code));
}

function toldByPostgres(error: PostgresError): ToldError {
  const code = codeForSqlState(error.code) ?? 'INTERNAL';
  // Our own SQL raises RW… with a message for the client and the field as hint.
  if (error.code.startsWith('RW')) return { code, message: error.message, field: error.hint };
  if (code !== 'BAD_USER_INPUT') return standard(code);
  const field = fieldOf(error);
  return field ? toldByKind(notAllowed(field, error)) : standard(code);
}

/** The input field behind a column, or behind a constraint named `<table>_<column>_check`. */
function fieldOf({ table, column, constraint }: PostgresError): string | undefined {
  const name =
    column ?? (table && constraint?.match(new RegExp(`^${table}_(\\w+)_(?:check|fkey)$`))?.[1]);
  return name?.replace(/_id$/, '').replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function standard(code: ErrorCode): ToldError {
  return { code, message: errorCodes[code].message };
}
