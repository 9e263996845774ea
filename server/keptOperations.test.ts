import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { constant, execute, makeGrafastSchema } from 'postgraphile/grafast';
import { type DocumentNode, parse, validate } from 'postgraphile/graphql';
import { type KeptOperations, keepOperations } from './keptOperations.ts';

const maxBytes = 2_000_000;

/** What is kept of a schema's operations, and how to run one. */
function open() {
  const schema = makeGrafastSchema({
    typeDefs: 'type Query { one: Int, two: Int }',
    objects: { Query: { plans: { one: () => constant(1), two: () => constant(2) } } },
  });
  let parsed = 0;
  const operations = keepOperations(
    schema,
    (query) => {
      parsed += 1;
      const document = parse(query);
      const errors = validate(schema, document);
      return errors.length > 0 ? { errors } : { document };
    },
    maxBytes,
  );
  async function run(query: string, variableValues: Record<string, unknown> = {}) {
    const { document } = operations.parseAndValidate(query);
    if (document) await execute({ schema, document, variableValues });
    return document;
  }
  return { operations, run, parsed: () => parsed };
}

async function operation(document: Promise<DocumentNode | undefined>): Promise<object> {
  return (await document)?.definitions[0] ?? {};
}

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  // What a WeakRef has shown stays until the turn is over.
  await new Promise(setImmediate);
  runInNewContext('gc')();
}

const wide = (name: string, fields: number) =>
  `query ${name} { ${Array.from({ length: fields }, (_, i) => `f${i}: one`).join(' ')} }`;

describe('what is kept of operations', () => {
  test('stays within its budget, however many there are and however large', async () => {
    for (const fields of [1, 20]) {
      const { operations, run } = open();
      for (let i = 0; i < 300; i++) await run(wide(`Q${i}`, fields));
      const { documents, bytes } = operations.kept();
      expect(bytes).toBeLessThanOrEqual(maxBytes);
      expect(bytes).toBeGreaterThan(maxBytes / 2);
      expect(documents).toBeLessThan(maxBytes / 12_000 / fields);
    }
  });

  test('lets go of those that were not used for longest, their plans with them', async () => {
    const { run, parsed } = open();
    // A plan holds on to its operation.
    const gone = new WeakRef(await operation(run('query Gone { one }')));
    await run('query Used { one }');
    for (let i = 0; i < 100; i++) {
      await run(`query Q${i} { one }`);
      await run('query Used { one }');
    }
    expect(parsed()).toBe(102);
    await collectGarbage();
    expect(gone.deref()).toBeUndefined();
    await run('query Gone { one }');
    expect(parsed()).toBe(103);
  });

  test('counts fragments where they are spread, and the plans for other variables', async () => {
    const { operations, run } = open();
    await run('query Q { one two }');
    const { bytes } = operations.kept();
    const spread = open();
    await spread.run(
      'query Q { ...A ...B } fragment A on Query { ...B } fragment B on Query { one two }',
    );
    expect(spread.operations.kept().bytes).toBeGreaterThan(bytes + 20_000);

    const skipping = open();
    const query = 'query Q($is: Boolean!) { one two @skip(if: $is) }';
    await skipping.run(query, { is: true });
    const before = skipping.operations.kept().bytes;
    await skipping.run(query, { is: false });
    await skipping.run(query, { is: false });
    expect(skipping.operations.kept().bytes).toBeGreaterThan(before * 1.8);
    expect(skipping.parsed()).toBe(1);
  });

  test('is nothing of a document that is invalid, or too large to leave room for others', async () => {
    const { operations, run } = open();
    await run('{ three }');
    await run(wide('Large', 100));
    expect(operations.kept()).toEqual({ documents: 0, bytes: 0 } satisfies ReturnType<
      KeptOperations['kept']
    >);
  });
});
