import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { RowhouseError } from '../../platform/errors/registry.ts';

/** One look of the scanner at a stream of bytes. */
export type Scan = {
  /** Resolves when the scanner can take more. */
  write(bytes: Buffer): Promise<void>;
  /** All bytes were written. @throws RowhouseError `UNAVAILABLE` when the scanner gives no verdict. */
  verdict(): Promise<'clean' | 'infected'>;
  /** Ends it, whatever its state. */
  close(): void;
};

/** Opens a scan where a virus scanner is configured. */
export type Scanner = () => Promise<Scan>;

/**
 * Makes the scanner that asks a ClamAV daemon, by its command INSTREAM.
 *
 * @param url `tcp://host:port` or `unix:/path`.
 * @param timeoutMs for the connection, for each write and for the verdict.
 */
export function makeScanner(url: string, timeoutMs: number): Scanner {
  return async () => {
    const socket = dial(url);
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('the scanner is silent')));
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    const ended = new Promise((resolve) => socket.once('close', resolve));
    // Whoever writes or asks for the verdict hears of it.
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });

    async function send(bytes: Buffer): Promise<void> {
      if (failure || socket.destroyed) throw away(failure);
      if (socket.write(bytes)) return;
      await Promise.race([once(socket, 'drain').catch(() => {}), ended]);
      if (failure) throw away(failure);
    }

    await send(Buffer.from('zINSTREAM\0'));
    return {
      async write(bytes) {
        const length = Buffer.alloc(4);
        length.writeUInt32BE(bytes.length);
        if (bytes.length > 0) await send(Buffer.concat([length, bytes]));
      },
      async verdict() {
        await send(Buffer.alloc(4));
        await ended;
        const text = answer.replace(/\0$/, '').trim();
        if (text.endsWith(' FOUND')) return 'infected';
        if (text === 'stream: OK') return 'clean';
        throw away(failure ?? new Error(`the scanner says: ${text.slice(0, 200)}`));
      },
      close: () => socket.destroy(),
    };
  };
}

function dial(url: string): Socket {
  if (url.startsWith('unix:')) return connect(url.slice('unix:'.length));
  const { hostname, port } = new URL(url);
  return connect(Number(port), hostname);
}

const away = (cause: unknown) => new RowhouseError('UNAVAILABLE', { cause });
