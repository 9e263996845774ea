import { once } from 'node:events';
import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What befalls requests to a store. */
export type StoreFault = 'none' | '500' | '503' | 'reset' | 'hang' | 'slow' | 'cut';

/** What a store says no with, to each request whose method and URL are so. */
export type StoreRefusal = { status: number; code: string; to: RegExp };

/** A way to a store that can be bad. */
export type FaultyStore = {
  url: string;
  fault: StoreFault | StoreRefusal;
  /** Requests that came while it was bad. */
  readonly hit: number;
  close(): Promise<void>;
};

/** Opens a way to a store at a URL. Signatures stay valid: clients name this way, and so does it. */
export async function openFaultyStore(target: string): Promise<FaultyStore> {
  let hit = 0;
  const server = createServer((request, response) => {
    const { fault } = way;
    const isHit =
      typeof fault === 'object'
        ? fault.to.test(`${request.method} ${request.url}`)
        : fault !== 'none';
    if (isHit) hit += 1;
    if (isHit && typeof fault === 'object') {
      request.resume();
      response.writeHead(fault.status, { 'Content-Type': 'application/xml' });
      return void response.end(`<Error><Code>${fault.code}</Code></Error>`);
    }
    switch (fault) {
      case '500':
      case '503':
        request.resume();
        response.writeHead(Number(fault), { 'Content-Type': 'text/html' });
        return void response.end('<html>not XML</html>');
      case 'reset':
        return void request.socket.resetAndDestroy();
      case 'hang':
        return;
      default:
    }
    const { hostname, port } = new URL(target);
    const onward = send(
      { hostname, port, path: request.url, method: request.method, headers: request.headers },
      async (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        if (fault === 'cut') return void response.socket?.destroy();
        if (fault !== 'slow') return void answer.pipe(response);
        for await (const piece of answer) {
          for (const byte of piece as Buffer) {
            if (response.destroyed) return;
            response.write(Buffer.from([byte]));
            await new Promise((resolve) => setTimeout(resolve, 100));
          }
        }
        response.end();
      },
    );
    onward.on('error', () => response.destroy());
    request.on('error', () => onward.destroy());
    request.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const way = {
    url: `http://127.0.0.1:${port}`,
    fault: 'none' as FaultyStore['fault'],
    get hit() {
      return hit;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return way;
}
