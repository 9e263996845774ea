import { execFile } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

const run = promisify(execFile);
let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowhouse-docs-'));
  await mkdir(join(root, 'docs'));
});

afterEach(() => rm(root, { recursive: true }));

async function docs(...args: string[]) {
  const script = join(import.meta.dirname, 'docs.ts');
  return run(process.execPath, [script, ...args]).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    ({ code, stderr }) => ({ code, output: stderr }),
  );
}

describe('the derived pages', () => {
  test('of this checkout are what the code says', async () => {
    expect(await docs('--check')).toEqual({ code: 0, output: '' });
  });

  test('drift by name', async () => {
    await docs('--root', root);
    expect((await docs('--check', '--root', root)).code).toBe(0);
    await appendFile(join(root, 'docs/errors.md'), 'by hand');
    const { code, output } = await docs('--check', '--root', root);
    expect(code).toBe(1);
    expect(output).toContain('docs/errors.md');
    expect(output).not.toContain('docs/configuration.md');
  });

  test('are missed where they are absent', async () => {
    const { code, output } = await docs('--check', '--root', root);
    expect(code).toBe(1);
    expect(output).toContain('docs/configuration.md');
    expect(output).toContain('docs/errors.md');
    expect(output).toContain('docs/lint.md');
  });
});
