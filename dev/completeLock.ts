import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { projectRoot } from '../platform/config/settings.ts';

/**
 * `npm run lock:complete`: after `npm install` changed package-lock.json, adds the
 * optional packages of other platforms that the registry at hand does not serve.
 * `npm ci` refuses a lock file that lacks any of them, wherever it runs.
 */

type Entry = {
  version?: string;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  dev?: boolean;
  optional?: boolean;
  license?: string;
  optionalDependencies?: Record<string, string>;
};

new Command('lock:complete')
  .description('Completes package-lock.json with the optional packages of other platforms.')
  .parse();

const path = join(projectRoot, 'package-lock.json');
const lock: { packages: Record<string, Entry> } = JSON.parse(await readFile(path, 'utf8'));
const { '': root, ...known } = lock.packages;
if (!root) throw new Error('package-lock.json does not describe this project.');

const added: Record<string, Entry> = {};
for (const [parent, entry] of Object.entries(known)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    const isKnown = [`${parent}/node_modules/${name}`, `node_modules/${name}`].some(
      (p) => known[p],
    );
    if (!isKnown) added[`node_modules/${name}`] = platformEntry(name, range, entry);
  }
}
const sorted = Object.entries({ ...known, ...added }).sort(([a], [b]) => (a < b ? -1 : 1));
lock.packages = { '': root, ...Object.fromEntries(sorted) };
await writeFile(path, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`Added ${Object.keys(added).length} packages of other platforms.\n`);

/** What such a package is for stands in its name: `@biomejs/cli-linux-x64-musl`. */
function platformEntry(name: string, range: string, parent: Entry): Entry {
  const words = name.split('/').at(-1)?.split('-') ?? [];
  const os = words.map((word) => (word === 'windows' ? 'win32' : word)).find(isSystem);
  const cpu = words.map((word) => (/eabi/.test(word) ? 'arm' : word)).find(isProcessor);
  const libc = os !== 'linux' ? undefined : libcOf(words);
  return {
    version: range.replace(/^\^/, ''),
    ...(cpu && { cpu: [cpu] }),
    ...(parent.dev && { dev: true }),
    ...(libc && { libc: [libc] }),
    ...(parent.license && { license: parent.license }),
    optional: true,
    ...(os && { os: [os] }),
  };
}

function isSystem(word: string): boolean {
  return ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'].includes(word);
}

function isProcessor(word: string): boolean {
  return ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64'].includes(word);
}

function libcOf(words: readonly string[]): string | undefined {
  if (words.some((word) => word.startsWith('musl'))) return 'musl';
  return words.some((word) => word.startsWith('gnu')) ? 'glibc' : undefined;
}
