import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Metrics, prometheusContentType } from '../platform/metrics.ts';

/** What the worker tells about itself over HTTP. */
export type ListenerOptions = {
  port: number;
  host: string;
  metrics: Pick<Metrics, 'renderPrometheus'>;
  /** The bearer token that `/metrics` asks for; none where absent. */
  metricsToken: string | undefined;
  /** What `/readyz` says, and whether that is well. */
  readiness(): Promise<{ isReady: boolean; status: string; checks: object }>;
};

/** The listener of a worker. */
export type Listener = {
  url: string;
  close(): Promise<void>;
};

/**
 * Serves `/healthz`, `/readyz` and `/metrics`, and nothing else.
 *
 * @throws an error that says what to do, where the address cannot be had.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { port, host } = options;
  const server = createServer((request, response) => {
    answer(request, response, options).catch(() => response.destroy());
  });
  server.listen(port, host);
  await once(server, 'listening').catch((cause: unknown) => {
    throw new Error(
      `Cannot listen on ${host}:${port}. Is another program using it? Set WORKER_PORT or HOST to another.`,
      { cause },
    );
  });
  const bound = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound.port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { metrics, metricsToken, readiness }: ListenerOptions,
): Promise<void> {
  const path = request.url?.split('?')[0];
  if (path === '/healthz') return sendJson(response, 200, { status: 'ok' });
  if (path === '/readyz') {
    const { isReady, status, checks } = await readiness();
    return sendJson(response, isReady ? 200 : 503, { status, checks });
  }
  if (path !== '/metrics') return sendJson(response, 404, { status: 'not found' });
  if (metricsToken && !isSame(request.headers.authorization, `Bearer ${metricsToken}`)) {
    response.setHeader('WWW-Authenticate', 'Bearer');
    return sendJson(response, 401, { status: 'unauthenticated' });
  }
  const text = await metrics.renderPrometheus();
  response.writeHead(200, { 'Content-Type': prometheusContentType }).end(text);
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response
    .writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
    .end(JSON.stringify(body));
}

/** Digests have one length, so the comparison takes the same time for every guess. */
function isSame(given = '', expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
