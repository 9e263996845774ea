import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Limits of time for sockets. The keep-alive is longer than the 60 s a load
 * balancer keeps its connections, so that it is never the balancer that finds a
 * connection closed under a request.
 */
export function setServerTimeouts(server: Server): void {
  server.keepAliveTimeout = 65_000;
  server.headersTimeout = 66_000;
  server.requestTimeout = 30_000;
}

/**
 * Starts to listen. Resolves to the URL, with the port that port 0 became.
 *
 * @param setting the variable that the port comes from.
 * @throws an error that says what to do, where the address cannot be had.
 */
export async function listen(
  server: Server,
  { port, host, setting }: { port: number; host: string; setting: string },
): Promise<string> {
  server.listen(port, host);
  await once(server, 'listening').catch((cause: unknown) => {
    throw new Error(
      `Cannot listen on ${host}:${port}. Is another program using it? Set ${setting} or HOST to another.`,
      { cause },
    );
  });
  const bound = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${bound.port}`;
}

/** Stops listening, waits for running requests at most `graceMs`, then ends their connections. */
export async function closeServer(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  server.closeIdleConnections();
  await closed;
  clearTimeout(timer);
}
