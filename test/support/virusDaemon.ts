import { createServer, type Server, type Socket } from 'node:net';

/** The test file that every scanner knows. In two halves, so that none finds it here. */
export const eicar = `${'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STAND'}${'ARD-ANTIVIRUS-TEST-FILE!$H+H*'}`;

/**
 * Makes a daemon that speaks INSTREAM as ClamAV does, and finds EICAR.
 *
 * @param reply what to answer in place of what it found; null for nothing.
 */
export function makeVirusDaemon(reply?: (found: string) => string | null): Server {
  return createServer((socket: Socket) => {
    let received = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const command = Buffer.from('zINSTREAM\0');
      if (received.length < command.length) return;
      if (!received.subarray(0, command.length).equals(command))
        return void socket.end('UNKNOWN COMMAND\0');
      const parts: Buffer[] = [];
      for (let at = command.length; at + 4 <= received.length; ) {
        const length = received.readUInt32BE(at);
        if (length === 0) {
          const found = Buffer.concat(parts).includes(eicar) ? 'Eicar-Signature FOUND' : 'OK';
          const answer = reply ? reply(found) : `stream: ${found}\0`;
          if (answer !== null) socket.end(answer);
          return;
        }
        if (at + 4 + length > received.length) return;
        parts.push(received.subarray(at + 4, at + 4 + length));
        at += 4 + length;
      }
    });
  });
}
