import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** A living process and the pid of its parent. */
export type Process = { pid: number; parent: number };

/**
 * All living processes, zombies not among them: from /proc on Linux, where `ps` may be missing,
 * from `ps` elsewhere.
 */
export async function readProcesses(): Promise<Process[]> {
  const lines = process.platform === 'linux' ? await readProc() : await readPs();
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, state]) => state !== undefined && !state.startsWith('Z'))
    .map(([pid, , parent]) => ({ pid: Number(pid), parent: Number(parent) }));
}

async function readPs(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,state=,ppid=']);
  return stdout.trim().split('\n');
}

async function readProc(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''));
  // `pid (name) state parent …`, where the name may hold anything.
  return (await Promise.all(stats)).map((stat) => stat.replace(/\(.*\)/s, ''));
}
