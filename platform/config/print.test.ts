import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { settingRows } from './settings.ts';

const run = promisify(execFile);

/** NODE_ENV=test keeps a local stack of this checkout out of it. */
async function print(args: string[], env: Record<string, string> = {}) {
  const script = join(import.meta.dirname, 'print.ts');
  const options = { env: { PATH: process.env.PATH, NODE_ENV: 'test', ...env } };
  return run(process.execPath, [script, ...args], options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );
}

describe('config:print', () => {
  test('prints every setting, where it comes from, and no secret', async () => {
    const { code, stdout } = await print([], {
      DATABASE_URL: 'postgres://api:hushhush@db/rowhouse',
      METRICS_TOKEN: 'hushtoken',
    });
    expect(code).toBe(0);
    for (const [, { variable }] of settingRows) expect(stdout).toContain(variable);
    expect(stdout).toMatch(/DATABASE_URL +postgres:\/\/api:\*\*\*@db\/rowhouse +\[environment\]/);
    expect(stdout).toMatch(/PORT +8080 +\[default\]/);
    expect(stdout).toMatch(/METRICS_TOKEN +\(9 characters, not shown\)/);
    expect(stdout).not.toContain('hush');
  });

  test('prints JSON', async () => {
    const { stdout } = await print(['--json'], { PORT: '1234' });
    expect(JSON.parse(stdout)).toContainEqual({
      section: 'HTTP',
      variable: 'PORT',
      value: '1234',
      from: 'environment',
    });
  });

  test('lists what is wrong beside the values, and fails', async () => {
    const { code, stdout, stderr } = await print(['--for', 'worker'], { PORT: 'abc' });
    expect(code).toBe(1);
    expect(stdout).toMatch(/PORT +abc/);
    expect(stderr).toContain('PORT: found "abc"');
    expect(stderr).toContain('DATABASE_WORKER_URL: found nothing, but worker needs it');
  });

  test('explains itself', async () => {
    const { code, stdout } = await print(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('--for <process>');
  });
});
