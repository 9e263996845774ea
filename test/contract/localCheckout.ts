import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readdir, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../platform/config/settings.ts';

/** How a command ended, and what it wrote. */
type CommandResult = { code: number | null; stdout: string; stderr: string };

/** A checkout of its own, with the local stack running, for whoever follows the pages by the letter. */
export type LocalCheckout = {
  dir: string;
  /** Scripts of package.json by name. */
  scripts: Record<string, string>;
  /** Where the API answers, as `npm start` said. */
  url: string;
  /** All that `npm start` has printed. */
  printed(): string;
  /** Runs a line of shell in the checkout, as a reader would. */
  run(line: string): Promise<CommandResult>;
  /** Stops the stack as Ctrl-C does, and deletes everything. Resolves, each time, to the stack's exit code. */
  close(): Promise<number | null>;
};

/** Never copied: what is installed, made, private, or of no use there. */
const leftBehind = ['node_modules', '.git', '.data', '.env', 'coverage', 'test', 'docs'];

/** How long the first start may take: it initialises Postgres. */
const startWithinMs = 60_000;

/** Copies this checkout and starts its local stack, on free ports. */
export async function openLocalCheckout(): Promise<LocalCheckout> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'rowhouse-checkout-')));
  // Postgres's account has to get in.
  await chmod(dir, 0o755);
  for (const name of await readdir(projectRoot)) {
    if (leftBehind.includes(name)) continue;
    await cp(join(projectRoot, name), join(dir, name), { recursive: true });
  }
  await symlink(join(projectRoot, 'node_modules'), join(dir, 'node_modules'));
  const { scripts } = JSON.parse(await readFile(join(dir, 'package.json'), 'utf8'));

  const stack = startStack(dir, scripts.start);
  let ended: Promise<number | null> | undefined;
  const close = () => {
    ended ??= stop(stack.child).finally(() => rm(dir, { recursive: true }));
    return ended;
  };
  try {
    await stack.ready;
  } catch (error) {
    await close();
    throw error;
  }
  return {
    dir,
    scripts,
    url: stack.printed().match(/^GraphQL\s+(\S+)\/graphql$/m)?.[1] ?? '',
    printed: stack.printed,
    run: (line) => runLine(dir, line),
    close,
  };
}

type Stack = { child: ChildProcess; printed: () => string; ready: Promise<void> };

function startStack(dir: string, script: string): Stack {
  const [exec, program, ...args] = script.split(' ');
  if (exec !== 'exec' || program !== 'node')
    throw new Error(`\`npm start\` is not a program of ours: ${script}`);
  // It ends with the tests, however they end.
  const preload = ['--import', join(dir, 'dev/exitWithParent.ts')];
  const child = spawn(process.execPath, [...preload, ...args], {
    cwd: dir,
    env: { ...cleanEnvironment(dir), PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let text = '';
  const started = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.includes('Ctrl-C stops everything.')) started.resolve();
    });
  }
  const fail = (why: string) => started.reject(new Error(`\`npm start\` ${why}:\n${text}`));
  child.once('exit', () => fail('ended'));
  const timer = setTimeout(() => fail('took too long'), startWithinMs);
  const ready = started.promise.finally(() => clearTimeout(timer));
  return { child, printed: () => text, ready };
}

async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, 'exit');
    child.kill('SIGINT');
    await exit;
  }
  return child.exitCode;
}

async function runLine(dir: string, line: string): Promise<CommandResult> {
  const child = spawn('sh', ['-e', '-c', line], {
    cwd: dir,
    env: cleanEnvironment(dir),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const result = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (part: string) => {
      result[name] += part;
    });
  }
  const [code] = await once(child, 'close');
  return { code, ...result };
}

/** As in a terminal: nothing of the tests' own settings. */
function cleanEnvironment(dir: string): NodeJS.ProcessEnv {
  const { PATH = '', HOME, TMPDIR } = process.env;
  return {
    // npm puts the project's programs first, and with them its Node.
    PATH: `${join(dir, 'node_modules/.bin')}:${PATH}`,
    HOME,
    ...(TMPDIR !== undefined && { TMPDIR }),
    // The scripts before scripts install packages. That is done, and not to be done here.
    npm_config_ignore_scripts: 'true',
  };
}
