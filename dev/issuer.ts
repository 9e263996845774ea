import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type IssuerRecord, openIssuerRecord, rememberPort } from './issuerRecord.ts';
import { signToken, type TokenContent } from './signToken.ts';
import { describeProblems, tokenRequestSchema } from './tokenRequest.ts';

/** A stand-in for Clerk on this machine: it publishes a key and signs tokens in Clerk's format. */
export type Issuer = {
  /** Its name, `iss` in its tokens: `http://127.0.0.1:<port>`. */
  url: string;
  jwksUrl: string;
  /** `GET <tokenUrl>?user=…&org=…&role=…` answers `{"token", "expiresInSeconds"}`. */
  tokenUrl: string;
  sign(content: TokenContent): Promise<string>;
  close(): Promise<void>;
};

/**
 * Opens the local issuer of a directory.
 *
 * Its key lives in `<dir>/issuer.json`, and so does its port: tokens stay valid over a restart. It
 * listens on 127.0.0.1 only. Whoever can reach it can be anyone, so its token page answers only
 * requests that name this machine as their host, and pages of `allowedOrigins`.
 *
 * @param port the port to use from now on; by default the one of the last time, or a free one if
 * that is taken.
 */
export async function openIssuer({
  dir,
  port,
  allowedOrigins = [],
}: {
  dir: string;
  port?: number;
  allowedOrigins?: readonly string[];
}): Promise<Issuer> {
  const record = await openIssuerRecord(dir);
  const server = createServer();
  const boundPort = await listen(server, port, record.port);
  if (boundPort !== record.port) await rememberPort(dir, boundPort);
  const url = issuerUrl(boundPort);
  const sign = (content: TokenContent) => signToken({ ...content, key: record.key, issuer: url });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answer(request, { record, sign, allowedOrigins }).then(
      (reply) => send(response, reply),
      (error: unknown) => {
        console.error('issuer:', error);
        send(response, { status: 500, body: { error: 'the local issuer failed' } });
      },
    );
  });
  return {
    url,
    jwksUrl: `${url}${jwksPath}`,
    tokenUrl: `${url}${tokenPath}`,
    sign,
    close: () => closeServer(server),
  };
}

/** The name of the local issuer on a port. */
export function issuerUrl(port: number): string {
  return `http://127.0.0.1:${port}`;
}

const jwksPath = '/.well-known/jwks.json';
const tokenPath = '/token';

type Reply = { status: number; body?: object; headers?: Record<string, string> };

type Context = {
  record: IssuerRecord;
  sign: Issuer['sign'];
  allowedOrigins: readonly string[];
};

async function answer(request: IncomingMessage, context: Context): Promise<Reply> {
  // A page of elsewhere can have its own name resolve to this machine, but still sends that name.
  if (!isThisMachine(request.headers.host)) return refuse(403, 'this host is not served');
  const { origin } = request.headers;
  if (origin !== undefined && !context.allowedOrigins.includes(origin)) {
    return refuse(403, 'this origin may not ask for tokens');
  }
  const reply = await route(request, context);
  if (origin === undefined) return reply;
  return { ...reply, headers: { ...reply.headers, 'access-control-allow-origin': origin } };
}

async function route(request: IncomingMessage, { record, sign }: Context): Promise<Reply> {
  const [path, query] = (request.url ?? '').split('?', 2);
  if (path !== jwksPath && path !== tokenPath) return refuse(404, 'not found');
  if (request.method === 'OPTIONS') {
    return { status: 204, headers: { 'access-control-allow-methods': 'GET' } };
  }
  if (request.method !== 'GET') return refuse(405, 'only GET is answered', { allow: 'GET' });
  if (path === jwksPath) return { status: 200, body: { keys: [record.publicJwk] } };
  return giveToken(new URLSearchParams(query), sign);
}

async function giveToken(parameters: URLSearchParams, sign: Issuer['sign']): Promise<Reply> {
  const { permission: _, ...single } = Object.fromEntries(parameters);
  const permissions = parameters.getAll('permission');
  const asked = tokenRequestSchema.safeParse({ ...single, permissions });
  if (!asked.success) return refuse(400, describeProblems(asked.error));
  const token = await sign(asked.data);
  return { status: 200, body: { token, expiresInSeconds: asked.data.ttlSeconds } };
}

function refuse(status: number, error: string, headers: Record<string, string> = {}): Reply {
  return { status, body: { error }, headers };
}

function send(response: ServerResponse, { status, body, headers }: Reply): void {
  response.writeHead(status, {
    ...(body ? { 'content-type': 'application/json' } : {}),
    'cache-control': 'no-store',
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    vary: 'Origin',
    ...headers,
  });
  response.end(body ? JSON.stringify(body) : undefined);
}

function isThisMachine(host: string | undefined): boolean {
  return host !== undefined && /^(?:127\.0\.0\.1|localhost)(?::\d+)?$/i.test(host);
}

/** Listens on the port asked for or, where none is asked for, on the remembered or a free one. */
async function listen(server: Server, asked: number | undefined, remembered: number) {
  try {
    return await listenOn(server, asked ?? remembered);
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    if (asked !== undefined || !isTaken) throw error;
    return await listenOn(server, 0);
  }
}

function listenOn(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeAllConnections();
  await closed;
}
