import { join } from 'node:path';
import { projectRoot } from '../../platform/config/settings.ts';

/** What all tests share, as opened by globalSetup. URLs lead to the template database. */
export type Environment = {
  superuserUrl: string;
  ownerUrl: string;
  apiUrl: string;
  workerUrl: string;
  issuerUrl: string;
  jwksUrl: string;
  issuerDir: string;
};

const variable = 'TEST_ENVIRONMENT';

/** Called in Jest's main process; its workers inherit the variable. */
export function share(environment: Environment, close: () => Promise<void>): void {
  process.env[variable] = JSON.stringify(environment);
  shared.close = close;
}

/** What globalSetup opened. */
export function environment(): Environment {
  const text = process.env[variable];
  if (!text) throw new Error('Run tests through npm test: their Postgres is not there.');
  return JSON.parse(text);
}

/**
 * What a program of this checkout gets beside its settings. Hundreds are started: their files are
 * stripped of types and compiled once.
 */
export function inherited(): NodeJS.ProcessEnv {
  const compiled = join(projectRoot, 'node_modules/.cache/node');
  return { PATH: process.env.PATH, HOME: process.env.HOME, NODE_COMPILE_CACHE: compiled };
}

/** Closes what globalSetup opened. */
export async function closeShared(): Promise<void> {
  await shared.close?.();
}

// Jest loads set-up and teardown as separate modules of one process, which share only its globals.
const key = Symbol.for('rowhouse.test');
const globals = globalThis as { [key]?: { close?: () => Promise<void> } };
const shared: { close?: () => Promise<void> } = globals[key] ?? {};
globals[key] = shared;
