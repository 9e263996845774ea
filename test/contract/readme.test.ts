import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type DefinitionNode, getIntrospectionQuery, Kind, parse } from 'graphql';
import { projectRoot } from '../../platform/config/settings.ts';
import { until } from '../support/until.ts';
import { type LocalCheckout, openLocalCheckout } from './localCheckout.ts';
import { commandsOf, readSamples, type Sample } from './samples.ts';

/**
 * Follows the pages by the letter, in a checkout of its own: every sample of them
 * runs, in order, against the stack that `npm start` starts there.
 */

const pages = ['README.md', 'docs/relay.md', 'docs/audit.md', 'docs/schema-guide.md'];

let checkout: LocalCheckout;
/** Operations that relay-compiler made of a page's samples, by name. */
const compiled = new Map<string, Map<string, string>>();

beforeAll(async () => {
  checkout = await openLocalCheckout();
}, 90_000);
afterAll(() => checkout?.close(), 40_000);

describe('npm start', () => {
  test('prints a request that answers as it stands', async () => {
    const command = checkout.printed().match(/^curl .*(?:\n {2}.*)+$/m)?.[0] ?? '';
    const { stdout } = await checkout.run(command);
    const { data } = JSON.parse(stdout);
    expect(data.me).toEqual({ name: 'Alice Adams' });
    expect(data.documents.edges).toHaveLength(3);
  });
});

describe.each(pages)('%s', (page) => {
  const samples = readSamples(page);

  test('has samples, each of a kind that runs', () => {
    expect(samples.length).toBeGreaterThan(0);
    expect(samples.filter(({ language }) => !(language in runners))).toEqual([]);
  });

  test.each(samples.map((sample, index) => ({ ...sample, next: samples[index + 1] })))(
    'runs the $language of line $line',
    async ({ next, ...sample }) => {
      const run = runners[sample.language];
      if (!run) throw new Error(`Nothing runs ${page}:${sample.line}.`);
      await run(sample, next);
    },
  );
});

describe('Ctrl-C', () => {
  test('ends it in order', async () => {
    expect(await checkout.close()).toBe(0);
  }, 40_000);
});

type Runner = (sample: Sample, next: Sample | undefined) => Promise<void> | void;

const runners: Record<string, Runner> = {
  async sh(sample) {
    for (const command of commandsOf(sample)) await runCommand(command);
  },

  /** What a save of migrations/current.sql does while `npm run db:watch` runs. */
  async sql({ text }) {
    const before = await introspect();
    await writeFile(join(checkout.dir, 'migrations/current.sql'), text);
    const { code, stderr } = await checkout.run(`${checkout.scripts['db:watch']} --once`);
    expect([code, stderr]).toEqual([0, '']);
    await until('the running API to follow', async () => (await introspect()) !== before);
  },

  async graphql(sample, next) {
    if (isForRelay(sample)) return runForRelay(sample);
    const answer = await request(sample.text, { document: await someDocument() });
    if (next?.language === 'json') {
      expect(withoutRequestIds(answer)).toEqual(withoutRequestIds(JSON.parse(next.text)));
    } else {
      expect(answer).not.toHaveProperty('errors');
    }
  },

  /** Compared with the answer of the operation before it. */
  json(sample) {
    const samples = readSamples(sample.page);
    const before = samples.findIndex(({ line }) => line === sample.line) - 1;
    expect(samples[before]?.language).toBe('graphql');
  },
};

async function runCommand(command: string): Promise<void> {
  const [, name] = command.match(/^npm (?:run )?([\w:-]+)/) ?? [];
  const script = name === undefined ? undefined : checkout.scripts[name];
  if (name === 'start') {
    // What opened the checkout; it runs still.
    expect(checkout.printed()).toContain('GraphiQL');
  } else if (name === 'test') {
    // What runs this very line.
    expect([script, process.env.NODE_ENV]).toEqual(['node dev/test.ts', 'test']);
  } else if (name === 'db:watch') {
    // Runs until it is stopped; the samples of SQL run it for one save each.
    expect(script).toBe('node dev/database.ts watch');
  } else {
    const { code, stdout, stderr } = await checkout.run(
      command.replace('http://localhost:8080', checkout.url),
    );
    expect({ command, code, stderr: code === 0 ? '' : stderr }).toEqual({
      command,
      code: 0,
      stderr: '',
    });
    if (!command.startsWith('curl ')) return;
    const { data, errors } = JSON.parse(stdout);
    expect(errors).toBeUndefined();
    expect(data.documents.edges).toHaveLength(3);
  }
}

/** Named as Relay wants it. */
function isForRelay({ language, text }: Sample): boolean {
  return language === 'graphql' && /^(fragment|query \w+Query|mutation \w+Mutation)\b/m.test(text);
}

/** Compiles the page's samples for Relay, and runs the operations that came of this one. */
async function runForRelay({ page, text }: Sample): Promise<void> {
  const operations = compiled.get(page) ?? (await compile(page));
  compiled.set(page, operations);
  for (const { name } of parse(text).definitions.flatMap(named)) {
    const operation = operations.get(name);
    if (operation) await runOperation(name, operation);
  }
  // A fragment that can be fetched again brings a query with it.
  const [, refetch] = text.match(/queryName: "(\w+)"/) ?? [];
  if (refetch) await runOperation(refetch, operations.get(refetch) ?? '');
}

async function runOperation(name: string, operation: string): Promise<void> {
  const { documents } = (await request('{ documents(first: 2) { edges { cursor node { id } } } }'))
    .data;
  const [first, second] = documents.edges;
  const variables: Record<string, object> = {
    DocumentListPaginationQuery: { count: 5, cursor: first.cursor },
    DocumentRowRefetchQuery: { id: first.node.id },
    DocumentCreateMutation: { input: { document: { title: 'From the guide' } } },
    DocumentUpdateMutation: { input: { id: first.node.id, patch: { title: 'Changed' } } },
    DocumentDeleteMutation: { input: { id: first.node.id } },
  };
  const { data, errors } = await request(operation, variables[name] ?? {});
  expect(errors).toBeUndefined();
  if (name === 'DocumentListPaginationQuery') {
    expect(data.documents.edges).toHaveLength(5);
    expect(data.documents.edges[0].node.id).toBe(second.node.id);
  } else {
    expect(Object.values(data)).not.toContain(null);
  }
}

/** Runs relay-compiler over the samples of a page, each a module of its own, on the committed schema. */
async function compile(page: string): Promise<Map<string, string>> {
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-relay-'));
  try {
    await mkdir(join(dir, 'src'));
    await mkdir(join(dir, 'artifacts'));
    for (const { text } of readSamples(page).filter(isForRelay)) {
      const source = `import { graphql } from 'relay-runtime';\ngraphql\`${text}\`;\n`;
      await writeFile(join(dir, 'src', `${moduleOf(text)}.ts`), source);
    }
    const schema = await readFile(join(projectRoot, 'schema.graphql'), 'utf8');
    await writeFile(join(dir, 'schema.graphql'), schema);
    await writeFile(join(dir, 'operations.json'), '{}');
    await writeFile(join(dir, 'relay.config.json'), JSON.stringify(relayConfig));
    const cli = join(projectRoot, 'node_modules/relay-compiler/cli.js');
    const args = [cli, 'relay.config.json', '--noWatchman'];
    await promisify(execFile)(process.execPath, args, { cwd: dir });
    const texts: string[] = Object.values(
      JSON.parse(await readFile(join(dir, 'operations.json'), 'utf8')),
    );
    return new Map(texts.map((text) => [text.match(/^\w+ (\w+)/)?.[1] ?? '', text]));
  } finally {
    await rm(dir, { recursive: true });
  }
}

const relayConfig = {
  src: './src',
  schema: './schema.graphql',
  artifactDirectory: './artifacts',
  language: 'typescript',
  requireCustomScalarTypes: true,
  customScalarTypes: { Cursor: 'string', Datetime: 'string' },
  persistConfig: { file: './operations.json', algorithm: 'SHA256' },
};

/** Relay wants the names in a module to begin with the module's. */
function moduleOf(text: string): string {
  const names = parse(text).definitions.flatMap(named);
  const beginnings = names.map(({ name }) => name.replace(/_\w+$|Query$|Mutation$/, ''));
  return beginnings.sort((a, b) => a.length - b.length)[0] ?? '';
}

function named(definition: DefinitionNode): { name: string }[] {
  const isNamed =
    definition.kind === Kind.OPERATION_DEFINITION || definition.kind === Kind.FRAGMENT_DEFINITION;
  return isNamed && definition.name ? [{ name: definition.name.value }] : [];
}

type Body = {
  data: ReturnType<typeof JSON.parse>;
  errors?: { extensions: Record<string, unknown> }[];
};

/** Sends a request as Alice of Acme. */
async function request(query: string, variables: object = {}): Promise<Body> {
  token ??= checkout
    .run('npm run -s token -- --user user_alice --org org_acme --role admin')
    .then(({ stdout }) => stdout.trim());
  const response = await fetch(`${checkout.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await token}` },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as Body;
}
let token: Promise<string> | undefined;

async function introspect(): Promise<string> {
  return JSON.stringify(await request(getIntrospectionQuery()));
}

async function someDocument(): Promise<string> {
  const { data } = await request('{ documents(first: 1) { edges { node { id } } } }');
  return data.documents.edges[0].node.id;
}

function withoutRequestIds({ data, errors }: Body): object {
  return {
    data,
    errors: errors?.map(({ extensions, ...error }) => {
      const { requestId: _, ...rest } = extensions;
      return { ...error, extensions: rest };
    }),
  };
}
