// node-postgres has no types for its own writer of values.
declare module 'pg/lib/utils.js' {
  /** A value as the wire wants it: text, bytes or null. */
  export function prepareValue(value: unknown): string | Buffer | null;
}
