/** Remembers what was verified, so that a token costs its signature check once. */
export type TokenCache<Value> = {
  /** The value kept under this digest, unless it has expired by `nowMs`. */
  get(digest: string, nowMs: number): Value | undefined;
  /** Keeps a value until `expiresAtMs`; the least recently used one makes room. */
  set(digest: string, value: Value, expiresAtMs: number): void;
};

/**
 * A cache of at most `maxEntries` values.
 *
 * Keys are digests of tokens, never tokens: a memory dump holds nothing that can be presented.
 */
export function makeTokenCache<Value>(maxEntries: number): TokenCache<Value> {
  // A Map iterates in insertion order, so the first key is the least recently used one.
  const entries = new Map<string, { value: Value; expiresAtMs: number }>();
  return {
    get(digest, nowMs) {
      const entry = entries.get(digest);
      if (entry === undefined) return undefined;
      entries.delete(digest);
      if (entry.expiresAtMs <= nowMs) return undefined;
      entries.set(digest, entry);
      return entry.value;
    },
    set(digest, value, expiresAtMs) {
      entries.delete(digest);
      entries.set(digest, { value, expiresAtMs });
      const [oldest] = entries.keys();
      if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest);
    },
  };
}
