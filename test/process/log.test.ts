import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { projectRoot } from '../../platform/config/settings.ts';

/** A process as ours are: a log on stdout, and a lifecycle that ends it. */
const script = `
  import { makeLifecycle } from '${join(projectRoot, 'platform/lifecycle.ts')}';
  import { makeLogger } from '${join(projectRoot, 'platform/logging.ts')}';
  const log = makeLogger({ logLevel: 'info' });
  const lifecycle = makeLifecycle({ log });
  lifecycle.onSignals();
  setInterval(() => {}, 60_000);
  process.on('SIGUSR2', () => {
    log.warn({}, 'just before');
    throw new Error('nobody caught this');
  });
  process.on('SIGHUP', () => {
    for (let i = 0; i < 20_000; i++) log.info({ i, padding: 'x'.repeat(100) }, 'much to say');
  });
  log.info({}, 'ready');
`;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

async function start() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

describe('a process ends, whatever has become of the reader of its log', () => {
  const ends = ['SIGTERM', 'SIGUSR2'] as const;

  test.each(ends)('that is gone, at %s', async (signal) => {
    const child = await start();
    child.stdout.destroy();
    child.stderr.destroy();
    child.kill(signal);
    await once(child, 'exit');
  });

  test.each(ends)('that does not read any more, at %s', async (signal) => {
    const child = await start();
    child.stdout.pause();
    child.kill('SIGHUP');
    child.kill(signal);
    await once(child, 'exit');
  });
});

test('a process that ends by an error nobody caught still says which', async () => {
  const child = await start();
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  child.kill('SIGUSR2');
  const [code] = await once(child, 'close');
  expect(code).toBe(1);
  expect(said).toContain('just before');
  expect(said).toContain('nobody caught this');
});
