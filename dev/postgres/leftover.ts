import { execFile } from 'node:child_process';
import { readFile, readlink, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { errorCode } from '../errorCode.ts';

/** Tells the developer, in one line, what is going on. */
export type OnProgress = (message: string) => void;

/**
 * Clears what an earlier run left of a server on `data`: a server that still lives is stopped, and
 * a postmaster.pid that would stop the next one, because its pid now belongs to somebody else, is
 * removed. The caller holds the cluster's lock, so no such server has an owner.
 */
export async function stopLeftover(data: string, onProgress: OnProgress): Promise<void> {
  const pidFile = join(data, 'postmaster.pid');
  const content = await readFile(pidFile, 'utf8').catch(() => null);
  if (content === null) return;
  const pid = Number.parseInt(content, 10);
  if (!(await isServerOf(pid, data))) {
    await rm(pidFile, { force: true });
    return;
  }
  onProgress(`Stopping a Postgres left over from an earlier run (process ${pid})…`);
  // Fast shutdown, then immediate shutdown, then the kernel.
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!tryKill(pid, signal)) return;
    const deadlineMs = Date.now() + (signal === 'SIGINT' ? 10_000 : 3_000);
    while (Date.now() < deadlineMs) {
      if (!(await isServerOf(pid, data))) return;
      await setTimeout(20);
    }
  }
  throw new Error(`A Postgres left over from an earlier run, process ${pid}, cannot be stopped.`);
}

/** Whether process `pid` is the server on `data`, and not a later process with its number. */
async function isServerOf(pid: number, data: string): Promise<boolean> {
  if (!(pid > 0)) return false;
  if (process.platform === 'linux') {
    const links = [`/proc/${pid}/exe`, `/proc/${pid}/cwd`].map((path) => readlink(path));
    const [program, cwd] = await Promise.all(links).catch(() => []);
    // A server changes into its data directory; " (deleted)" follows the name of a replaced binary.
    return program !== undefined && /^postgres\b/.test(basename(program)) && cwd === data;
  }
  const ps = promisify(execFile)('ps', ['-p', `${pid}`, '-o', 'command=']);
  const { stdout } = await ps.catch(() => ({ stdout: '' }));
  return stdout.includes('postgres -D') && stdout.includes(data);
}

function tryKill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
    throw error;
  }
}
