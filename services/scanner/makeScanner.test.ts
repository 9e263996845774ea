import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eicar, makeVirusDaemon } from '../../test/support/virusDaemon.ts';
import { makeScanner } from './makeScanner.ts';

let dir: string;
const servers: Server[] = [];
async function listen(server: Server, at: string | number = 0): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) =>
    typeof at === 'number' ? server.listen(at, '127.0.0.1', resolve) : server.listen(at, resolve),
  );
  const address = server.address();
  return typeof address === 'string' ? `unix:${address}` : `tcp://127.0.0.1:${address?.port}`;
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rowhouse-scanner-'));
});
afterAll(async () => {
  for (const server of servers) server.close();
  await rm(dir, { recursive: true });
});

async function scan(url: string, pieces: Buffer[], timeoutMs = 5_000): Promise<string> {
  const scanning = await makeScanner(url, timeoutMs).open();
  try {
    for (const piece of pieces) await scanning.write(piece);
    return await scanning.verdict();
  } finally {
    scanning.close();
  }
}

describe('the scanner', () => {
  test('tells clean from infected, over TCP and over a socket in the file system', async () => {
    const daemon = () => makeVirusDaemon();
    for (const url of [await listen(daemon()), await listen(daemon(), join(dir, 'clamd.sock'))]) {
      expect(await scan(url, [Buffer.from('Sell more anvils.')])).toBe('clean');
      expect(await scan(url, [])).toBe('clean');
      const halves = [
        Buffer.from(eicar.slice(0, 30)),
        Buffer.alloc(0),
        Buffer.from(eicar.slice(30)),
      ];
      expect(await scan(url, halves)).toBe('infected');
    }
  });

  test('takes more than fits into a socket at once', async () => {
    const url = await listen(makeVirusDaemon());
    expect(
      await scan(
        url,
        Array.from({ length: 40 }, () => Buffer.alloc(65_536)),
      ),
    ).toBe('clean');
  });

  test.each([
    ['an error of the daemon', (_: string) => 'Error writing to temporary file. ERROR\0'],
    ['half an answer', (_: string) => 'stream:'],
    ['no answer, and the end', (_: string) => ''],
    ['silence', (_: string) => null],
  ])('takes %s for no verdict', async (_, reply) => {
    const url = await listen(makeVirusDaemon({ reply }));
    await expect(scan(url, [Buffer.from('x')], 300)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('that is not there gives none', async () => {
    const url = await listen(makeVirusDaemon());
    servers.pop()?.close();
    await expect(scan(url, [Buffer.from('x')])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('refuses what is larger than it takes, also when it hangs up in the middle', async () => {
    const url = await listen(makeVirusDaemon({ maxBytes: 100_000 }));
    const pieces = (count: number) => Array.from({ length: count }, () => Buffer.alloc(50_000));
    expect(await scan(url, pieces(2))).toBe('clean');
    expect(await scan(url, pieces(3))).toBe('refused');
    expect(await scan(url, pieces(200))).toBe('refused');
  });

  test('refuses what it has looked at in part only', async () => {
    const found = 'Heuristics.Limits.Exceeded.MaxFileSize FOUND';
    const url = await listen(makeVirusDaemon({ reply: () => `stream: ${found}\0` }));
    expect(await scan(url, [Buffer.from('x')])).toBe('refused');
  });

  test('says beforehand, and soon, whether it is there', async () => {
    const url = await listen(makeVirusDaemon());
    await makeScanner(url, 5_000).ping();
    servers.pop()?.close();
    const gone = { code: 'UNAVAILABLE' };
    await expect(makeScanner(url, 5_000).ping()).rejects.toMatchObject(gone);
    const others = await listen(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\n')));
    await expect(makeScanner(others, 5_000).ping()).rejects.toMatchObject(gone);
    const silent = await listen(createServer(() => {}));
    await expect(makeScanner(silent, 300).ping()).rejects.toMatchObject(gone);
    // However long a scan may take: a file that waits for it holds a place of the worker.
    const beganMs = performance.now();
    await expect(makeScanner(silent, 120_000).ping()).rejects.toMatchObject(gone);
    expect(performance.now() - beganMs).toBeLessThan(10_000);
  });
});
