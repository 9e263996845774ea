import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An issuer's key server that tests turn against the API: it counts, and answers what it is told. */
export type JwksServer = {
  url: string;
  /** Requests received so far. */
  requestCount(): number;
  /** Answers with these keys from now on. */
  publish(...keys: object[]): void;
  /** Answers in any other way from now on. */
  respond(listener: RequestListener): void;
  close(): Promise<void>;
};

/** Opens a key server on a free port. It publishes `keys` until told otherwise. */
export async function openJwksServer(...keys: object[]): Promise<JwksServer> {
  let requests = 0;
  let listener: RequestListener = (_request, response) => response.end();
  const server = createServer((request, response) => {
    requests += 1;
    listener(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const publish = (...published: object[]) => {
    listener = (_request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ keys: published }));
    };
  };
  publish(...keys);
  return {
    url: `http://127.0.0.1:${port}/.well-known/jwks.json`,
    requestCount: () => requests,
    publish,
    respond: (next) => {
      listener = next;
    },
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
