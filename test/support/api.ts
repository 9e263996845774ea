import { type LogLine, openStackProcess } from '../../dev/childProcess.ts';
import { openIssuerRecord } from '../../dev/issuerRecord.ts';
import { signToken, type TokenContent } from '../../dev/signToken.ts';
import type { TestDatabase } from './database.ts';
import { environment, inherited } from './environment.ts';

/** A GraphQL answer. */
export type Answer = {
  status: number;
  headers: Headers;
  /** Of many shapes, as it was parsed. */
  data: ReturnType<typeof JSON.parse>;
  errors?: { message: string; path?: (string | number)[]; extensions: Record<string, unknown> }[];
};

/** An API process of its own, on a free port. */
export type TestApi = {
  url: string;
  /** Everything it logged so far. */
  logs: LogLine[];
  /** Sends a GraphQL request as whoever the token is for; without one, as nobody. */
  request(token: string | null, query: string, variables?: object): Promise<Answer>;
  close(): Promise<void>;
};

/** Starts `server/main.ts` on a database, and waits until it is ready. */
export async function startApi(
  database: Pick<TestDatabase, 'apiUrl'>,
  settings: Record<string, string> = {},
): Promise<TestApi> {
  const { issuerUrl, jwksUrl } = environment();
  const logs: LogLine[] = [];
  const env = {
    ...inherited(),
    NODE_ENV: 'test',
    PORT: '0',
    DATABASE_URL: database.apiUrl,
    CLERK_ISSUER: issuerUrl,
    CLERK_JWKS_URL: jwksUrl,
    ...settings,
  };
  const server = openStackProcess('server/main.ts', env, (line) => logs.push(line));
  await server.ready.catch((cause: unknown) => {
    throw new Error(`The API did not start:\n${JSON.stringify(logs, null, 1)}`, { cause });
  });
  const url = String(logs.find(({ msg }) => msg === 'ready')?.url);

  return {
    url,
    logs,
    request: requestTo(url),
    close: () => server.close(),
  };
}

/** What sends GraphQL requests to the API at a URL. */
export function requestTo(url: string): TestApi['request'] {
  return async (token, query, variables) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    const body = (await response.json()) as Pick<Answer, 'data' | 'errors'>;
    return { status: response.status, headers: response.headers, ...body };
  };
}

/** A token of the tests' issuer. */
export async function signIn(content: TokenContent): Promise<string> {
  const { issuerUrl, issuerDir } = environment();
  const { key } = await openIssuerRecord(issuerDir);
  return signToken({ ...content, key, issuer: issuerUrl });
}
