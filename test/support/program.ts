import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import type { LogLine } from '../../dev/childProcess.ts';
import { projectRoot } from '../../platform/config/settings.ts';
import { environment, inherited } from './environment.ts';

/** How a program ended. */
export type Ended = { code: number | null; signal: NodeJS.Signals | null };

/** A program of ours as a process of its own, which a test may treat as roughly as it likes. */
export type Program = {
  pid: number;
  /** Everything it wrote so far: log lines as they are, other text as `{ msg: text }`. */
  lines: LogLine[];
  /** What it wrote so far that is no log line. */
  text(): string;
  /** The first line that is so, already written or still to come. */
  line(isIt: (line: LogLine) => boolean): Promise<LogLine>;
  ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
  /** As a key in the terminal: for the program and whatever it started in its process group. */
  press(key: 'Ctrl-C'): void;
  /** Kills it if it still lives. */
  close(): Promise<void>;
};

/** Settings by variable; an undefined one is left out. */
export type Settings = Record<string, string | undefined>;

/** How long a line may take to come. */
const lineWithinMs = 15_000;

/**
 * Starts a program of ours, such as `server/main.ts`, with exactly these settings.
 * @param flags for Node itself.
 */
export function startProgram(
  entry: string,
  settings: Settings,
  args: readonly string[] = [],
  flags: readonly string[] = [],
): Program {
  // It ends with the tests, however they end.
  const preload = new URL('../../dev/exitWithParent.ts', import.meta.url).href;
  const child = spawn(process.execPath, [...flags, '--import', preload, entry, ...args], {
    cwd: projectRoot,
    env: { ...inherited(), NODE_ENV: 'test', ...settings },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  });
  const lines: LogLine[] = [];
  const text: string[] = [];
  const news = new EventEmitter().setMaxListeners(0);
  readLines(child, (line, isLog) => {
    lines.push(line);
    if (!isLog) text.push(String(line.msg));
    news.emit('line', line);
  });
  // `close`, unlike `exit`, comes after the last line.
  const ended: Promise<Ended> = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  void ended.then(() => news.emit('ended'));

  return {
    pid: child.pid ?? 0,
    lines,
    text: () => text.join('\n'),
    line: (isIt) => nextLine(lines, news, isIt, entry),
    ended,
    kill: (signal) => void child.kill(signal),
    press: () => void process.kill(-(child.pid ?? 0), 'SIGINT'),
    async close() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Starts `server/main.ts` on a database; the rest of its settings as the tests share them. */
export function startServer(
  apiUrl: string,
  settings: Settings = {},
  flags?: readonly string[],
): Program {
  const { issuerUrl, jwksUrl } = environment();
  const all = {
    PORT: '0',
    DATABASE_URL: apiUrl,
    CLERK_ISSUER: issuerUrl,
    CLERK_JWKS_URL: jwksUrl,
    ...settings,
  };
  return startProgram('server/main.ts', all, [], flags);
}

/** Where a server listens, as soon as it does; it need not be ready. */
export async function urlOf(server: Program): Promise<string> {
  const { url } = await server.line(({ msg }) => msg === 'listening');
  return String(url);
}

/** Runs a program of ours to its end. */
export async function runProgram(
  entry: string,
  settings: Settings,
  args: readonly string[] = [],
): Promise<Ended & { text: string }> {
  const program = startProgram(entry, settings, args);
  const ended = await program.ended;
  return { ...ended, text: program.text() };
}

function readLines(child: ChildProcess, onLine: (line: LogLine, isLog: boolean) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on('line', (text) => {
      const line = parse(text);
      onLine(line ?? { msg: text }, line !== undefined);
    });
  }
}

function parse(text: string): LogLine | undefined {
  if (!text.startsWith('{"level"')) return undefined;
  return JSON.parse(text) as LogLine;
}

function nextLine(
  lines: readonly LogLine[],
  news: EventEmitter,
  isIt: (line: LogLine) => boolean,
  entry: string,
): Promise<LogLine> {
  const written = lines.find(isIt);
  if (written) return Promise.resolve(written);
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      stop();
      reject(
        new Error(`${entry} ${why}:\n${lines.map((line) => JSON.stringify(line)).join('\n')}`),
      );
    };
    const look = (line: LogLine) => {
      if (!isIt(line)) return;
      stop();
      resolve(line);
    };
    const onEnd = () => fail('ended before that line');
    const timer = setTimeout(() => fail(`wrote no such line in ${lineWithinMs} ms`), lineWithinMs);
    const stop = () => {
      clearTimeout(timer);
      news.off('line', look).off('ended', onEnd);
    };
    news.on('line', look).on('ended', onEnd);
  });
}
