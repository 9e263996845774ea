import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { deploymentVariables, readEnvironment, readSources } from './environment.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'rowhouse-environment-'));
});

afterEach(() => rm(root, { recursive: true }));

async function write(path: string, ...lines: string[]): Promise<void> {
  await mkdir(join(root, path, '..'), { recursive: true });
  await writeFile(join(root, path), lines.join('\n'));
}

const localStack = ['NODE_ENV=development', 'DATABASE_URL=postgres://local/db', 'PORT=5001'];

describe('the environment', () => {
  test('is all there is where there are no files', () => {
    expect(readEnvironment({ PORT: '1', HOST: '' }, root)).toEqual({ PORT: '1' });
  });

  test('goes before .env, and .env before local.env', async () => {
    await write('.env', 'PORT=2', 'LOG_LEVEL=debug', 'HOST="quoted"');
    await write('.data/local.env', ...localStack, 'LOG_LEVEL=warn', 'CLERK_AUDIENCE=local');
    expect(readEnvironment({ PORT: '1' }, root)).toEqual({
      PORT: '1',
      LOG_LEVEL: 'debug',
      HOST: 'quoted',
      CLERK_AUDIENCE: 'local',
      DATABASE_URL: 'postgres://local/db',
      NODE_ENV: 'development',
    });
  });

  test('leaves to the files what is set to nothing', async () => {
    await write('.env', 'PORT=2');
    await write('.data/local.env', ...localStack);
    expect(readEnvironment({ PORT: ' ', NODE_ENV: '', DATABASE_URL: '' }, root)).toMatchObject({
      PORT: '2',
      NODE_ENV: 'development',
      DATABASE_URL: 'postgres://local/db',
    });
  });

  test.each(['production', 'test'])('in %s reads no file', async (mode) => {
    await write('.env', 'PORT=2');
    await write('.data/local.env', ...localStack);
    expect(readEnvironment({ NODE_ENV: mode }, root)).toEqual({ NODE_ENV: mode });
  });

  test('reads the files in development', async () => {
    await write('.data/local.env', ...localStack);
    expect(readEnvironment({ NODE_ENV: 'development' }, root)).toMatchObject({ PORT: '5001' });
  });
});

describe('local.env', () => {
  test('is found in the data folder that is set, in the environment or in .env', async () => {
    await write('elsewhere/local.env', ...localStack);
    expect(readEnvironment({ ROWHOUSE_DATA_DIR: 'elsewhere' }, root)).toMatchObject({
      PORT: '5001',
    });
    await write('.env', 'ROWHOUSE_DATA_DIR=elsewhere');
    expect(readEnvironment({}, root)).toMatchObject({ PORT: '5001' });
  });

  test.each(deploymentVariables)('is not used at all where %s is set', async (variable) => {
    await write('.data/local.env', ...localStack);
    expect(readEnvironment({ [variable]: 'x' }, root)).toEqual({ [variable]: 'x' });
    await write('.env', `${variable}=y`);
    expect(readEnvironment({}, root)).toEqual({ [variable]: 'y' });
  });

  test('is not used where .env sets another mode', async () => {
    await write('.data/local.env', ...localStack);
    await write('.env', 'NODE_ENV=production');
    expect(readEnvironment({}, root)).toEqual({ NODE_ENV: 'production' });
  });
});

test('a file that cannot be read is an error, not an absent file', async () => {
  await mkdir(join(root, '.env'));
  expect(() => readEnvironment({}, root)).toThrow('EISDIR');
});

test('sources are named, the strongest first', async () => {
  await write('.data/local.env', ...localStack);
  expect(readSources({}, root).map(({ name }) => name)).toEqual([
    'environment',
    '.env',
    'local.env',
  ]);
});

describe('credentials of the store', () => {
  const local = ['S3_BUCKET_UPLOADS=uploads', 'AWS_ACCESS_KEY_ID=local', 'AWS_PROFILE='];

  test('of the running stack come from it, whatever else is set', async () => {
    await write('.env', 'AWS_SESSION_TOKEN=mine', 'LOG_LEVEL=debug');
    await write('.data/local.env', ...local);
    expect(readEnvironment({ AWS_PROFILE: 'mine', AWS_ACCESS_KEY_ID: 'mine' }, root)).toEqual({
      S3_BUCKET_UPLOADS: 'uploads',
      AWS_ACCESS_KEY_ID: 'local',
      LOG_LEVEL: 'debug',
    });
  });

  test('of another store are never those of the running stack', async () => {
    await write('.data/local.env', ...local);
    expect(readEnvironment({ S3_BUCKET_UPLOADS: 'mine' }, root)).toEqual({
      S3_BUCKET_UPLOADS: 'mine',
    });
  });

  test('are told by a profile or a key, not by what only goes with them', async () => {
    const pair = { AWS_ACCESS_KEY_ID: 'mine', AWS_SECRET_ACCESS_KEY: 'secret' };
    await write('.env', ...Object.entries(pair).map((each) => each.join('=')));
    expect(readEnvironment({ AWS_ACCOUNT_ID: '1' }, root)).toEqual(pair);
    expect(readEnvironment({ AWS_ACCOUNT_ID: '1', NODE_ENV: 'production' }, root)).toEqual({
      AWS_ACCOUNT_ID: '1',
      NODE_ENV: 'production',
    });
  });

  test('come whole from the environment or whole from .env', async () => {
    const pair = { AWS_ACCESS_KEY_ID: 'mine', AWS_SECRET_ACCESS_KEY: 'secret' };
    await write('.env', 'S3_BUCKET_UPLOADS=b', 'AWS_PROFILE=other', 'AWS_SESSION_TOKEN=other');
    expect(readEnvironment(pair, root)).toEqual({ S3_BUCKET_UPLOADS: 'b', ...pair });
    expect(readEnvironment({ AWS_ACCESS_KEY_ID: ' ' }, root)).toEqual({
      S3_BUCKET_UPLOADS: 'b',
      AWS_PROFILE: 'other',
      AWS_SESSION_TOKEN: 'other',
    });
  });
});
