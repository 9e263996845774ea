import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { projectRoot } from '../platform/config/settings.ts';

/** A process of the local stack. */
export type StackProcess = {
  /** Resolves when it says that it is ready; rejects when it ends before. */
  ready: Promise<void>;
  /** Resolves with what it ended with. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** SIGTERM, and SIGKILL after 25 s. */
  close(): Promise<void>;
};

/** One line of a process's log, as JSON. */
export type LogLine = Record<string, unknown>;

/**
 * Starts a production entry point (`server/main.ts`) with the stack's settings.
 *
 * It runs in a process group of its own: a Ctrl-C in the terminal is for the
 * stack, which then stops its parts in order.
 */
export function openStackProcess(
  entry: string,
  env: NodeJS.ProcessEnv,
  onLine: (line: LogLine) => void,
): StackProcess {
  const preload = new URL('./exitWithParent.ts', import.meta.url).href;
  const child = spawn(process.execPath, ['--import', preload, entry], {
    cwd: projectRoot,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  const ready = new Promise<void>((resolve, reject) => {
    ended.then(({ code, signal }) => reject(new Error(`${entry} ended (${signal ?? code}).`)));
    forEachLine(child, (line) => {
      onLine(line);
      if (line.msg === 'ready') resolve();
    });
  });
  // Whoever does not wait for `ready` still hears of the end.
  ready.catch(() => {});

  return {
    ready,
    ended,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 25_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

function forEachLine(child: ChildProcess, onLine: (line: LogLine) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on('line', (text) => onLine(parse(text)));
  }
}

function parse(text: string): LogLine {
  try {
    const line: unknown = JSON.parse(text);
    if (line !== null && typeof line === 'object') return line as LogLine;
  } catch {
    // Not of the logger: a crash, or a warning of Node's.
  }
  return { level: 'error', msg: text };
}
