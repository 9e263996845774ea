import { createServer, type Server, type Socket } from 'node:net';

/** The test file that every scanner knows. In two halves, so that none finds it here. */
export const eicar = `${'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STAND'}${'ARD-ANTIVIRUS-TEST-FILE!$H+H*'}`;

/** How a daemon differs from one that finds EICAR in whatever it is shown. */
export type VirusDaemonOptions = {
  /** What to answer in place of what it found; null for nothing. */
  reply?: (found: string) => string | null;
  /** `StreamMaxLength`: it answers and hangs up, unread what is on its way, once it is shown more. */
  maxBytes?: number;
};

/** Makes a daemon that speaks PING and INSTREAM as ClamAV does, and finds EICAR. */
export function makeVirusDaemon({
  reply = (found) => `stream: ${found}\0`,
  maxBytes = Number.POSITIVE_INFINITY,
}: VirusDaemonOptions = {}): Server {
  return createServer((socket: Socket) => {
    let received = Buffer.alloc(0);
    const read = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf(0);
      if (end < 0) return;
      const command = received.toString('latin1', 0, end);
      if (command === 'zPING') return void socket.end('PONG\0');
      if (command !== 'zINSTREAM') return void socket.end('UNKNOWN COMMAND\0');
      const parts: Buffer[] = [];
      let byteSize = 0;
      for (let at = end + 1; at + 4 <= received.length; ) {
        const length = received.readUInt32BE(at);
        if (length === 0) {
          const found = Buffer.concat(parts).includes(eicar) ? 'Eicar-Signature FOUND' : 'OK';
          const answer = reply(found);
          if (answer !== null) socket.end(answer);
          return;
        }
        byteSize += length;
        if (byteSize > maxBytes) {
          socket.off('data', read).pause();
          return void socket.write('INSTREAM size limit exceeded. ERROR\0', () => socket.destroy());
        }
        if (at + 4 + length > received.length) return;
        parts.push(received.subarray(at + 4, at + 4 + length));
        at += 4 + length;
      }
    };
    socket.on('error', () => {}).on('data', read);
  });
}
