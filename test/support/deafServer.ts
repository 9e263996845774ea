import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

/** A server to which connections are begun and never made, as through a network that is cut. */
export type DeafServer = { url: string; close(): void };

/** Listens, and does nothing for a minute. */
const listenOnly = `
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
    process.exit();
  });`;

/** Opens a server whose queue of new connections is full: the kernel drops who asks for another. */
export async function openDeafServer(): Promise<DeafServer> {
  const child = spawn(process.execPath, ['-e', listenOnly], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [told] = await once(child.stdout, 'data');
  const port = Number(told);
  const queued = [1, 2, 3, 4].map(() => connect(port, '127.0.0.1').on('error', () => {}));
  await Promise.race(queued.map((socket) => once(socket, 'connect')));
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      for (const socket of queued) socket.destroy();
      child.kill('SIGKILL');
    },
  };
}
