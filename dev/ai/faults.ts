import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

/** What befalls calls. The first three come before the work, the others after it. */
export const aiFault = z
  .discriminatedUnion('kind', [
    z.object({ kind: z.literal('delay'), ms: z.int().min(0) }),
    z.object({ kind: z.literal('hang') }),
    z.object({
      kind: z.literal('status'),
      status: z.int().min(300).max(599),
      /** As the header says it: seconds or a date. */
      retryAfter: z.string().optional(),
    }),
    /** The work is done, and the answer is not JSON, or JSON of another shape. */
    z.object({ kind: z.literal('garbage'), body: z.string().default('<html>not JSON</html>') }),
    z.object({ kind: z.literal('huge'), bytes: z.int().default(200_000_000) }),
    /** The connection breaks in the middle of the answer. */
    z.object({ kind: z.literal('reset') }),
    z.object({ kind: z.literal('slow'), msPerByte: z.int().default(100) }),
  ])
  .and(
    z.object({
      /** So many calls; all from now on where absent. */
      times: z.int().min(1).optional(),
      /** These alone. */
      operation: z.enum(['generate', 'embed', 'filter']).optional(),
    }),
  );

/** What befalls calls. */
export type AiFault = z.input<typeof aiFault>;
/** The same, with all that may be left out. */
export type FullAiFault = z.output<typeof aiFault>;

/**
 * Does what comes before the work.
 * @returns whether the work is still to be done.
 */
export async function befallsBefore(
  fault: FullAiFault,
  response: ServerResponse,
): Promise<boolean> {
  if (fault.kind === 'delay') await sleep(fault.ms, undefined, { ref: false });
  if (fault.kind === 'status') {
    const header = fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter };
    response.writeHead(fault.status, { 'content-type': 'text/html', ...header });
    response.end('<html>not the contract</html>');
  }
  return fault.kind !== 'hang' && fault.kind !== 'status';
}

/** Answers badly; with the answer itself where the fault came before the work. */
export async function answerBadly(
  fault: FullAiFault,
  response: ServerResponse,
  body: string,
): Promise<void> {
  response.setHeader('content-type', 'application/json');
  switch (fault.kind) {
    case 'garbage':
      response.end(fault.body);
      return;
    case 'reset':
      response.setHeader('content-length', Buffer.byteLength(body));
      response.write(body.slice(0, body.length / 2), () => response.socket?.resetAndDestroy());
      return;
    case 'slow':
      for (const byte of Buffer.from(body)) {
        if (response.destroyed) return;
        response.write(Buffer.from([byte]));
        await sleep(fault.msPerByte, undefined, { ref: false });
      }
      response.end();
      return;
    case 'huge':
      return sendHuge(response, fault.bytes);
    default:
      response.end(body);
  }
}

/** One JSON answer of so many bytes, as fast as it is read. */
async function sendHuge(response: ServerResponse, bytes: number): Promise<void> {
  const piece = Buffer.alloc(65_536, 'a');
  const pieces = function* () {
    yield '{"text":"';
    for (let sent = 0; sent < bytes; sent += piece.length) yield piece;
    yield '"}';
  };
  // Whoever reads it may have had enough.
  await pipeline(Readable.from(pieces()), response).catch(() => {});
}
