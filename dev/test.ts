import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { projectRoot } from '../platform/config/settings.ts';
import { findMemoryDir } from './memoryDir.ts';

/**
 * `npm test`: Jest with native ES modules. Arguments go to Jest: a path, or `--help`.
 * `npm run test:faults` gives `--faults`: the tests of test/faults, and no others.
 */

const args = process.argv.slice(2).filter((arg) => arg !== '--faults');
const isFaults = process.argv.includes('--faults');
// One at a time: a fault of one test would be another's.
if (isFaults) args.push('--runInBand');

if (args.includes('--help')) {
  process.stdout.write(
    'npm test -- [paths…]  runs every test, or those under the paths, against a Postgres of its own.\n' +
      'UPDATE_GOLDEN=1 rewrites golden files. What follows is the help of Jest, which does the rest.\n\n',
  );
}

// Databases of the tests are many, small and short-lived. Those of the faults are not.
const memoryDir = isFaults ? undefined : await findMemoryDir();

const jest = join(projectRoot, 'node_modules/jest/bin/jest.js');
const child = spawn(
  process.execPath,
  ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', jest, ...args],
  {
    cwd: projectRoot,
    stdio: 'inherit',
    env: {
      ...process.env,
      NODE_ENV: 'test',
      GRAPHILE_ENV: 'development',
      TEST_FAULTS: String(isFaults),
      ...(memoryDir && { TMPDIR: memoryDir }),
    },
  },
);
// Jest hears the terminal's signals itself, and ends in order.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
const [code] = await once(child, 'exit');
process.exitCode = code ?? 1;
