/** The `code` of an error of Node or Postgres (`ENOENT`, `23505`, …), or undefined. */
export function errorCode(error: unknown): unknown {
  // Not `instanceof Error`: errors of Node itself are of another realm inside Jest.
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
