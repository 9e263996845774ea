/** What takes long runs only when asked for, and alone: `npm run test:faults`. */
const isFaults = process.env.TEST_FAULTS === 'true';

/** Tests run as native ES modules; swc only strips the types. */
export default {
  testEnvironment: 'node',
  testMatch: [isFaults ? '**/test/faults/**/*.test.ts' : '**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/\\.data/', ...(isFaults ? [] : ['/test/faults/'])],
  modulePathIgnorePatterns: ['/\\.data/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
    ],
  },
  globalSetup: './test/support/globalSetup.ts',
  globalTeardown: './test/support/globalTeardown.ts',
  testTimeout: 30_000,
  // Jest leaves one core to the developer; much of a test is waiting for other processes anyway.
  maxWorkers: '100%',
  // Beside what it is made of, and not where a run has its databases, which may be in memory.
  cacheDirectory: 'node_modules/.cache/jest',
};
