/** Milliseconds within which so many percent of the answers came. */
export type Latencies = { p50Ms: number; p90Ms: number; p99Ms: number; maxMs: number };

/** Percentiles of single latencies in milliseconds, to the hundredth. */
export function summarizeLatencies(latenciesMs: readonly number[]): Latencies {
  const sorted = Float64Array.from(latenciesMs).sort();
  const at = (part: number) => {
    const index = Math.min(sorted.length - 1, Math.floor(sorted.length * part));
    return Math.round((sorted[index] ?? Number.NaN) * 100) / 100;
  };
  return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), maxMs: at(1) };
}
