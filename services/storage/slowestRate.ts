/** Bytes per second: a client or a store that is slower counts as standing still. */
export const slowestRate = 64 * 1024;

/** For what comes before and after the bytes: connecting, the store's answer, telling of it. */
const graceSeconds = 60;

/** How long an upload of so many bytes may take from its first byte on, until it is finalized. */
export function longestUploadSeconds(byteSize: number): number {
  return Math.ceil(byteSize / slowestRate) + graceSeconds;
}
