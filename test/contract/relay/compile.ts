import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import type { ConcreteRequest, ReaderFragment } from 'relay-runtime';
import { projectRoot } from '../../../platform/config/settings.ts';

/** The operations of this folder, compiled against the committed schema. */
export type Compilation = {
  /** What relay-compiler said, without colors. */
  output: string;
  /** Names of the artifacts. */
  names: string[];
  /** A compiled query or mutation. */
  request(name: string): Promise<ConcreteRequest>;
  /** A compiled fragment. */
  fragment(name: string): Promise<ReaderFragment>;
  /** Runs relay-compiler again on the same files; rejects unless it succeeds. Resolves to what it said. */
  run(...options: string[]): Promise<string>;
  /** The text of a file of the compilation's directory. */
  read(file: string): Promise<string>;
  /** Deletes everything that was written. */
  close(): Promise<void>;
};

/** A configuration of relay-compiler in this folder. */
type RelayConfig = 'relay.config.json' | 'relay.persisted.config.json';

/**
 * Runs relay-compiler as an app would, in a temporary directory of its own: it
 * wants its sources, schema and artifacts below its configuration.
 */
export async function compileOperations(
  config: RelayConfig = 'relay.config.json',
): Promise<Compilation> {
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-relay-'));
  const artifacts = join(dir, 'artifacts');
  const run = async (...options: string[]) => {
    const args = [relayCompiler, config, '--noWatchman', ...options];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: dir });
    return stripVTControlCharacters(`${stdout}${stderr}`);
  };
  const load = async (name: string) => {
    const module = await import(pathToFileURL(join(artifacts, `${name}.graphql.ts`)).href);
    return module.default;
  };

  const close = () => rm(dir, { recursive: true });

  await mkdir(artifacts);
  await cp(here(config), join(dir, config));
  await cp(here('operations'), join(dir, 'operations'), { recursive: true });
  await cp(committedSchema, join(dir, 'schema.graphql'));
  // Where persisted operations go has to exist.
  await writeFile(join(dir, 'persisted.json'), '{}');
  const output = await run().catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const files = await readdir(artifacts);

  return {
    output,
    names: files.map((file) => file.replace('.graphql.ts', '')),
    request: load,
    fragment: load,
    run,
    read: (file) => readFile(join(dir, file), 'utf8'),
    close,
  };
}

/** The schema as clients get it. */
export const committedSchema = join(projectRoot, 'schema.graphql');

const relayCompiler = join(projectRoot, 'node_modules/relay-compiler/cli.js');
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
