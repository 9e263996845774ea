import { readFileSync } from 'node:fs';

/** Memory of a process as the kernel counts it, in MB: now, and at most so far. Needs /proc. */
export function memoryOf({ pid }: { pid: number }): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) =>
    Math.round(Number(status.match(new RegExp(`${name}:\\s+(\\d+)`))?.[1]) / 1024);
  return { now: of('VmRSS'), peak: of('VmHWM') };
}
