import { types } from 'node:util';

/** An error as it is logged. */
type SerializedError = {
  type: string;
  message: string;
  stack?: string;
  code?: string;
  /** Of Postgres: the names of what was involved, never the values. */
  constraint?: string;
  table?: string;
  column?: string;
  routine?: string;
  cause?: SerializedError;
  errors?: SerializedError[];
};

const copied = ['code', 'constraint', 'table', 'column', 'routine'] as const;
const deepest = 5;

/**
 * An error for the log: its name, message, stack, code and causes. Other fields
 * stay out, because libraries put rows, parameters and headers there (`detail`
 * of a Postgres error quotes the row). Bearer tokens and passwords in URLs are
 * removed from the text.
 */
export function serializeError(error: unknown, depth = 0): SerializedError {
  if (!types.isNativeError(error))
    return { type: typeof error, message: withoutSecrets(show(error)) };
  const serialized: SerializedError = {
    type: error.name,
    message: withoutSecrets(error.message),
  };
  if (error.stack !== undefined) serialized.stack = withoutSecrets(error.stack);
  for (const key of copied) {
    const value: unknown = Reflect.get(error, key);
    if (typeof value === 'string') serialized[key] = value;
  }
  if (depth >= deepest) return serialized;
  if (error.cause !== undefined) serialized.cause = serializeError(error.cause, depth + 1);
  if ('errors' in error && Array.isArray(error.errors)) {
    serialized.errors = error.errors.slice(0, 10).map((inner) => serializeError(inner, depth + 1));
  }
  return serialized;
}

/** What is thrown but is no error may be anything, so its inside is not shown. */
function show(thrown: unknown): string {
  return typeof thrown === 'string' ? thrown : `a thrown ${typeof thrown}`;
}

function withoutSecrets(text: string): string {
  return text
    .replace(/\bBearer\s+[^\s"',]+/gi, 'Bearer ***')
    .replace(/\beyJ[\w-]+\.[\w.-]+/g, '***')
    .replace(/\b(postgres(?:ql)?:\/\/)\S*@/gi, '$1***@')
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#]*@/gi, '$1***@');
}
