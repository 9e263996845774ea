import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../platform/config/settings.ts';
import { type BenchCaller, callerHeader, writeCaller } from './callers.ts';

/** A server that answers the operations. */
export type Contestant = {
  key: ContestantKey;
  /** For the table. */
  title: string;
  /** What runs, from the project's root, with its arguments. */
  entry: readonly string[];
  /** Settings beside PORT and the database's. */
  settings(issuer: { url: string; jwksUrl: string }): NodeJS.ProcessEnv;
  /** The headers that say who asks. */
  headers(caller: BenchCaller): Record<string, string>;
};

/** In the order in which they are measured and shown. */
export const contestantKeys = ['shipped', 'bare', 'plain', 'handwritten', 'batch'] as const;
export type ContestantKey = (typeof contestantKeys)[number];

const byHeader = {
  settings: () => ({}),
  headers: (caller: BenchCaller) => ({ [callerHeader]: writeCaller(caller) }),
};

/** The contestants: ours, and what they are measured against. */
export const contestants: readonly Contestant[] = [
  {
    key: 'shipped',
    title: 'Rowhouse as shipped',
    entry: serveEntry(),
    settings: ({ url, jwksUrl }) => ({
      CLERK_ISSUER: url,
      CLERK_JWKS_URL: jwksUrl,
      SHUTDOWN_DRAIN_MS: '0',
      // As `npm run serve` does.
      MALLOC_ARENA_MAX: '2',
    }),
    headers: ({ token }) => ({ authorization: `Bearer ${token}` }),
  },
  {
    key: 'bare',
    title: 'Rowhouse bare',
    // Under the flags of the API.
    entry: [...serveEntry().slice(0, -1), 'bench/contestants/bare.ts'],
    ...byHeader,
  },
  {
    key: 'plain',
    title: 'PostGraphile 5, own adaptor',
    entry: ['bench/contestants/plain.ts'],
    ...byHeader,
  },
  {
    key: 'handwritten',
    title: 'handwritten, transaction',
    entry: ['bench/contestants/handwritten.ts'],
    ...byHeader,
  },
  {
    key: 'batch',
    title: 'handwritten, one batch',
    entry: ['bench/contestants/handwritten.ts', '--batch'],
    ...byHeader,
  },
];

/** What `npm run serve` gives to Node. */
function serveEntry(): string[] {
  const file = join(projectRoot, 'package.json');
  return JSON.parse(readFileSync(file, 'utf8'))
    .scripts.serve.replace(/^.*exec node /, '')
    .split(' ');
}

/** A contestant by its key. */
export function contestantOf(key: ContestantKey): Contestant {
  const found = contestants.find((contestant) => contestant.key === key);
  if (!found) throw new RangeError(`There is no contestant ${key}.`);
  return found;
}
