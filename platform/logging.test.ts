import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import { makeLogger, makePseudonym } from './logging.ts';

function logged(write: (log: ReturnType<typeof makeLogger>) => void, logLevel = 'info' as const) {
  const lines: string[] = [];
  write(makeLogger({ logLevel }, { write: (line) => lines.push(line) }));
  return lines.map((line) => JSON.parse(line));
}

describe('a log line', () => {
  test('is JSON with level, time and message, and nothing about the machine', () => {
    const [line] = logged((log) => log.info({ requestId: 'r1' }, 'request'));
    expect(line).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      requestId: 'r1',
      msg: 'request',
    });
  });

  test('below the level is not written', () => {
    expect(logged((log) => log.debug('quiet'))).toEqual([]);
  });

  test('shows no authorization, cookie, password, token or secret', () => {
    const hidden = {
      authorization: 'Bearer hush',
      cookie: 'hush',
      password: 'hush',
      token: 'hush',
      secret: 'hush',
    };
    const lines = logged((log) => {
      log.info(hidden, 'top');
      log.info({ headers: hidden, req: { headers: hidden }, request: { headers: hidden } }, 'deep');
    });
    expect(JSON.stringify(lines)).not.toContain('hush');
    expect(lines[1].req.headers.cookie).toBe('[Redacted]');
  });

  test('of an error keeps to what may be told', () => {
    const err = Object.assign(new Error('failed'), { detail: 'Key (email)=(hush)' });
    const [line] = logged((log) => log.error({ err }, 'error masked'));
    expect(line.err).toMatchObject({ type: 'Error', message: 'failed' });
    expect(JSON.stringify(line)).not.toContain('hush');
  });
});

test('an exit loses no line', async () => {
  const script = `
    import { makeLogger } from ${JSON.stringify(join(import.meta.dirname, 'logging.ts'))};
    const log = makeLogger({ logLevel: 'info' });
    for (let line = 0; line < 5000; line += 1) log.info({ line }, 'x'.repeat(100));
    process.exit(3);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  expect(code).toBe(3);
  const lines = output.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line).line)).toEqual(
    Array.from({ length: 5000 }, (_, i) => i),
  );
});

describe('a pseudonym', () => {
  const pseudonym = makePseudonym('k'.repeat(32), 3);

  test('is 16 hex digits, always the same for the same id and key', () => {
    // echo -n user_1 | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
    expect(pseudonym('user_1')).toBe('61b804d76059614b');
    expect(makePseudonym('k'.repeat(32))('user_1')).toBe(pseudonym('user_1'));
  });

  test('differs by id and by key', () => {
    expect(pseudonym('user_2')).not.toBe(pseudonym('user_1'));
    expect(makePseudonym('l'.repeat(32))('user_1')).not.toBe(pseudonym('user_1'));
  });

  test('stays the same when its place in memory was given to others', () => {
    const before = pseudonym('user_1');
    for (const id of ['a', 'b', 'c', 'd', 'e']) pseudonym(id);
    expect(pseudonym('user_1')).toBe(before);
  });
});
