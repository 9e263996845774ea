/**
 * A connection string whose connections start with these settings, so that no
 * statement can come before them.
 *
 * @param settings by name; a value without spaces.
 */
export function withConnectionSettings(
  connectionString: string,
  settings: Record<string, string | number>,
): string {
  const url = new URL(connectionString);
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  const given = url.searchParams.get('options');
  // They replace the options of a pool, which are these.
  url.searchParams.set('options', [given, '-c jit=off', ...options].filter(Boolean).join(' '));
  return url.href;
}
