import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { RowhouseError } from '../../platform/errors/registry.ts';

/** What a scanner says of bytes; `refused` where it will not look at so many, ever. */
export type ScanVerdict = 'clean' | 'infected' | 'refused';

/** One look of the scanner at a stream of bytes. */
export type Scan = {
  /** Resolves when the scanner can take more, or has said already what it has to say. */
  write(bytes: Buffer): Promise<void>;
  /** All bytes were written. @throws RowhouseError `UNAVAILABLE` when the scanner gives no verdict. */
  verdict(): Promise<ScanVerdict>;
  /** Ends it, whatever its state. */
  close(): void;
};

/** A virus scanner. */
export type Scanner = {
  /** @throws RowhouseError `UNAVAILABLE` where it does not answer: a scan would get no verdict. */
  ping(): Promise<void>;
  open(): Promise<Scan>;
};

/** It has nothing to look at: one that takes longer hangs, and keeps no worker waiting for a scan's time. */
const pingTimeoutMs = 5_000;

/**
 * Makes the scanner that asks a ClamAV daemon, by its command INSTREAM.
 *
 * @param url `tcp://host:port` or `unix:/path`.
 * @param timeoutMs for the connection, for each write and for the verdict.
 */
export function makeScanner(url: string, timeoutMs: number): Scanner {
  return {
    async ping() {
      const { send, answered, close } = call(url, Math.min(timeoutMs, pingTimeoutMs));
      try {
        await send(Buffer.from('zPING\0'));
        const text = await answered();
        if (text !== 'PONG') throw away(unknownAnswer(text));
      } finally {
        close();
      }
    },
    async open() {
      const { send, answered, close } = call(url, timeoutMs);
      await send(Buffer.from('zINSTREAM\0'));
      return {
        async write(bytes) {
          // So that an answer that came meanwhile is read before a write to who hung up fails, and
          // loses it. Where it comes in that very moment, the next try reads it.
          await setImmediate();
          const length = Buffer.alloc(4);
          length.writeUInt32BE(bytes.length);
          if (bytes.length > 0) await send(Buffer.concat([length, bytes]));
        },
        async verdict() {
          await send(Buffer.alloc(4));
          return verdictOf(await answered());
        },
        close,
      };
    },
  };
}

/** One connection to the daemon, which ends with its answer. */
function call(url: string, timeoutMs: number) {
  const socket = dial(url);
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('the scanner is silent')));
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  const ended = new Promise((resolve) => socket.once('close', resolve));
  // Whoever sends or waits for the answer hears of it.
  let failure: Error | undefined;
  socket.on('error', (error) => {
    failure = error;
  });
  return {
    async send(bytes: Buffer): Promise<void> {
      // It answers before it has read all, and hangs up, where it wants no more.
      if (answer !== '') return;
      if (failure || socket.destroyed) throw away(failure);
      if (socket.write(bytes)) return;
      await Promise.race([once(socket, 'drain').catch(() => {}), ended]);
      if (failure && answer === '') throw away(failure);
    },
    async answered(): Promise<string> {
      await ended;
      if (answer === '') throw away(failure);
      return answer.replace(/\0$/, '').trim();
    },
    close: () => void socket.destroy(),
  };
}

/** The protocol has no codes: these texts are its answers. */
function verdictOf(text: string): ScanVerdict {
  if (text === 'stream: OK') return 'clean';
  // By `StreamMaxLength`; or by another limit, where `AlertExceedsMax` has it told.
  if (text.startsWith('INSTREAM size limit exceeded')) return 'refused';
  if (/^stream: Heuristics\.Limits\.Exceeded\S* FOUND$/.test(text)) return 'refused';
  if (text.endsWith(' FOUND')) return 'infected';
  throw away(unknownAnswer(text));
}

function dial(url: string): Socket {
  if (url.startsWith('unix:')) return connect(url.slice('unix:'.length));
  const { hostname, port } = new URL(url);
  return connect(Number(port), hostname);
}

const unknownAnswer = (text: string) => new Error(`the scanner says: ${text.slice(0, 200)}`);
const away = (cause: unknown) => new RowhouseError('UNAVAILABLE', { cause });
