/** What is fixed about an error code. */
export type ErrorDefinition = {
  /** HTTP status where the whole request fails with it. */
  status: number;
  /** What the client reads. Says nothing about the inside. */
  message: string;
  /** What it means, for docs/errors.md. */
  meaning: string;
  /** What a client should do about it. */
  remedy: string;
  /** Whether the same request may succeed later, unchanged. */
  isRetryable: boolean;
};

/**
 * The one list of what can go wrong, as `extensions.code` tells it. A code that
 * is retired is never used again for something else.
 */
export const errorCodes = {
  UNAUTHENTICATED: {
    status: 401,
    message: 'You are not signed in.',
    meaning: 'There is no token, or it is not valid. The answer is the same for every cause.',
    remedy: 'Get a new token from Clerk and try once more; then ask the user to sign in.',
    isRetryable: false,
  },
  FORBIDDEN: {
    status: 403,
    message: 'You may not do this.',
    meaning: 'You are known, and what you ask is not yours to do.',
    remedy: 'Do not offer the action; ask an administrator of the organization for the permission.',
    isRetryable: false,
  },
  NOT_FOUND: {
    status: 404,
    message: 'There is no such thing.',
    meaning:
      'The thing does not exist, or belongs to someone else: the answer is the same for both.',
    remedy: 'Drop the id from your store.',
    isRetryable: false,
  },
  BAD_USER_INPUT: {
    status: 400,
    message: 'The input is not valid.',
    meaning: 'An argument has a value that is not allowed; `extensions.field` names it if known.',
    remedy: 'Show the message at the field, and let the user correct it.',
    isRetryable: false,
  },
  BAD_SIGNATURE: {
    status: 400,
    message: 'The signature is not valid.',
    meaning:
      'Of a webhook: it is not signed with the secret of this endpoint, or over other bytes, or more than five minutes ago.',
    remedy: 'Compare the signing secret and the clocks; the sender may then send it again.',
    isRetryable: false,
  },
  CONFLICT: {
    status: 409,
    message: 'This conflicts with what is already there.',
    meaning: 'Something with this key exists already, or another change came first.',
    remedy: 'Fetch the present state, decide again, and send a new request.',
    isRetryable: false,
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    message: 'The request is too large.',
    meaning: 'The body of the request is over the limit.',
    remedy: 'Send less at once. Files go to the object store, not through the API.',
    isRetryable: false,
  },
  UPLOAD_TOO_LARGE: {
    status: 413,
    message: 'The file is too large.',
    meaning: 'The declared size is over what your organization may upload in one file.',
    remedy: 'Tell the user the limit; offer to split or to compress.',
    isRetryable: false,
  },
  UPLOAD_TYPE_NOT_ALLOWED: {
    status: 415,
    message: 'Files of this type are not allowed.',
    meaning: 'The declared media type is not on the list of your organization.',
    remedy: 'Offer only files of allowed types.',
    isRetryable: false,
  },
  UPLOAD_QUOTA_EXCEEDED: {
    status: 507,
    message: 'Your organization has no room left for this file.',
    meaning: 'With this file the organization would have more bytes or files than its quota.',
    remedy:
      'Delete files, wait for uploads that were given up to expire, or ask for a larger quota.',
    isRetryable: false,
  },
  UPLOAD_MISSING: {
    status: 409,
    message: 'The bytes of the file have not arrived.',
    meaning: 'In `File.error`: it was finalized, and the store has no object for it.',
    remedy: 'Declare it again and upload it; finalize after the store has answered.',
    isRetryable: false,
  },
  UPLOAD_SIZE_MISMATCH: {
    status: 409,
    message: 'The file has another size than declared.',
    meaning: 'In `File.error`: what arrived is longer or shorter than `byteSize`.',
    remedy: 'Declare it again; the file may have changed while it was uploaded.',
    isRetryable: false,
  },
  UPLOAD_CHECKSUM_MISMATCH: {
    status: 409,
    message: 'The file has other bytes than declared.',
    meaning: 'In `File.error`: what arrived does not have the declared SHA-256.',
    remedy: 'Declare it again; the file may have changed while it was uploaded.',
    isRetryable: false,
  },
  UPLOAD_TYPE_MISMATCH: {
    status: 409,
    message: 'The file is of another type than declared.',
    meaning: 'In `File.error`: it came with another media type, or its bytes are of another type.',
    remedy: 'Declare the type the file really has.',
    isRetryable: false,
  },
  UPLOAD_EXPIRED: {
    status: 410,
    message: 'The upload was not finished in time.',
    meaning: 'In `File.error`: it was not finalized before `expiresAt`.',
    remedy: 'Declare it again, and finalize as soon as it is uploaded.',
    isRetryable: false,
  },
  UPLOAD_UNVERIFIED: {
    status: 503,
    message: 'The file could not be verified in time.',
    meaning:
      'In `File.error`: for two days the store or the virus scanner did not let it be looked at, or it is larger than the scanner takes.',
    remedy:
      'Declare it again and upload it; where it fails at once, only after the operator has raised the limits of the scanner.',
    isRetryable: false,
  },
  UPLOAD_INFECTED: {
    status: 422,
    message: 'The file contains a virus.',
    meaning: 'In `File.error`: the virus scanner found something in it.',
    remedy: 'Tell the user. Do not upload it again.',
    isRetryable: false,
  },
  AI_TIMEOUT: {
    status: 504,
    message: 'The AI service did not answer in time.',
    meaning: 'In `Generation.errorCode`: it did not answer in time, however often a job asked.',
    remedy: 'Ask for less text, under another key.',
    isRetryable: true,
  },
  AI_UNAVAILABLE: {
    status: 503,
    message: 'The AI service is not available right now.',
    meaning:
      'No service is configured. In `Generation.errorCode`: it was down, overloaded or out of order, however often a job asked.',
    remedy: 'Try again later, under another key; tell an operator where it stays so.',
    isRetryable: true,
  },
  AI_REJECTED: {
    status: 422,
    message: 'The AI service refuses this content.',
    meaning:
      'In `Generation.errorCode`: the prompt or the text it led to is not allowed, or the service cannot take it.',
    remedy: 'Let the user change the prompt. The same prompt is refused again.',
    isRetryable: false,
  },
  AI_BUDGET_EXCEEDED: {
    status: 402,
    message: 'Your organization has used up its AI budget of this month.',
    meaning: 'The generations of this month have cost what the organization may spend.',
    remedy: 'Wait for the next month (UTC), or ask for a larger budget.',
    isRetryable: false,
  },
  TIMEOUT: {
    status: 504,
    message: 'This took too long.',
    meaning:
      'The work was stopped at its time limit. A mutation whose own field is null for it has changed nothing; one with an answer, in which another field is null, was done.',
    remedy: 'Ask for less (a smaller page, fewer fields); or try again later.',
    isRetryable: true,
  },
  UNAVAILABLE: {
    status: 503,
    message: 'The service is not available right now.',
    meaning: 'Something the API needs cannot be reached, or the API is starting or stopping.',
    remedy:
      'Try again after `Retry-After`, or after a growing, random pause. With `extensions.mayBeDone: true`, of a mutation: look first whether it was done.',
    isRetryable: true,
  },
  INTERRUPTED: {
    status: 503,
    message: 'This was interrupted.',
    meaning: 'Of a background job: the process that worked on it ended in the middle.',
    remedy: 'Wait: it is tried again. As a dead letter, ask an operator to let it run again.',
    isRetryable: true,
  },
  INTERNAL: {
    status: 500,
    message: 'Something went wrong on our side.',
    meaning: 'An error nobody foresaw. It is in the log under `extensions.requestId`.',
    remedy: 'Report the request id.',
    isRetryable: false,
  },
} as const satisfies Record<string, ErrorDefinition>;

/** A code of the registry. */
export type ErrorCode = keyof typeof errorCodes;

/** What may be told about a `RowhouseError` besides its code. */
type RowhouseErrorOptions = {
  /** The input field at fault, as the client named it. */
  field?: string | undefined;
  /** Why, for the log; the client never sees it. */
  cause?: unknown;
  /** Of a mutation that came to no end one could see: whether it was done is not known. */
  mayBeDone?: boolean;
  /** In place of the registry's message. The client reads it: nothing about the inside. */
  message?: string | undefined;
};

/** An error with a code of the registry. Its message is meant for the client. */
export class RowhouseError extends Error {
  override readonly name = 'RowhouseError';
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly mayBeDone: boolean;

  constructor(code: ErrorCode, options: RowhouseErrorOptions = {}) {
    super(options.message ?? errorCodes[code].message, { cause: options.cause });
    this.code = code;
    this.field = options.field;
    this.mayBeDone = options.mayBeDone ?? false;
  }
}

/** A value that may not be given for a field: too long, or a reference that leads nowhere the caller may see. */
export function notAllowed(field: string, cause: unknown): RowhouseError {
  const message = `The value of \`${field}\` is not allowed.`;
  return new RowhouseError('BAD_USER_INPUT', { field, message, cause });
}

/** How one SQLSTATE, or a class of them, is told to the client. */
type SqlStateRow = {
  /** Five characters, or the first two of a class. */
  sqlState: string;
  code: ErrorCode;
  /** What Postgres means by it. */
  meaning: string;
  /** Whether a transaction that did nothing outside the database may run again at once. */
  isRetryable?: true;
};

/**
 * Which SQLSTATE becomes which code. A full SQLSTATE goes before its class; one
 * that is not here is unexpected, and masked as INTERNAL: among them P0001, a
 * bare `raise exception`.
 *
 * Our own SQL refuses with the class RW, which Postgres leaves free: RW and an
 * HTTP status. `raise exception 'Title is too long.' using errcode = 'RW400',
 * hint = 'title'`: the message is meant for the client, the hint names the field.
 */
export const sqlStates: readonly SqlStateRow[] = [
  { sqlState: 'RW400', code: 'BAD_USER_INPUT', meaning: 'Ours: refused; the hint is the field.' },
  {
    sqlState: 'RW402',
    code: 'AI_BUDGET_EXCEEDED',
    meaning: 'Ours: the AI budget is used up.',
  },
  { sqlState: 'RW403', code: 'FORBIDDEN', meaning: 'Ours: the caller may not.' },
  { sqlState: 'RW404', code: 'NOT_FOUND', meaning: 'Ours: nothing there that the caller may see.' },
  { sqlState: 'RW409', code: 'CONFLICT', meaning: 'Ours: the state does not allow it.' },
  { sqlState: 'RW413', code: 'UPLOAD_TOO_LARGE', meaning: 'Ours: a file over the limit.' },
  { sqlState: 'RW415', code: 'UPLOAD_TYPE_NOT_ALLOWED', meaning: 'Ours: a type not on the list.' },
  { sqlState: 'RW507', code: 'UPLOAD_QUOTA_EXCEEDED', meaning: 'Ours: the quota is used up.' },
  { sqlState: '23502', code: 'BAD_USER_INPUT', meaning: 'A value is missing.' },
  {
    sqlState: '23503',
    code: 'BAD_USER_INPUT',
    meaning: 'A reference leads nowhere, or to another tenant: both are answered alike.',
  },
  { sqlState: '23505', code: 'CONFLICT', meaning: 'A unique key is taken.' },
  { sqlState: '23514', code: 'BAD_USER_INPUT', meaning: 'A check constraint refuses the value.' },
  { sqlState: '23P01', code: 'CONFLICT', meaning: 'An exclusion constraint refuses the row.' },
  { sqlState: '22', code: 'BAD_USER_INPUT', meaning: 'A value cannot be read or is out of range.' },
  { sqlState: '42501', code: 'FORBIDDEN', meaning: 'A grant or a policy refuses.' },
  {
    sqlState: '40001',
    code: 'CONFLICT',
    meaning: 'Another transaction came first.',
    isRetryable: true,
  },
  { sqlState: '40P01', code: 'CONFLICT', meaning: 'A deadlock was broken.', isRetryable: true },
  { sqlState: '57014', code: 'TIMEOUT', meaning: 'The statement was canceled at its time limit.' },
  {
    sqlState: '25001',
    code: 'UNAVAILABLE',
    meaning: 'A mutation, and the database is read-only, as a standby is.',
  },
  { sqlState: '55P03', code: 'UNAVAILABLE', meaning: 'A lock was not free in time.' },
  {
    sqlState: '25006',
    code: 'UNAVAILABLE',
    meaning: 'Postgres takes no writes now: a standby, or maintenance.',
  },
  { sqlState: '53100', code: 'UNAVAILABLE', meaning: 'The disk of Postgres is full.' },
  { sqlState: '53200', code: 'UNAVAILABLE', meaning: 'Postgres is out of memory.' },
  { sqlState: '53300', code: 'UNAVAILABLE', meaning: 'Postgres has no connection left.' },
  { sqlState: '57P01', code: 'UNAVAILABLE', meaning: 'An administrator ended the connection.' },
  { sqlState: '57P02', code: 'UNAVAILABLE', meaning: 'Postgres crashed.' },
  { sqlState: '57P03', code: 'UNAVAILABLE', meaning: 'Postgres is starting or stopping.' },
  { sqlState: '08', code: 'UNAVAILABLE', meaning: 'The connection failed.' },
];

const byState = new Map(sqlStates.map((row) => [row.sqlState, row]));

/** The code a SQLSTATE is told as; undefined for one that is unexpected. */
export function codeForSqlState(sqlState: string): ErrorCode | undefined {
  return find(sqlState)?.code;
}

/** Whether a transaction that failed with it may simply run again. */
export function isRetryableSqlState(sqlState: string): boolean {
  return find(sqlState)?.isRetryable === true;
}

function find(sqlState: string): SqlStateRow | undefined {
  if (!/^[0-9A-Z]{5}$/.test(sqlState)) return undefined;
  return byState.get(sqlState) ?? byState.get(sqlState.slice(0, 2));
}
