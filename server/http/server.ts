import type { Server } from 'node:http';

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

/** Stops listening, waits for running requests at most `graceMs`, then ends their connections. */
export async function closeServer(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  server.closeIdleConnections();
  await closed;
  clearTimeout(timer);
}
