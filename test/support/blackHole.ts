import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProgram } from './program.ts';

/** A server behind a network that swallows everything: whoever connects to it hangs. */
export type BlackHole = {
  url: string;
  close(): Promise<void>;
};

/** Opens one: a process that stands still, with as many connections waiting as it may have. */
export async function openBlackHole(): Promise<BlackHole> {
  const program = startProgram('test/support/blackHoleServer.ts', {});
  const { msg } = await program.line(({ msg: line }) => String(line).startsWith('http'));
  const url = new URL(String(msg));
  const sockets: Socket[] = [];
  for (let isFull = false; !isFull; ) {
    const socket = connect(Number(url.port), url.hostname).on('error', () => {});
    sockets.push(socket);
    const connected = new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
    });
    isFull = !(await Promise.race([connected, sleep(500, false)]));
  }
  return {
    url: url.origin,
    async close() {
      for (const socket of sockets) socket.destroy();
      program.kill('SIGKILL');
      await program.ended;
    },
  };
}
