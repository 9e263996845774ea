import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Lifecycle, makeLifecycle } from './lifecycle.ts';

type Line = { message: string; phase?: string; reason?: string; durationMs?: number };

describe('closing', () => {
  let lines: Line[];
  let closed: string[];
  let lifecycle: Lifecycle;

  beforeEach(() => {
    lines = [];
    closed = [];
    lifecycle = make();
  });

  function make(deadlineMs?: number): Lifecycle {
    const record = (fields: object, message: string) => lines.push({ ...fields, message });
    const log = { info: record, error: record, fatal: record };
    return makeLifecycle(deadlineMs === undefined ? { log } : { log, deadlineMs });
  }

  const closes = (name: string) => async () => {
    await setImmediate();
    closed.push(name);
  };

  test('goes backwards, one after the other', async () => {
    for (const name of ['database', 'http', 'telemetry']) lifecycle.opened(name, closes(name));
    await lifecycle.close('done');
    expect(closed).toEqual(['telemetry', 'http', 'database']);
  });

  test('logs each phase with its duration, and the reason', async () => {
    lifecycle.opened('http', closes('http'));
    await lifecycle.close('SIGTERM');
    const durationMs = expect.any(Number);
    expect(lines).toEqual([
      { message: 'closing', reason: 'SIGTERM' },
      { message: 'closed phase', phase: 'http', durationMs },
      { message: 'closed', reason: 'SIGTERM', failures: 0, durationMs },
    ]);
  });

  test('happens once, however often it is asked for', async () => {
    lifecycle.opened('http', closes('http'));
    const first = lifecycle.close('a');
    expect(lifecycle.close('b')).toBe(first);
    await first;
    expect(lifecycle.close('c')).toBe(first);
    expect(closed).toEqual(['http']);
  });

  test('goes on after a closer that fails, and tells of all failures at the end', async () => {
    lifecycle.opened('database', closes('database'));
    lifecycle.opened('http', () => {
      throw new Error('no');
    });
    lifecycle.opened('queue', () => Promise.reject(new Error('never')));
    const error = await lifecycle.close('done').catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      message: 'could not close queue; could not close http',
      errors: [{ cause: { message: 'never' } }, { cause: { message: 'no' } }],
    });
    expect(closed).toEqual(['database']);
  });

  test('leaves a closer that hangs behind after its time', async () => {
    lifecycle.opened('database', closes('database'));
    lifecycle.opened('http', () => new Promise(() => {}), 5);
    await expect(lifecycle.close('done')).rejects.toThrow('could not close http');
    expect(closed).toEqual(['database']);
  });

  test('after the deadline tells the rest to close without waiting', async () => {
    lifecycle = make(10);
    const told: string[] = [];
    for (const name of ['first', 'second', 'third']) {
      lifecycle.opened(name, () => {
        told.push(name);
        return new Promise(() => {});
      });
    }
    await expect(lifecycle.close('done')).rejects.toThrow('could not close');
    expect(told).toEqual(['third', 'second', 'first']);
  });

  test('takes along what is opened meanwhile, and what is opened after', async () => {
    lifecycle.opened('database', closes('database'));
    lifecycle.opened('http', () => lifecycle.opened('late', closes('late')));
    await lifecycle.close('done');
    expect(closed).toEqual(['late', 'database']);
    const { promise, resolve } = Promise.withResolvers<void>();
    lifecycle.opened('later', resolve);
    await promise;
  });
});

describe('a process', () => {
  let child: ChildProcess | undefined;

  afterEach(() => {
    child?.kill('SIGKILL');
  });

  /** Starts a process with a lifecycle; `body` runs in it. Waits until it is ready. */
  async function start(body: string) {
    const modules = ['lifecycle.ts', 'logging.ts'].map((file) =>
      JSON.stringify(join(import.meta.dirname, file)),
    );
    const script = `
      import { makeLifecycle } from ${modules[0]};
      import { makeLogger } from ${modules[1]};
      const log = makeLogger({ logLevel: 'info' });
      const lifecycle = makeLifecycle({ log });
      const forever = setInterval(() => {}, 1000);
      lifecycle.onSignals();
      lifecycle.opened('database', () => clearInterval(forever));
      ${body}
      log.info('ready');`;
    const started = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = started;
    const lines: Record<string, unknown>[] = [];
    const waiting: { message: string; resolve: () => void }[] = [];
    createInterface({ input: started.stdout }).on('line', (line) => {
      const parsed = JSON.parse(line);
      lines.push(parsed);
      for (const { message, resolve } of waiting) if (message === parsed.msg) resolve();
    });
    const seen = (message: string) =>
      new Promise<void>((resolve) => {
        if (lines.some(({ msg }) => msg === message)) resolve();
        else waiting.push({ message, resolve });
      });
    const exited = once(started, 'close').then(([code, signal]) => code ?? signal);
    await Promise.race([seen('ready'), exited]);
    return { child: started, lines, seen, exited, messages: () => lines.map(({ msg }) => msg) };
  }

  const hangs = `lifecycle.opened('http', () => new Promise(() => {}), 60_000);`;

  test.each(['SIGTERM', 'SIGINT'] as const)('closes on %s and ends well', async (signal) => {
    const { child, exited, lines, messages } = await start('');
    child.kill(signal);
    expect(await exited).toBe(0);
    expect(messages()).toEqual(['ready', 'closing', 'closed phase', 'closed']);
    expect(lines[1]).toMatchObject({ reason: signal });
  });

  test('ends with 1 where something could not close', async () => {
    const { child, exited } = await start(
      `lifecycle.opened('x', () => { throw new Error('no') });`,
    );
    child.kill('SIGTERM');
    expect(await exited).toBe(1);
  });

  test('takes one Ctrl-C that arrives twice for one', async () => {
    const { child, exited, messages } = await start(
      `lifecycle.opened('http', () => new Promise((done) => setTimeout(done, 100)));`,
    );
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect(await exited).toBe(0);
    expect(messages().at(-1)).toBe('closed');
  });

  test('ends at once on another signal', async () => {
    const { child, exited, seen, messages } = await start(hangs);
    child.kill('SIGINT');
    await seen('closing');
    child.kill('SIGTERM');
    expect(await exited).toBe(1);
    expect(messages().at(-1)).toBe('closing');
  });

  test('ends at once on the same signal given again', async () => {
    const { child, exited, seen, messages } = await start(hangs);
    child.kill('SIGTERM');
    await seen('closing');
    const insist = setInterval(() => child.kill('SIGTERM'), 50);
    expect(await exited).toBe(1);
    clearInterval(insist);
    expect(messages().at(-1)).toBe('closing');
  });

  test.each([
    ['an error nobody caught', `setImmediate(() => { throw new Error('boom') });`],
    ['a rejection nobody caught', `setImmediate(() => Promise.reject(new Error('boom')));`],
  ])('after %s closes and ends with 1', async (_what, body) => {
    const { exited, lines, messages } = await start(body);
    expect(await exited).toBe(1);
    expect(lines.find(({ level }) => level === 'fatal')).toMatchObject({
      err: { message: 'boom' },
    });
    expect(messages().at(-1)).toBe('closed');
  });

  test('ends even where nobody reads its log', async () => {
    const { child, exited } = await start(
      `process.on('SIGUSR2', () => {
        for (let line = 0; line < 20_000; line += 1) log.info('x'.repeat(200));
        process.kill(process.pid, 'SIGTERM');
      });`,
    );
    const ended = once(child, 'exit');
    child.stdout?.pause();
    child.kill('SIGUSR2');
    expect(await ended).toEqual([null, 'SIGKILL']);
    child.stdout?.destroy();
    await exited;
  });
});
