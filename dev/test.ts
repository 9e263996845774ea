import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { projectRoot } from '../platform/config/settings.ts';

/** `npm test`: Jest with native ES modules. Arguments go to Jest: a path, or `--help`. */

if (process.argv.includes('--help')) {
  process.stdout.write(
    'npm test -- [paths…]  runs every test, or those under the paths, against a Postgres of its own.\n' +
      'UPDATE_GOLDEN=1 rewrites golden files. What follows is the help of Jest, which does the rest.\n\n',
  );
}

const jest = join(projectRoot, 'node_modules/jest/bin/jest.js');
const child = spawn(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    jest,
    ...process.argv.slice(2),
  ],
  {
    cwd: projectRoot,
    stdio: 'inherit',
    env: { ...process.env, NODE_ENV: 'test', GRAPHILE_ENV: 'development' },
  },
);
// Jest hears the terminal's signals itself, and ends in order.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
const [code] = await once(child, 'exit');
process.exitCode = code ?? 1;
