import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A network between a contestant and Postgres: a TCP proxy that holds every byte back a while. */
export type DelayProxy = {
  /** A connection string, led through the proxy. */
  lead(databaseUrl: string): string;
  close(): Promise<void>;
};

/**
 * Opens a proxy on a free port of 127.0.0.1 to another port there.
 *
 * @param roundTripMs added to a message and its answer together, half each way. What the proxy
 * itself takes comes on top, so measure what it came to.
 */
export async function openDelayProxy(port: number, roundTripMs: number): Promise<DelayProxy> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      // Whatever happened on one side, the other hears of it as an end.
      socket.on('error', () => {});
    }
    pass(client, upstream, roundTripMs / 2);
    pass(upstream, client, roundTripMs / 2);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: ownPort } = server.address() as AddressInfo;
  return {
    lead(databaseUrl) {
      const url = new URL(databaseUrl);
      url.port = String(ownPort);
      return url.href;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Timers are exact to a millisecond at best; what is left of it is spent looking at the clock. */
const timerMs = 1.5;

function pass(from: Socket, to: Socket, delayMs: number): void {
  const held: { chunk: Buffer; dueMs: number }[] = [];
  const letGo = () => {
    for (let next = held[0]; next; next = held[0]) {
      const leftMs = next.dueMs - performance.now();
      if (leftMs > timerMs) return void setTimeout(letGo, leftMs - timerMs);
      if (leftMs > 0) return void setImmediate(letGo);
      held.shift();
      if (to.writable) to.write(next.chunk);
    }
  };
  from.on('data', (chunk) => {
    held.push({ chunk, dueMs: performance.now() + delayMs });
    if (held.length === 1) letGo();
  });
  from.on('close', () => setTimeout(() => to.destroy(), delayMs));
}
