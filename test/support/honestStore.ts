import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/** A way to a store that answers as AWS does where the local one does not. */
export type HonestStore = {
  url: string;
  /** Requests that came since it was last told to forget them, as method and URL, and the bytes it answered. */
  readonly asked: string[];
  readonly sentBytes: number;
  forget(): void;
  /** The kind of checksum that it reports: of all bytes, of the parts' checksums, or none. */
  checksum: 'FULL_OBJECT' | 'COMPOSITE' | 'none';
  /** The newest version of what a URL names, where the store is to seem to keep versions. */
  versionOf: ((url: string) => string) | undefined;
  close(): Promise<void>;
};

/**
 * Opens a way to a store at a URL that computes the SHA-256 of what lies there, and tells it with
 * the head of an object to whoever asks for it, as AWS does; and that copies to no key that is
 * taken, where it is told `If-None-Match: *`.
 */
export async function openHonestStore(target: string): Promise<HonestStore> {
  const { hostname, port } = new URL(target);
  const asked: string[] = [];
  let sentBytes = 0;
  const forward = ({ method, url: path, headers }: IncomingMessage, body?: IncomingMessage) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const onward = send({ hostname, port, path, method, headers }, resolve);
      onward.on('error', reject);
      if (body) body.pipe(onward);
      else onward.end();
    });
  const isTaken = async ({ url: path }: IncomingMessage) =>
    (await fetch(new URL((path ?? '').split('?')[0] ?? '', target), { method: 'HEAD' })).ok;

  const answerTo = async (request: IncomingMessage, response: ServerResponse) => {
    asked.push(`${request.method} ${request.url}`);
    const { method, headers } = request;
    if (
      headers['x-amz-copy-source'] &&
      headers['if-none-match'] === '*' &&
      (await isTaken(request))
    ) {
      response.writeHead(412, { 'Content-Type': 'application/xml' });
      return void response.end('<Error><Code>PreconditionFailed</Code></Error>');
    }
    const answer = await forward(request, request);
    const told = { ...answer.headers };
    const wantsChecksum = method === 'HEAD' && headers['x-amz-checksum-mode'] === 'ENABLED';
    if (wantsChecksum && answer.statusCode === 200 && way.checksum !== 'none') {
      const object = await fetch(new URL((request.url ?? '').split('?')[0] ?? '', target));
      const bytes = Buffer.from(await object.arrayBuffer());
      const sha256 = (data: Buffer) => createHash('sha256').update(data).digest();
      const isWhole = way.checksum === 'FULL_OBJECT';
      told['x-amz-checksum-sha256'] = isWhole
        ? sha256(bytes).toString('base64')
        : `${sha256(sha256(bytes)).toString('base64')}-1`;
      told['x-amz-checksum-type'] = way.checksum;
    }
    if (method === 'HEAD' && way.versionOf) {
      told['x-amz-version-id'] = way.versionOf(request.url ?? '');
    }
    response.writeHead(answer.statusCode ?? 502, told);
    answer.on('data', (piece: Buffer) => {
      sentBytes += piece.length;
    });
    answer.pipe(response);
  };
  const server = createServer((request, response) => {
    // Of a worker that was killed while it asked nobody waits for the answer.
    answerTo(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const way: HonestStore = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    get sentBytes() {
      return sentBytes;
    },
    forget() {
      asked.length = 0;
      sentBytes = 0;
    },
    checksum: 'FULL_OBJECT',
    versionOf: undefined,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return way;
}
