import { generateKeyPairSync } from 'node:crypto';
import { resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Environment } from './environment.ts';
import { ConfigError, loadConfig, type Problem } from './loadConfig.ts';
import { developmentPseudonymKey, type Process, projectRoot, settings } from './settings.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

const production = {
  DATABASE_URL: 'postgres://rowhouse_api:s3cr3tpw@db.internal:5432/rowhouse',
  CLERK_ISSUER: 'https://clerk.example.com',
  CLERK_JWKS_URL: 'https://clerk.example.com/.well-known/jwks.json',
  LOG_PSEUDONYM_KEY: 'k'.repeat(32),
};

function problemsOf(env: Environment, need: Process = 'none'): readonly Problem[] {
  try {
    loadConfig(need, env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

function wrongVariables(env: Environment, need: Process = 'none'): string[] {
  return problemsOf(env, need).map(({ variable }) => variable);
}

describe('the mode', () => {
  test('is production where NODE_ENV is unset or empty', () => {
    expect(loadConfig('none', {}).isProduction).toBe(true);
    expect(loadConfig('none', { NODE_ENV: '' }).isProduction).toBe(true);
  });

  test('is not production in development and test', () => {
    expect(loadConfig('none', { NODE_ENV: 'development' }).isProduction).toBe(false);
    expect(loadConfig('none', { NODE_ENV: 'test' }).isProduction).toBe(false);
  });

  test('has no other names', () => {
    expect(problemsOf({ NODE_ENV: 'staging' })).toEqual([
      {
        variable: 'NODE_ENV',
        found: '"staging"',
        allowed: '`production`, `development` or `test`',
      },
    ]);
  });

  test('decides the defaults that differ', () => {
    expect(loadConfig('none', {})).toMatchObject({
      host: '0.0.0.0',
      graphqlCacheMb: 20,
      graphqlPlayground: false,
      shutdownDrainMs: 10_000,
      logPseudonymKey: undefined,
    });
    expect(loadConfig('none', { NODE_ENV: 'development' })).toMatchObject({
      host: '127.0.0.1',
      graphqlPlayground: true,
      shutdownDrainMs: 0,
      logPseudonymKey: developmentPseudonymKey,
    });
  });
});

describe('values', () => {
  test('are parsed, with defaults for what is unset', () => {
    expect(loadConfig('none', { PORT: ' 0 ', SEED: '1', ROWHOUSE_DATA_DIR: '/tmp/x' })).toEqual({
      isProduction: true,
      logLevel: 'info',
      logPseudonymKey: undefined,
      metricsToken: undefined,
      port: 0,
      host: '0.0.0.0',
      corsOrigins: [],
      graphqlCacheMb: 20,
      graphqlPlayground: false,
      databaseUrl: undefined,
      databaseWorkerUrl: undefined,
      databaseOwnerUrl: undefined,
      databasePoolSize: 10,
      databasePreparedStatements: true,
      databaseStatementTimeoutMs: 10_000,
      clerkIssuer: undefined,
      clerkJwksUrl: undefined,
      clerkJwtKey: undefined,
      clerkAudience: undefined,
      clerkAuthorizedParties: [],
      clerkWebhookSecret: undefined,
      clerkSecretKey: undefined,
      clerkApiUrl: 'https://api.clerk.com',
      awsRegion: 'us-east-1',
      s3BucketUploads: undefined,
      s3Endpoint: undefined,
      s3TimeoutMs: 5_000,
      uploadAllowedTypes: expect.arrayContaining(['image/*', 'application/pdf']),
      uploadInlineTypes: ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'],
      uploadMaxBytes: 5_368_709_120,
      uploadSingleMaxBytes: 104_857_600,
      uploadPartBytes: 16_777_216,
      uploadUrlTtlSeconds: 900,
      uploadMultipartTtlSeconds: 86_400,
      downloadUrlMaxTtlSeconds: 3_600,
      uploadQuotaBytes: 107_374_182_400,
      uploadQuotaFiles: 100_000,
      clamavUrl: undefined,
      aiServiceUrl: undefined,
      aiTimeoutMs: 6_000,
      aiTryTimeoutMs: 4_000,
      aiJobTimeoutMs: 120_000,
      aiMaxCalls: 64,
      aiMaxCallsPerOrganization: 8,
      aiMaxAnswerBytes: 4_194_304,
      aiMaxPromptTokens: 8_000,
      aiMaxCompletionTokens: 4_096,
      aiFilters: true,
      aiCacheTtlSeconds: 0,
      aiPrices: [{ model: '*', promptMicros: 1, completionMicros: 1 }],
      aiMonthlyBudgetMicros: 10_000_000,
      aiEmbeddings: false,
      localAiOpenaiUrl: undefined,
      localAiOpenaiModel: 'llama3.2',
      localAiOpenaiEmbeddingModel: undefined,
      localAiOpenaiKey: undefined,
      shutdownDrainMs: 10_000,
      shutdownGraceMs: 10_000,
      workerConcurrency: 8,
      workerDeadAfterMs: 10_000,
      workerHeartbeatMs: 2_000,
      workerPort: 8081,
      workerQueueAgeLimitMs: 300_000,
      workerTaskTimeoutMs: 300_000,
      graphiqlTokenUrl: undefined,
      seed: true,
      dataDir: '/tmp/x',
    });
  });

  test('are strings, not possibly undefined, where the process requires them', () => {
    const config = loadConfig('api', production);
    const required: [string, string] = [config.databaseUrl, config.clerkIssuer];
    expect(required).not.toContain(undefined);
    // @ts-expect-error a worker may have no DATABASE_URL
    const optional: string = loadConfig('none', {}).databaseUrl;
    expect(optional).toBeUndefined();
  });

  test('of folders start at the project', () => {
    expect(loadConfig('none', {}).dataDir).toBe(resolve(projectRoot, '.data'));
  });

  test('of lists are split at commas', () => {
    const config = loadConfig('none', {
      CORS_ORIGINS: 'https://a.example.com, http://localhost:5173,',
      CLERK_AUTHORIZED_PARTIES: 'https://a.example.com,app',
    });
    expect(config.corsOrigins).toEqual(['https://a.example.com', 'http://localhost:5173']);
    expect(config.clerkAuthorizedParties).toEqual(['https://a.example.com', 'app']);
  });

  test('of prices are for one token, in millionths, and of budgets in millionths', () => {
    const config = loadConfig('none', {
      AI_PRICES: 'openai/gpt-4o=2.5:10, ollama/*=0:0.000001',
      AI_MONTHLY_BUDGET: '0.1',
    });
    expect(config.aiPrices).toEqual([
      { model: 'openai/gpt-4o', promptMicros: 2.5, completionMicros: 10 },
      { model: 'ollama/*', promptMicros: 0, completionMicros: 0.000001 },
    ]);
    expect(config.aiMonthlyBudgetMicros).toBe(100_000);
  });

  test('of a PEM may have their line breaks written as \\n', () => {
    const pem = publicKey.trim();
    const config = loadConfig('none', { CLERK_JWT_KEY: pem.replaceAll('\n', '\\n') });
    expect(config.clerkJwtKey).toBe(pem);
  });

  test.each([
    ['true', true],
    ['1', true],
    ['false', false],
    ['0', false],
  ])('of flags: %s is %s', (text, value) => {
    expect(loadConfig('none', { SEED: text }).seed).toBe(value);
  });

  test('that are wrong are refused', () => {
    const wrong: Record<string, readonly string[]> = {
      PORT: ['-1', '65536', '80.5', '0x50', 'http', '1e3', '9'.repeat(400)],
      HOST: ['a b', 'http://a', 'a/b'],
      SEED: ['yes', 'TRUE', '2'],
      LOG_LEVEL: ['verbose', 'INFO'],
      LOG_PSEUDONYM_KEY: ['k'.repeat(31)],
      METRICS_TOKEN: ['two words', 'ünlaut'],
      DATABASE_POOL_SIZE: ['0', '1001'],
      CORS_ORIGINS: [
        '*',
        'https://*.example.com',
        'https://example.com/',
        'https://example.com/path',
        'https://Example.com',
        'https://example.com:443',
        'https://user@example.com',
        'example.com',
        'null',
        'app://home',
        'https://good.example.com,bad',
      ],
      DATABASE_URL: [
        'mysql://u:p@h/db',
        'postgres://h',
        'postgres://u:p@h/',
        'postgres:///db',
        'postgres://u:p/w@h/db',
        'postgres://u:p#w@h/db',
        'postgres://u:p?w@h/db',
        'postgres://u:1/w@h/db',
        'postgres://u:1?w@h/db',
        'postgres://u:a@b/c#d@h/db',
        'postgres://u:a@b/c?d@h/db',
        'postgres://u:a@b/c/d@h/db',
        'not a url',
      ],
      AI_PRICES: ['gpt=1:1', '*=1', '*=-1:1', '*=1:1e3', 'a/b*c=1:1', '*=1:1;*=2:2'],
      AI_MONTHLY_BUDGET: ['-1', '1e3', '0.0000001', '1,5'],
      CLERK_ISSUER: ['clerk.example.com', 'ftp://example.com', 'https://u:p@example.com'],
      CLERK_JWT_KEY: [privateKey, 'not a pem', publicKey.replace('MII', 'AAA')],
    };
    for (const [variable, texts] of Object.entries(wrong)) {
      for (const text of texts) {
        expect([variable, text, wrongVariables({ [variable]: text })]).toEqual([
          variable,
          text,
          [variable],
        ]);
      }
    }
  });
});

describe('problems', () => {
  test('are reported all at once, one a line, with what was found and what is allowed', () => {
    const env = { NODE_ENV: 'production', PORT: 'abc', CORS_ORIGINS: '*', ROWHOUSE_PORT: '1' };
    expect(() => loadConfig('api', env)).toThrow(
      [
        '6 problems with the settings (see docs/configuration.md):',
        '  ROWHOUSE_PORT: found a name that nothing reads; allowed: perhaps PORT was meant',
        '  PORT: found "abc"; allowed: a whole number from 0 to 65535',
        `  CORS_ORIGINS: found "*"; allowed: ${settings.corsOrigins.kind.description}`,
        `  DATABASE_URL: found nothing, but api needs it; allowed: ${settings.databaseUrl.kind.description}`,
        `  CLERK_ISSUER: found nothing, but api needs it; allowed: ${settings.clerkIssuer.kind.description}`,
        '  CLERK_JWKS_URL, CLERK_JWT_KEY: found neither; allowed: At least one of them: without a key no token can be verified.',
      ].join('\n'),
    );
  });

  test('stay on their line whatever a value contains', () => {
    const [problem] = problemsOf({ HOST: 'a\n  PORT: found nothing' });
    expect(problem?.found).toBe('"a\\n  PORT: found nothing"');
  });

  test('of unknown ROWHOUSE_ names suggest the nearest, and never show the value', () => {
    const found = (name: string) => problemsOf({ [name]: 'hidden' })[0];
    expect(found('ROWHOUSE_DATADIR')?.allowed).toBe('perhaps ROWHOUSE_DATA_DIR was meant');
    expect(found('ROWHOUSE_DATABASE_URL')?.allowed).toBe('perhaps DATABASE_URL was meant');
    expect(found('ROWHOUSE_XYZZY_PLUGH')?.allowed).toBe('ROWHOUSE_DATA_DIR');
    expect(JSON.stringify(found('ROWHOUSE_DATADIR'))).not.toContain('hidden');
  });

  test('of other unknown names are none of ours', () => {
    expect(wrongVariables({ PATH: '/bin', DATABASE_URI: 'x', ROWHOUSES: 'x' })).toEqual([]);
  });
});

describe('what a process requires', () => {
  test.each<[Process, string[]]>([
    ['none', []],
    ['migrate', ['DATABASE_OWNER_URL']],
    ['worker', ['DATABASE_WORKER_URL']],
    ['api', ['DATABASE_URL', 'CLERK_ISSUER', 'CLERK_JWKS_URL, CLERK_JWT_KEY']],
  ])('%s: %j', (need, variables) => {
    expect(wrongVariables({}, need)).toEqual(variables);
  });

  test('for the API is a key, fetched or given', () => {
    const { CLERK_JWKS_URL, ...rest } = production;
    expect(wrongVariables({ ...rest, CLERK_JWKS_URL }, 'api')).toEqual([]);
    expect(wrongVariables({ ...rest, CLERK_JWT_KEY: publicKey }, 'api')).toEqual([]);
  });
});

describe('rules between settings', () => {
  test('drain and grace end before a process is killed', () => {
    const sum = (drain: string, grace: string) =>
      problemsOf({ SHUTDOWN_DRAIN_MS: drain, SHUTDOWN_GRACE_MS: grace });
    expect(sum('10000', '14999')).toEqual([]);
    expect(sum('10000', '15000')).toMatchObject([
      { variable: 'SHUTDOWN_DRAIN_MS, SHUTDOWN_GRACE_MS', found: '10000 + 15000' },
    ]);
  });

  test('are not checked where one of the settings is wrong by itself', () => {
    expect(wrongVariables({ SHUTDOWN_DRAIN_MS: 'long', SHUTDOWN_GRACE_MS: '24000' })).toEqual([
      'SHUTDOWN_DRAIN_MS',
    ]);
  });

  test('in production keys do not cross a network in the clear', () => {
    const jwks = (url: string, mode = 'production') =>
      wrongVariables({ NODE_ENV: mode, CLERK_JWKS_URL: url });
    expect(jwks('http://issuer.internal/jwks')).toEqual(['NODE_ENV, CLERK_JWKS_URL']);
    expect(jwks('http://localhost.evil.com/jwks')).toEqual(['NODE_ENV, CLERK_JWKS_URL']);
    expect(jwks('http://issuer.internal/jwks', 'development')).toEqual([]);
    expect(jwks('https://issuer.internal/jwks')).toEqual([]);
    expect(jwks('http://127.0.0.1:4000/jwks')).toEqual([]);
    expect(jwks('http://[::1]:4000/jwks')).toEqual([]);
  });

  test('the worker embeds nothing without an AI service', () => {
    const env = { DATABASE_WORKER_URL: production.DATABASE_URL, AI_EMBEDDINGS: 'true' };
    expect(wrongVariables(env, 'worker')).toEqual(['AI_EMBEDDINGS, AI_SERVICE_URL']);
    expect(wrongVariables({ ...env, AI_SERVICE_URL: 'http://ai.internal' }, 'worker')).toEqual([]);
  });

  test('in production the key of pseudonyms is not the public one', () => {
    expect(wrongVariables({ LOG_PSEUDONYM_KEY: developmentPseudonymKey })).toEqual([
      'NODE_ENV, LOG_PSEUDONYM_KEY',
    ]);
  });
});
