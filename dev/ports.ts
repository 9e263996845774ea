import { once } from 'node:events';
import { createServer } from 'node:net';

/** Whether `port` on 127.0.0.1 could be bound a moment ago; someone may still be faster. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await bindOnce(port)) !== undefined;
}

/** A port on 127.0.0.1 that was free a moment ago: the first free one of `preferred`, else any. */
export async function findFreePort(preferred: readonly number[] = []): Promise<number> {
  for (const port of [...preferred, 0]) {
    const bound = await bindOnce(port);
    if (bound !== undefined) return bound;
  }
  throw new Error('No free port on 127.0.0.1.');
}

async function bindOnce(port: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  } catch {
    return undefined;
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : undefined;
}
