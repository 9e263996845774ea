import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../support/database.ts';
import { makeOperations, type RunOperation } from '../support/operations.ts';
import { makeRecordingPool, type RecordingPool, type Statement } from '../support/recordingPool.ts';
import { isSigned, signingOnly, withoutSignature } from '../support/signingOnly.ts';
import { addGoldenRows } from './rows.ts';

/**
 * Golden cases: `<area>/<case>.graphql`, with the result and the SQL that was sent
 * beside it. A case is added by adding its .graphql file; `UPDATE_GOLDEN=1 npm test
 * -- test/graphql` writes the other two, to be read and committed.
 *
 * The first lines say who asks and with what:
 *   # caller: {"userId": "user_alice", "orgId": "org_acme"}
 *   # variables: {"first": 2}
 */

const folder = import.meta.dirname;
const cases = globSync('**/*.graphql', { cwd: folder }).sort();
const isUpdating = process.env.UPDATE_GOLDEN === '1';

let recording: RecordingPool;
let run: RunOperation;
let schemaDatabase: TestDatabase;

beforeAll(async () => {
  schemaDatabase = await openTestDatabase();
  recording = makeRecordingPool(schemaDatabase.api);
  run = await makeOperations(recording.pool, { uploads: signingOnly });
});
afterAll(() => schemaDatabase.close());

describe('golden case', () => {
  test.each(cases)('%s', async (file) => {
    const source = readFileSync(join(folder, file), 'utf8');
    // Each case has a database of its own: what one writes no other sees.
    const database = await openTestDatabase();
    try {
      await addGoldenRows(database);
      recording.use(database.api);
      recording.take();
      const result = await run(header<TestCaller>(source, 'caller'), source, variables(source));
      const statements = recording.take();
      compare(file.replace('.graphql', '.json'), `${JSON.stringify(readable(result), null, 2)}\n`);
      compare(file.replace('.graphql', '.sql'), statements.map(printed).join('\n'));
    } finally {
      await database.close();
    }
  });

  test('has every file beside it that belongs to a case, and no other', () => {
    const beside = globSync('*/*.{json,sql}', { cwd: folder }).sort();
    const expected = cases.flatMap((file) =>
      ['.json', '.sql'].map((ending) => file.replace('.graphql', ending)),
    );
    expect(beside).toEqual(expected.sort());
  });
});

function compare(file: string, actual: string): void {
  const path = join(folder, file);
  if (isUpdating) {
    writeFileSync(path, actual);
  } else {
    const hint = `${relative(process.cwd(), path)} is missing: UPDATE_GOLDEN=1 npm test -- test/graphql`;
    if (!existsSync(path)) throw new Error(hint);
    expect(actual).toBe(readFileSync(path, 'utf8'));
  }
}

function header<Value>(source: string, name: string): Value {
  const line = source.match(new RegExp(`^# ${name}: (.*)$`, 'm'))?.[1];
  if (!line) throw new Error(`The case has no line "# ${name}: …".`);
  return JSON.parse(line);
}

function variables(source: string): Record<string, unknown> {
  return source.includes('# variables:') ? header(source, 'variables') : {};
}

/** Ids and cursors decoded, and what is new in each run named so. */
function readable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(readable);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, readable(inner)]));
  }
  if (typeof value !== 'string') return value;
  const decoded = decode(value);
  if (decoded) return JSON.stringify(decoded.map(named));
  return named(value);
}

function decode(text: string): unknown[] | undefined {
  if (!/^W[\w+/]+=*$/.test(text)) return undefined;
  try {
    const decoded: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
    return Array.isArray(decoded) ? decoded : undefined;
  } catch {
    return undefined;
  }
}

/** Rows of the fixture have ids and times of long ago. */
function named(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(value) && !value.startsWith('00000000')) return '<new id>';
  if (isSigned(value)) return withoutSignature(value);
  if (/^20\d\d-\d\d-\d\dT/.test(value) && !value.startsWith('2020')) return '<now>';
  return value;
}

function printed({ text, values }: Statement): string {
  const parameters = values.map((value, i) => `-- $${i + 1} = ${JSON.stringify(named(value))}\n`);
  return `${text}\n${parameters.join('')}`;
}
