import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findFreePort } from '../dev/ports.ts';
import { projectRoot } from '../platform/config/settings.ts';
import type { BenchCaller } from './callers.ts';
import type { Contestant } from './contestants.ts';
import { bodyOf, type Operation } from './operations.ts';

/** A contestant that runs. */
export type RunningContestant = {
  contestant: Contestant;
  process: ChildProcess;
  pid: number;
  url: string;
  /** From the start of the process to its first answer to an operation. */
  startMs: number;
  /** Sends one operation. @throws where it is not answered with 200. */
  ask(operation: Operation, caller: BenchCaller): Promise<unknown>;
  close(): Promise<void>;
};

/** Where and how a contestant runs. */
export type ContestantOptions = {
  databaseUrl: string;
  poolSize: number;
  issuer: { url: string; jwksUrl: string };
  /** An operation that it must answer before it counts as ready. */
  first: { operation: Operation; caller: BenchCaller };
};

const logDir = join(projectRoot, '.data', 'bench', 'logs');
const readyWithinMs = 60_000;

/** Starts a contestant as a process of its own, its log in a file, and waits for its first answer. */
export async function openContestant(
  contestant: Contestant,
  { databaseUrl, poolSize, issuer, first }: ContestantOptions,
): Promise<RunningContestant> {
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}/graphql`;
  const startedMs = performance.now();
  const { child, logFile } = spawnContestant(contestant, {
    PATH: process.env.PATH,
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: String(port),
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_SIZE: String(poolSize),
    ...contestant.settings(issuer),
  });
  const ended = once(child, 'exit');

  async function close(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(timer);
  }

  const running: RunningContestant = {
    contestant,
    process: child,
    pid: child.pid ?? 0,
    url,
    startMs: 0,
    async ask(operation, caller) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...contestant.headers(caller) },
        body: bodyOf(operation, caller),
      });
      const text = await response.text();
      if (response.status !== 200) {
        throw new Error(`${contestant.title} answered ${response.status}: ${text}`);
      }
      return JSON.parse(text);
    },
    close,
  };
  try {
    await untilItAnswers(running, first, child);
  } catch (cause) {
    await close();
    const log = readFileSync(logFile, 'utf8').slice(-3_000);
    throw new Error(`${contestant.title} did not start. The end of ${logFile}:\n${log}`, { cause });
  }
  return { ...running, startMs: Math.round(performance.now() - startedMs) };
}

function spawnContestant({ key, entry }: Contestant, env: NodeJS.ProcessEnv) {
  mkdirSync(logDir, { recursive: true });
  const logFile = join(logDir, `${key}.log`);
  const log = openSync(logFile, 'w');
  const preloads = ['./bench/contestants/remote.ts', './dev/exitWithParent.ts'];
  const child = spawn(
    process.execPath,
    [...preloads.flatMap((preload) => ['--import', preload]), ...entry],
    { cwd: projectRoot, env, stdio: ['ignore', log, log, 'ipc'] },
  );
  closeSync(log);
  return { child, logFile };
}

async function untilItAnswers(
  running: RunningContestant,
  { operation, caller }: ContestantOptions['first'],
  child: ChildProcess,
): Promise<void> {
  const deadlineMs = performance.now() + readyWithinMs;
  for (;;) {
    try {
      await running.ask(operation, caller);
      return;
    } catch (error) {
      const hasEnded = child.exitCode !== null || child.signalCode !== null;
      if (hasEnded || performance.now() > deadlineMs) throw error;
    }
    await sleep(10);
  }
}
