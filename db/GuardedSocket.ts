import { Socket } from 'node:net';

/**
 * A socket to Postgres that ends itself over a message no Postgres would send.
 *
 * node-postgres believes what it reads: over a garbled message its parser throws
 * where nobody can catch it, waits for gigabytes, or, in an error without its end,
 * never stops reading. One bad connection would end or freeze the process. Over TLS
 * nothing is garbled on its way, and nothing is looked at.
 */
export class GuardedSocket extends Socket {
  #check = makeMessageCheck();

  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event !== 'data') return super.emit(event, ...args);
    try {
      this.#check(args[0] as Buffer);
      return super.emit(event, ...args);
    } catch (error) {
      this.destroy(error as Error);
      return true;
    }
  }
}

/** What a server says that does not follow Postgres's protocol. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Types of messages a server sends. */
const types = new Set(Buffer.from('123ACDEGHIKNRSTVWZcdnstv'));
const errorType = 'E'.charCodeAt(0);
const noticeType = 'N'.charCodeAt(0);
/** Type and length. */
const headerBytes = 5;
/** More than Postgres can put into one message. */
const maxBytes = 2 ** 30 + 2 ** 20;

/**
 * Makes a check of a server's messages, to be shown each chunk of them in turn.
 * It follows their frames, and looks into errors and notices only.
 *
 * @throws ProtocolError from the check.
 */
export function makeMessageCheck(): (chunk: Buffer) => void {
  const header = Buffer.alloc(headerBytes);
  let headerFilled = 0;
  let bodyLeft = 0;
  /** The body so far of an error or notice. */
  let remark: Buffer[] | undefined;

  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (bodyLeft === 0) {
        let type = chunk[at];
        if (headerFilled === 0 && at + headerBytes <= chunk.length) {
          bodyLeft = bodyBytes(chunk, at);
          at += headerBytes;
        } else {
          // It comes in pieces.
          const copied = chunk.copy(header, headerFilled, at, at + headerBytes - headerFilled);
          at += copied;
          headerFilled += copied;
          if (headerFilled < headerBytes) return;
          headerFilled = 0;
          type = header[0];
          bodyLeft = bodyBytes(header, 0);
        }
        if (type === errorType || type === noticeType) remark = [];
      }
      const end = Math.min(at + bodyLeft, chunk.length);
      remark?.push(chunk.subarray(at, end));
      bodyLeft -= end - at;
      at = end;
      if (bodyLeft === 0 && remark) {
        assertFields(Buffer.concat(remark));
        remark = undefined;
      }
    }
  };
}

function bodyBytes(header: Buffer, at: number): number {
  const type = header[at];
  const bytes = header.readUInt32BE(at + 1);
  if (type === undefined || !types.has(type) || bytes < 4 || bytes > maxBytes) {
    throw new ProtocolError(`A message of type ${type} and ${bytes} bytes.`);
  }
  return bytes - 4;
}

/** Fields of a type and a text each, texts ended by a zero byte, and one more at the end. */
function assertFields(body: Buffer): void {
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const end = body.indexOf(0, at + 1);
    if (end < 0) break;
    at = end + 1;
  }
  if (at !== body.length - 1 || body[at] !== 0)
    throw new ProtocolError('An error without its end.');
}
