import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type JwksServer, openJwksServer } from '../../test/jwksServer.ts';
import { makeTestKey, type TestKey } from '../../test/signingKey.ts';
import {
  type KeysEvent,
  makePublishedKeys,
  makeStaticKeys,
  type PublishedKeysOptions,
} from './keys.ts';

const minuteMs = 60_000;

let one: TestKey;
let two: TestKey;
let server: JwksServer;
let nowMs: number;
let events: KeysEvent[];
let emitter: EventEmitter;

beforeAll(async () => {
  [one, two] = await Promise.all([makeTestKey('one'), makeTestKey('two')]);
});

beforeEach(async () => {
  server = await openJwksServer(one.publicJwk);
  nowMs = 1_000;
  events = [];
  emitter = new EventEmitter();
});

afterEach(() => server.close());

function openKeys(options: Partial<PublishedKeysOptions> = {}) {
  return makePublishedKeys({
    url: server.url,
    nowMs: () => nowMs,
    onEvent: (event) => {
      events.push(event);
      emitter.emit(event.type);
    },
    ...options,
  });
}

const fail = (_request: unknown, response: ServerResponse) => response.writeHead(500).end();

describe('published keys', () => {
  test('are downloaded at first use, once for all that wait', async () => {
    const keys = openKeys();
    expect(server.requestCount()).toBe(0);
    expect(keys.current('one')).toBeUndefined();
    const found = await Promise.all(Array.from({ length: 100 }, () => keys.find('one')));
    expect(new Set(found).size).toBe(1);
    expect(found[0]).toBeDefined();
    expect(keys.current('one')).toBe(found[0]);
    expect(server.requestCount()).toBe(1);
    expect(events).toEqual([{ type: 'keysLoaded', keyCount: 1, durationMs: 0 }]);
  });

  test('are kept for their age, and renewed in the background from half of it', async () => {
    const keys = openKeys();
    const key = await keys.find('one');
    nowMs += 5 * minuteMs - 1;
    expect(keys.current('one')).toBe(key);
    expect(server.requestCount()).toBe(1);
    nowMs += 1;
    const loaded = once(emitter, 'keysLoaded');
    expect(keys.current('one')).toBe(key);
    await loaded;
    expect(server.requestCount()).toBe(2);
    expect(keys.current('one')).toBe(key);
  });

  test('are waited for once they are too old', async () => {
    const keys = openKeys();
    await keys.find('one');
    server.publish(two.publicJwk);
    nowMs += 10 * minuteMs;
    expect(keys.current('one')).toBeUndefined();
    expect(await keys.find('one')).toBeUndefined();
    expect(await keys.find('two')).toBeDefined();
    expect(server.requestCount()).toBe(2);
  });

  test('that are new are accepted within 30 seconds, whatever came before', async () => {
    const keys = openKeys();
    await keys.find('one');
    nowMs += 30_000;
    expect(await keys.find('nobody')).toBeUndefined();
    server.publish(one.publicJwk, two.publicJwk);
    nowMs += 29_999;
    expect(await keys.find('two')).toBeUndefined();
    nowMs += 1;
    expect(await keys.find('two')).toBeDefined();
    expect(server.requestCount()).toBe(3);
  });

  test('that were replaced under the same id are told apart', async () => {
    const keys = openKeys();
    const before = await keys.find('one');
    server.publish({ ...two.publicJwk, kid: 'one' });
    nowMs += 10 * minuteMs;
    expect(await keys.find('one')).not.toBe(before);
  });

  test('cost one download per 30 seconds under a flood of unknown ids', async () => {
    const keys = openKeys();
    await keys.ready();
    for (let second = 0; second < 300; second += 1) {
      nowMs += 1_000;
      const flood = Array.from({ length: 20 }, (_, index) => keys.find(`${second}-${index}`));
      expect(new Set(await Promise.all(flood))).toEqual(new Set([undefined]));
    }
    expect(server.requestCount()).toBe(1 + 10);
  });

  test('cost as little under a flood when the issuer was never there', async () => {
    server.respond(fail);
    const keys = openKeys();
    for (let second = 0; second < 60; second += 1) {
      await expect(keys.find(`${second}`)).rejects.toMatchObject({ wereLoaded: false });
      nowMs += 1_000;
    }
    expect(server.requestCount()).toBe(2);
  });

  test('are not looked for by tokens that name none', async () => {
    const keys = openKeys();
    expect(await keys.find(undefined)).toBeUndefined();
    expect(server.requestCount()).toBe(0);
  });

  test('keep working through an outage until 5 minutes past their age', async () => {
    const keys = openKeys();
    const key = await keys.find('one');
    server.respond(fail);
    const endMs = nowMs + 15 * minuteMs;
    for (; nowMs < endMs; nowMs += 10_000) expect(await keys.find('one')).toBe(key);
    await expect(keys.find('one')).rejects.toMatchObject({ wereLoaded: true });
    expect(keys.current('one')).toBeUndefined();
    await expect(keys.ready()).rejects.toMatchObject({ cause: { reason: 'status' } });
    // One attempt per 30 seconds from half the age on; the rest of the time nobody waited.
    expect(server.requestCount()).toBeLessThanOrEqual(1 + 10 * 2 + 2);
    expect(events.at(-1)).toMatchObject({ type: 'keysUnreachable', reason: 'status' });

    server.publish(one.publicJwk);
    nowMs += 30_000;
    expect(await keys.find('one')).toBe(key);
    expect(events.at(-1)).toMatchObject({ type: 'keysLoaded' });
  });

  test('are used at once while the issuer is known to hang', async () => {
    const keys = openKeys({ timeoutMs: 50 });
    const key = await keys.find('one');
    server.respond(() => {});
    nowMs += 6 * minuteMs;
    const unreachable = once(emitter, 'keysUnreachable');
    expect(keys.current('one')).toBe(key);
    await unreachable;
    nowMs += 6 * minuteMs;
    const again = once(emitter, 'keysUnreachable');
    expect(keys.current('one')).toBe(key);
    await again;
    expect(events.slice(1)).toEqual([
      { type: 'keysUnreachable', reason: 'timeout', durationMs: 0, keysAgeMs: 6 * minuteMs },
      { type: 'keysUnreachable', reason: 'timeout', durationMs: 0, keysAgeMs: 12 * minuteMs },
    ]);
  });

  test('can be waited for at start, soon after the issuer came up', async () => {
    server.respond(fail);
    const keys = openKeys();
    await expect(keys.ready()).rejects.toMatchObject({ cause: { reason: 'status' } });
    server.publish(one.publicJwk);
    await expect(keys.ready()).rejects.toBeDefined();
    nowMs += 2_000;
    await keys.ready();
    await keys.ready();
    expect(server.requestCount()).toBe(2);
  });

  test('are downloaded once at a time, however long it takes', async () => {
    server.respond(() => {});
    const keys = openKeys({ timeoutMs: 100 });
    const first = keys.ready();
    nowMs += 60_000;
    const waiting = [first, keys.ready(), keys.find('one')];
    await expect(Promise.all(waiting)).rejects.toMatchObject({ cause: { reason: 'timeout' } });
    await Promise.allSettled(waiting);
    expect(server.requestCount()).toBe(1);
  });

  test('from nowhere are unreachable, not fatal', async () => {
    const keys = openKeys({ url: 'http://127.0.0.1:1/jwks' });
    await expect(keys.ready()).rejects.toMatchObject({ cause: { reason: 'network' } });
    expect(events).toMatchObject([{ type: 'keysUnreachable', keysAgeMs: null }]);
  });
});

describe('a bad answer in place of keys changes nothing', () => {
  const json = (body: unknown) => (_request: unknown, response: ServerResponse) =>
    response.end(JSON.stringify(body));
  const { n } = createPublicKey(
    generateKeyPairSync('rsa', {
      modulusLength: 1024,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    }).publicKey,
  ).export({ format: 'jwk' });

  test.each([
    ['a server error', 'status', fail],
    [
      'not found',
      'status',
      (_request: unknown, response: ServerResponse) => response.writeHead(404).end('{}'),
    ],
    ['nothing', 'not-a-key-set', (_request: unknown, response: ServerResponse) => response.end()],
    [
      'HTML',
      'not-a-key-set',
      (_request: unknown, response: ServerResponse) =>
        response.end('<!doctype html><title>Sign in</title>'),
    ],
    [
      'half a document',
      'not-a-key-set',
      (_request: unknown, response: ServerResponse) => response.end('{"keys":[{"kty":'),
    ],
    ['a list', 'not-a-key-set', json([])],
    ['an object without keys', 'not-a-key-set', json({})],
    ['keys that are no list', 'not-a-key-set', json({ keys: { length: 1 } })],
    ['a thousand keys', 'not-a-key-set', json({ keys: Array(1000).fill({}) })],
    ['no keys', 'no-usable-key', json({ keys: [] })],
    ['keys that are nothing', 'no-usable-key', json({ keys: [null, 1, 'one', [], {}] })],
    [
      'a key of another kind',
      'no-usable-key',
      json({ keys: [{ kty: 'oct', kid: 'one', k: 'AAAA' }] }),
    ],
    [
      'a key for encryption',
      'no-usable-key',
      () => json({ keys: [{ ...one.publicJwk, use: 'enc' }] }),
    ],
    [
      'a key for another algorithm',
      'no-usable-key',
      () => json({ keys: [{ ...one.publicJwk, alg: 'RS512' }] }),
    ],
    [
      'a key without id',
      'no-usable-key',
      () => json({ keys: [{ ...one.publicJwk, kid: undefined }] }),
    ],
    [
      'a key of 1024 bits',
      'no-usable-key',
      json({ keys: [{ kty: 'RSA', kid: 'one', n, e: 'AQAB' }] }),
    ],
    ['a broken key', 'no-usable-key', json({ keys: [{ kty: 'RSA', kid: 'one', n: '!', e: '!' }] })],
    [
      'a redirect to other keys',
      'network',
      ({ url }: IncomingMessage, response: ServerResponse) =>
        url === '/other'
          ? response.end(JSON.stringify({ keys: [two.publicJwk] }))
          : response.writeHead(302, { location: '/other' }).end(),
    ],
    [
      'a cut connection',
      'network',
      (_request: unknown, response: ServerResponse) => response.destroy(),
    ],
    [
      'a body cut short',
      'network',
      (_request: unknown, response: ServerResponse) => {
        response.writeHead(200, { 'content-length': '1000' }).write('{"keys":[');
        setImmediate(() => response.destroy());
      },
    ],
    ['silence', 'timeout', () => {}],
    [
      'a body that never ends',
      'timeout',
      (_request: unknown, response: ServerResponse) => response.write('{"keys":['),
    ],
    [
      '10 MB',
      'too-large',
      (_request: unknown, response: ServerResponse) =>
        response.end(Buffer.alloc(10 * 1024 * 1024, ' ')),
    ],
    [
      '10 MB in a small packet',
      'too-large',
      (_request: unknown, response: ServerResponse) =>
        response
          .writeHead(200, { 'content-encoding': 'gzip' })
          .end(gzipSync(Buffer.alloc(10 * 1024 * 1024, ' '))),
    ],
  ] as const)('%s (%s)', async (_, reason, answer) => {
    // What it has to find out otherwise takes its time on a busy machine.
    const keys = openKeys({ timeoutMs: reason === 'timeout' ? 200 : 5_000 });
    const key = await keys.find('one');
    server.respond((request, response) => {
      const next: unknown = answer(request, response);
      if (typeof next === 'function') next(request, response);
    });
    nowMs += 30_000;
    expect(await keys.find('nobody')).toBeUndefined();
    expect(events.at(-1)).toMatchObject({ type: 'keysUnreachable', reason, keysAgeMs: 30_000 });
    expect(keys.current('one')).toBe(key);
  });

  test('and good keys among bad ones still count', async () => {
    server.publish({ kty: 'EC' }, { ...one.publicJwk, n: '!' }, two.publicJwk, one.publicJwk);
    const keys = openKeys();
    expect(await keys.find('one')).toBeDefined();
    expect(await keys.find('two')).toBeDefined();
  });
});

describe('a key from the configuration', () => {
  test('stands for every id without a network', async () => {
    const keys = makeStaticKeys(one.publicPem);
    await keys.ready();
    expect(keys.current('any')).toBeDefined();
    expect(await keys.find(undefined)).toBe(keys.current('any'));
  });

  test('may have its line ends written out', () => {
    expect(
      makeStaticKeys(one.publicPem.trim().replaceAll('\n', '\\n')).current('one'),
    ).toBeDefined();
  });

  test.each([
    ['no key', () => 'secret'],
    ['a private key', () => one.privatePem],
    ['a broken key', () => one.publicPem.replace('MII', 'AAA')],
    [
      'a key of another kind',
      () =>
        generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    ],
    [
      'a key of 1024 bits',
      () =>
        generateKeyPairSync('rsa', { modulusLength: 1024 })
          .publicKey.export({ type: 'spki', format: 'pem' })
          .toString(),
    ],
  ])('is refused at start if it is %s', (_, pem) => {
    expect(() => makeStaticKeys(pem())).toThrow('not an RSA public key of at least 2048 bits');
  });
});
