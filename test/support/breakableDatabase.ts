import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A way to a database that can be cut, as if Postgres had gone and come back. */
export type BreakableDatabase = {
  /** The connection string that leads this way. */
  url: string;
  /** Ends all connections at once, as a crash or as a restart would, and refuses new ones. */
  cut(how?: 'reset' | 'end'): Promise<void>;
  /** Lets connections through again, on the same port. */
  mend(): Promise<void>;
  close(): Promise<void>;
};

/** Opens a way to the database of a connection string; open, unless told otherwise. */
export async function openBreakableDatabase(
  connectionString: string,
  { isCut = false } = {},
): Promise<BreakableDatabase> {
  const target = new URL(connectionString);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        sockets.delete(from);
      });
    }
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const cut = async (how: 'reset' | 'end' = 'reset') => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) {
      if (how === 'reset') socket.resetAndDestroy();
      else socket.destroy();
    }
    await closed;
  };

  await listen(0);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  if (isCut) await cut();
  const url = new URL(connectionString);
  url.host = `127.0.0.1:${port}`;
  return { url: url.href, cut, mend: () => listen(port), close: () => cut() };
}
