import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildSchema, type GraphQLSchema, parse, validate } from 'graphql';
import { type Compilation, committedSchema, compileOperations } from './compile.ts';

let schema: GraphQLSchema;
let plain: Compilation;
let persisted: Compilation;

beforeAll(async () => {
  schema = buildSchema(await readFile(committedSchema, 'utf8'));
  plain = await compileOperations('relay.config.json');
  persisted = await compileOperations('relay.persisted.config.json');
});
afterAll(() => Promise.all([plain.close(), persisted.close()]));

describe('relay-compiler', () => {
  test('takes the committed schema unchanged', async () => {
    expect(await plain.read('schema.graphql')).toBe(await readFile(committedSchema, 'utf8'));
    expect(plain.output).toContain('Compilation completed.');
  });

  test('has nothing to warn of', () => {
    for (const { output } of [plain, persisted]) {
      const lines = output.split('\n').filter((line) => line !== '');
      expect(lines.filter((line) => !line.startsWith('[INFO]'))).toEqual([]);
    }
  });

  test('finds nothing to change in what it has written', async () => {
    await expect(plain.run('--validate')).resolves.toContain('Done.');
  });

  test('derives the queries that fetch pages and nodes again', () => {
    expect(plain.names).toEqual(
      expect.arrayContaining([
        'documentListPageQuery',
        'documentSearchPageQuery',
        'organizationMembersPageQuery',
        'userDocumentsPageQuery',
        'nodesDocumentQuery',
        'nodesMembershipQuery',
        'nodesOrganizationQuery',
        'nodesUserQuery',
      ]),
    );
  });

  test('writes operations that are valid for the schema', async () => {
    const names = plain.names.filter((name) => /(Query|Mutation)$/.test(name));
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) {
      const { params } = await plain.request(name);
      expect(validate(schema, parse(params.text ?? ''))).toEqual([]);
    }
  });
});

describe('persisted operations', () => {
  test('are kept under the SHA-256 of their text', async () => {
    const texts = Object.entries(await persistedTexts());
    expect(texts.length).toBeGreaterThan(10);
    for (const [id, text] of texts) {
      expect(id).toMatch(/^[0-9a-f]{64}$/);
      expect(createHash('sha256').update(text).digest('hex')).toBe(id);
      expect(validate(schema, parse(text))).toEqual([]);
    }
  });

  test('leave only their id in the client', async () => {
    const texts = await persistedTexts();
    const names = persisted.names.filter((name) => /(Query|Mutation)$/.test(name));
    expect(names.length).toBe(Object.keys(texts).length);
    for (const name of names) {
      const { params } = await persisted.request(name);
      expect(params.text).toBeNull();
      expect(texts[params.id ?? '']).toContain(name);
    }
  });
});

async function persistedTexts(): Promise<Record<string, string>> {
  return JSON.parse(await persisted.read('persisted.json'));
}
