import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { openStorage, type Storage } from './openStorage.ts';

let server: Server;
let storage: Storage;

/** Opens a store that answers as it is told. */
async function open(
  answer: (response: ServerResponse, request: IncomingMessage) => void,
  timeoutMs = 300,
): Promise<void> {
  server = createServer((request, response) => answer(response, request)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  storage = openStorage({
    bucket: 'uploads',
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${port}`,
    timeoutMs,
    credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
  });
}
afterEach(() => {
  storage.close();
  server.closeAllConnections();
  server.close();
});

/** Answers with so many pieces, one every 100 ms. */
function trickle(response: ServerResponse, piece: string, times: number): void {
  response.writeHead(200, { 'Content-Length': String(piece.length * times) });
  let sent = 0;
  const timer = setInterval(() => {
    response.write(piece);
    sent += 1;
    if (sent === times || response.destroyed) clearInterval(timer);
  }, 100);
}

type ReadOptions = Parameters<Storage['read']>[1];

async function readAll(options?: ReadOptions): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of storage.read('key', options)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('reading an object', () => {
  test('may take longer than the time limit, as long as bytes keep coming', async () => {
    // A time limit that the pause between two pieces does not reach on a busy machine.
    await open((response) => trickle(response, 'x'.repeat(40_000), 25), 2_000);
    expect(await readAll()).toBe('x'.repeat(1_000_000));
  });

  test('ends when they only trickle in', async () => {
    await open((response) => trickle(response, 'x', 100));
    await expect(readAll()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('ends when no more bytes come', async () => {
    await open((response) => void response.writeHead(200, { 'Content-Length': '8' }).write('x'));
    await expect(readAll()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('ends when the connection breaks in the middle', async () => {
    await open((response) => {
      response.writeHead(200, { 'Content-Length': '8' }).write('x', () => response.destroy());
    });
    await expect(readAll()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('ends when nobody answers', async () => {
    await open(() => {});
    await expect(readAll()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('reading an object whose head was seen', () => {
  const seen = { byteSize: 8n, etag: '"one"', version: null };
  /** Without a length: nobody notices when the end comes early. */
  const answer = (etag: string | undefined, text: string) =>
    open((response) => {
      response.writeHead(200, { 'Transfer-Encoding': 'chunked', ...(etag && { ETag: etag }) });
      response.end(text);
    });

  test.each(['"one"', 'one', 'W/"one"'])('gives its bytes, by the tag %s', async (etag) => {
    await answer(etag, 'x'.repeat(8));
    expect(await readAll({ seen })).toBe('x'.repeat(8));
  });

  test('gives as many of the first as there are', async () => {
    await answer('"one"', 'xxx');
    expect(await readAll({ seen, first: 3 })).toBe('xxx');
    expect(await readAll({ seen: { ...seen, byteSize: 3n }, first: 100 })).toBe('xxx');
  });

  test.each<[string, string | undefined, string, ReadOptions]>([
    ['another object is answered', '"two"', 'x'.repeat(8), {}],
    ['nobody says which object it is', undefined, 'x'.repeat(8), {}],
    ['fewer bytes come, and a clean end', '"one"', 'x'.repeat(7), {}],
    ['fewer come than were asked for', '"one"', 'xx', { first: 3 }],
    ['more bytes come', '"one"', 'x'.repeat(9), {}],
  ])('says nothing of it where %s', async (_, etag, text, options) => {
    await answer(etag, text);
    await expect(readAll({ seen, ...options })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('copying an object', () => {
  const source = { key: 'incoming', byteSize: 2_000n, etag: '"x"' };
  const to = { key: 'files', contentType: 'text/plain' };

  test('ends when nobody answers, and keeps no other call waiting', async () => {
    await open(() => {});
    const copies = Array.from({ length: 12 }, () => storage.copy(source, to));
    for (const copy of await Promise.allSettled(copies)) {
      expect(copy).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
    }
  }, 10_000);

  test('may take as long as the object is large', async () => {
    await open((response) => {
      setTimeout(() => response.end('<CopyObjectResult><ETag>x</ETag></CopyObjectResult>'), 600);
    });
    await storage.copy({ ...source, byteSize: 100_000_000n }, to);
  });
});

describe('a clock that is 20 minutes off', () => {
  const behindMs = 20 * 60_000;
  const upload = {
    key: 'incoming',
    contentType: 'text/plain',
    byteSize: 1n,
    checksumSha256: 'x',
    ttlSeconds: 60,
  };

  test.each([
    ['the head of an object', () => storage.head('key').then((found) => found?.byteSize)],
    ['an object', () => readAll().then((text) => BigInt(text.length))],
  ])(
    'keeps nobody from %s, and signatures have the time of the store from then on',
    async (_, ask) => {
      const storeMs = () => Date.now() + behindMs;
      await open((response, { headers, method }) => {
        const [, year, month, day, hour, minute, second] =
          /^(....)(..)(..)T(..)(..)(..)Z$/.exec(String(headers['x-amz-date'])) ?? [];
        const sentMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
        response.setHeader('Date', new Date(storeMs()).toUTCString());
        if (Math.abs(storeMs() - sentMs) < 15 * 60_000) {
          response.setHeader('Content-Length', '1').setHeader('ETag', '"x"');
          return void response.end(method === 'HEAD' ? undefined : 'x');
        }
        response.writeHead(403, { 'Content-Type': 'application/xml' });
        response.end('<Error><Code>RequestTimeTooSkewed</Code></Error>');
      });
      expect(await ask()).toBe(1n);
      const { expiresAt } = await storage.sign.upload(upload);
      expect(Math.abs(expiresAt.getTime() - storeMs() - 60_000)).toBeLessThan(30_000);
    },
  );
});

describe('an upload in parts', () => {
  /** What AWS wants: checksums announced at the start, and told again at the end. */
  async function openStrict(): Promise<string[]> {
    const seen: string[] = [];
    await open((response, request) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece) => pieces.push(piece));
      request.on('end', () => {
        const body = Buffer.concat(pieces).toString();
        const { method, url = '', headers } = request;
        seen.push(`${method} ${headers['x-amz-checksum-algorithm'] ?? ''} ${body}`);
        response.setHeader('Content-Type', 'application/xml');
        if (method === 'GET') {
          const isFirst = !url.includes('part-number-marker');
          const [number, next] = isFirst
            ? [1, '<NextPartNumberMarker>1</NextPartNumberMarker>']
            : [2, ''];
          const part = `<Part><PartNumber>${number}</PartNumber><ChecksumSHA256>sum${number}</ChecksumSHA256></Part>`;
          return void response.end(
            `<ListPartsResult><IsTruncated>${isFirst}</IsTruncated>${next}${part}</ListPartsResult>`,
          );
        }
        response.end('<Result><UploadId>one</UploadId></Result>');
      });
    }, 2_000);
    return seen;
  }

  test.each([
    [true, 'SHA256'],
    [false, ''],
  ])('says at its start whether parts have checksums: %s', async (hasChecksums, algorithm) => {
    const seen = await openStrict();
    expect(await storage.startMultipart('key', 'text/plain', { hasChecksums })).toBe('one');
    expect(seen).toEqual([`POST ${algorithm} `]);
  });

  test('is completed with the checksums that the store keeps of its parts', async () => {
    const seen = await openStrict();
    const parts = [1, 2].map((partNumber) => ({ partNumber, etag: `"${partNumber}"` }));
    await storage.completeMultipart('key', 'one', parts, 10);
    expect(seen.at(-1)).toMatch(/sum1.*sum2/s);
  });
});
