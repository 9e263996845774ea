import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { compile } from 'graphile-migrate';
import { projectRoot } from '../platform/config/settings.ts';

/** `npm run check`: everything that can be said of the code without running it. */

type Step = { name: string; run: () => Promise<Outcome> };
type Outcome = { ok: boolean; output: string };

const steps: readonly Step[] = [
  { name: 'format and lint', run: () => command('biome', 'check', '--error-on-warnings') },
  { name: 'types', run: () => command('tsc', '--noEmit') },
  { name: 'dead code', run: () => command('knip', '--no-config-hints') },
  { name: 'migrations', run: checkMigrations },
  { name: 'generated docs', run: () => command('node', 'dev/docs.ts', '--check') },
  {
    name: 'schema, catalogue and its lint',
    run: () => command('node', 'dev/derived.ts', '--check', '--lint'),
  },
];

new Command('check')
  .description(`Checks, in this order: ${steps.map(({ name }) => name).join(', ')}.`)
  .parse();

// All at once, and told in order: they have nothing to do with each other, and wait a good deal.
const running = steps.map(({ name, run }) => ({ name, outcome: timed(run) }));
let failed = 0;
for (const { name, outcome } of running) {
  process.stdout.write(`${name} … `);
  const { ok, output, seconds } = await outcome;
  process.stdout.write(`${ok ? 'ok' : 'FAILED'} (${seconds} s)\n${ok ? '' : `${output}\n`}`);
  if (!ok) failed += 1;
}
process.stdout.write(
  failed === 0 ? 'All checks passed.\n' : `${failed} of ${steps.length} checks failed.\n`,
);
process.exitCode = failed === 0 ? 0 : 1;

async function timed(run: Step['run']): Promise<Outcome & { seconds: string }> {
  const startedMs = performance.now();
  const outcome = await run();
  return { ...outcome, seconds: ((performance.now() - startedMs) / 1000).toFixed(1) };
}

async function command(program: string, ...args: string[]): Promise<Outcome> {
  const path =
    program === 'node' ? process.execPath : join(projectRoot, 'node_modules/.bin', program);
  const child = spawn(path, args, { cwd: projectRoot, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code] = await once(child, 'close');
  return { ok: code === 0, output };
}

/** Squawk reads no placeholders, so it gets what graphile-migrate would send. */
async function checkMigrations(): Promise<Outcome> {
  const committed = join(projectRoot, 'migrations/committed');
  const folder = await mkdtemp(join(tmpdir(), 'rowhouse-migrations-'));
  try {
    const names = (await readdir(committed)).filter((name) => name.endsWith('.sql'));
    const settings = { connectionString: 'postgres://rowhouse_owner@localhost/rowhouse' };
    for (const name of names) {
      const text = await readFile(join(committed, name), 'utf8');
      await writeFile(join(folder, name), await compile(settings, text));
    }
    const files = names.map((name) => join(folder, name));
    return await command('squawk', '--config', join(projectRoot, '.squawk.toml'), ...files);
  } finally {
    await rm(folder, { recursive: true });
  }
}
