import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { makeBearerCheck } from '../platform/http/bearerCheck.ts';
import { closeServer, listen, setServerTimeouts } from '../platform/http/listen.ts';
import { sendJson, sendText } from '../platform/http/sendJson.ts';
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

/** How long an answer that is being sent may take when it closes. */
const graceMs = 500;

/**
 * Serves `/healthz`, `/readyz` and `/metrics`, and nothing else.
 *
 * @throws an error that says what to do, where the address cannot be had.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const answer = makeAnswer(options);
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  setServerTimeouts(server);
  const { port, host } = options;
  const url = await listen(server, { port, host, setting: 'WORKER_PORT' });
  return { url, close: () => closeServer(server, graceMs) };
}

function makeAnswer({ metrics, metricsToken, readiness }: ListenerOptions) {
  const isAllowed = makeBearerCheck(metricsToken);
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.setHeader('Cache-Control', 'no-store');
    const path = request.url?.split('?')[0];
    const isAsked = request.method === 'GET' || request.method === 'HEAD';
    if (isAsked && path === '/healthz') return sendJson(response, 200, { status: 'ok' });
    if (isAsked && path === '/readyz') {
      const { isReady, status, checks } = await readiness();
      return sendJson(response, isReady ? 200 : 503, { status, checks });
    }
    if (!isAsked || path !== '/metrics') return sendJson(response, 404, { status: 'not found' });
    if (!isAllowed(request.headers.authorization)) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      return sendJson(response, 401, { status: 'unauthenticated' });
    }
    sendText(response, 200, prometheusContentType, await metrics.renderPrometheus());
  };
}
