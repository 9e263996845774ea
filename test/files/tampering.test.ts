import { randomBytes } from 'node:crypto';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { signIn } from '../support/api.ts';
import { declarationOf, type FileGround, openFileGround, put } from '../support/files.ts';

/**
 * What somebody may try around an upload. The local store checks neither checksums nor
 * If-None-Match, and lets unsigned requests through: whatever it takes, finalize decides.
 */

let ground: FileGround;
beforeAll(async () => {
  ground = await openFileGround();
  await ground.startWorker();
});
afterAll(() => ground.close());

const bytes = Buffer.from('Sell more anvils.');
const others = Buffer.from('Sell less anvils.');
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

async function finalize(id: string) {
  await ground.mutate('finalizeUpload', { id }, 'file { id }');
  return ground.settled(id);
}

describe('the store refuses', () => {
  test.each([
    ['a longer body', {}, Buffer.from('Sell more anvils and hammers.')],
    ['a shorter body', {}, Buffer.from('Sell')],
    ['another type', { 'content-type': 'text/html' }, bytes],
    ['a signed header that is missing', { 'if-none-match': undefined }, bytes],
    [
      'another checksum in the header',
      { 'x-amz-checksum-sha256': declarationOf(others).checksumSha256 },
      bytes,
    ],
  ])('%s', async (_, headers, body) => {
    const { file, upload } = await ground.presign(bytes);
    const more = body.length === bytes.length ? {} : { 'content-length': String(body.length) };
    const response = await put(upload, body, { ...headers, ...more });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(await finalize(file.id)).toMatchObject({ status: 'REJECTED', error: 'UPLOAD_MISSING' });
  });

  test('another key, another query, and a URL for downloading used for uploading', async () => {
    const { upload } = await ground.presign(bytes);
    const moved = { ...upload, url: upload.url.replace(/(incoming\/org_acme\/)\w{4}/, '$10000') };
    expect((await put(moved, bytes)).status).toBe(403);
    const longer = {
      ...upload,
      url: upload.url.replace(/X-Amz-Expires=\d+/, 'X-Amz-Expires=604800'),
    };
    expect((await put(longer, bytes)).status).toBe(403);
    const { downloadUrl } = await ground.upload(bytes);
    expect((await put({ ...upload, url: downloadUrl?.url }, others)).status).toBe(403);
  });

  test('a URL that has expired', async () => {
    const short = await ground.storage.sign.upload({
      key: 'incoming/x/y',
      ...declarationOf(bytes),
      byteSize: BigInt(bytes.length),
      ttlSeconds: 1,
    });
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    const headers = Object.entries(short.headers).map(([name, value]) => ({ name, value }));
    expect((await put({ url: short.url, headers }, bytes)).status).toBe(403);
  });
});

describe('finalize rejects what the store took', () => {
  test('other bytes of the same length', async () => {
    const { file, upload } = await ground.presign(bytes);
    expect((await put(upload, others)).status).toBe(200);
    expect(await finalize(file.id)).toMatchObject({
      status: 'REJECTED',
      error: 'UPLOAD_CHECKSUM_MISMATCH',
      downloadUrl: null,
    });
  });

  test('an object that somebody else put there, of another size or type', async () => {
    const { file, upload } = await ground.presign(bytes);
    const unsigned = upload.url.split('?')[0];
    await fetch(unsigned, { method: 'PUT', body: 'x', headers: { 'content-type': 'text/plain' } });
    expect(await finalize(file.id)).toMatchObject({ error: 'UPLOAD_SIZE_MISMATCH' });
    const second = await ground.presign(bytes);
    await fetch(second.upload.url.split('?')[0], {
      method: 'PUT',
      body: bytes,
      headers: { 'content-type': 'text/html' },
    });
    expect(await finalize(second.file.id)).toMatchObject({ error: 'UPLOAD_TYPE_MISMATCH' });
  });

  test('a type that its bytes do not have', async () => {
    const html = Buffer.from('<!doctype html><script>alert(1)</script>');
    expect(await ground.upload(html, { contentType: 'image/png' })).toMatchObject({
      error: 'UPLOAD_TYPE_MISMATCH',
    });
    expect(await ground.upload(png, { contentType: 'text/plain' })).toMatchObject({
      error: 'UPLOAD_TYPE_MISMATCH',
    });
    expect(await ground.upload(png, { contentType: 'image/gif' })).toMatchObject({
      error: 'UPLOAD_TYPE_MISMATCH',
    });
  });

  test('a file whose bytes never came', async () => {
    const { file } = await ground.presign(bytes);
    expect(await finalize(file.id)).toMatchObject({ status: 'REJECTED', error: 'UPLOAD_MISSING' });
  });
});

describe('finalize', () => {
  test('changes nothing the second time, nor forty times at once', async () => {
    const { file, upload } = await ground.presign(bytes);
    await put(upload, bytes);
    const answers = await Promise.all(
      Array.from({ length: 40 }, () =>
        ground.mutate('finalizeUpload', { id: file.id }, 'file { status }'),
      ),
    );
    for (const answer of answers) expect(['FINALIZING', 'READY']).toContain(answer.file.status);
    const ready = await ground.settled(file.id);
    expect(ready).toMatchObject({ status: 'READY' });
    const again = await ground.mutate('finalizeUpload', { id: file.id }, 'file { status }');
    expect(again.file.status).toBe('READY');
    await ground.idle();
    expect((await ground.keys()).filter((key) => key.includes(decoded(file.id)))).toHaveLength(1);
  });

  test('is the owner’s alone: for others there is no such file', async () => {
    const { file } = await ground.presign(bytes);
    const bob = await signIn({ user: 'user_bob', org: 'org_acme' });
    const carol = await signIn({ user: 'user_carol', org: 'org_globex' });
    const random = Buffer.from('["File","00000000-0000-7000-8000-000000000001"]').toString(
      'base64',
    );
    for (const token of [bob, carol]) {
      for (const name of ['finalizeUpload', 'abortUpload', 'deleteFile']) {
        for (const id of [file.id, random, 'nonsense']) {
          await expect(ground.mutate(name, { id }, '__typename', token)).rejects.toMatchObject({
            code: 'NOT_FOUND',
          });
        }
      }
    }
    await expect(
      ground.mutate('finalizeUpload', { id: random }, '__typename'),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('comes too late once the upload has expired', async () => {
    const { file, upload } = await ground.presign(bytes);
    await put(upload, bytes);
    await ground.makeLate(file.id);
    expect(await finalize(file.id)).toMatchObject({ status: 'EXPIRED', error: 'UPLOAD_EXPIRED' });
    await ground.idle();
    expect((await ground.keys()).some((key) => key.includes(decoded(file.id)))).toBe(false);
  });

  test('of an upload that was given up changes nothing', async () => {
    const { file, upload } = await ground.presign(bytes);
    const aborted = await ground.mutate('abortUpload', { id: file.id }, 'file { status }');
    expect(aborted.file.status).toBe('EXPIRED');
    await put(upload, bytes);
    expect(await finalize(file.id)).toMatchObject({ status: 'EXPIRED' });
    const again = await ground.mutate('abortUpload', { id: file.id }, 'file { status }');
    expect(again.file.status).toBe('EXPIRED');
  });

  test('of a file that is ready: it stays so, whatever is uploaded or given up afterwards', async () => {
    const { file, upload } = await ground.presign(bytes);
    await put(upload, bytes);
    const ready = await finalize(file.id);
    await put(upload, others);
    await ground.mutate('abortUpload', { id: file.id }, 'file { id }');
    const now = await finalize(file.id);
    expect(now.status).toBe('READY');
    for (const url of [ready.downloadUrl?.url, now.downloadUrl?.url]) {
      const response = await fetch(url ?? '');
      expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
    }
  });
});

describe('a header that the signature does not bind', () => {
  const text = Buffer.from('Sell less anvils. '.repeat(100));

  test.each([
    ['gzip', gzipSync(text)],
    ['br', brotliCompressSync(text)],
  ])(
    'such as Content-Encoding: %s reaches no reader: they get the bytes that were declared',
    async (encoding, packed) => {
      const { file, upload } = await ground.presign(packed, {
        contentType: 'application/octet-stream',
      });
      const { status } = await put(upload, packed, { 'content-encoding': encoding });
      expect(status).toBe(200);
      const ready = await finalize(file.id);
      expect(ready.status).toBe('READY');
      // As browsers do, fetch decodes what is said to be encoded.
      const response = await fetch(ready.downloadUrl?.url ?? '');
      expect(response.headers.get('content-encoding')).toBeNull();
      expect(Buffer.from(await response.arrayBuffer())).toEqual(packed);
    },
  );

  test('leaves no trace on the object of a ready file', async () => {
    const sent = {
      'cache-control': 'no-store',
      'content-disposition': 'inline; filename="evil.html"',
      'content-encoding': 'identity',
      'content-language': 'xx',
      expires: 'Thu, 01 Jan 1970 00:00:00 GMT',
      'x-amz-acl': 'public-read',
      'x-amz-meta-owner': 'user_mallory',
      'x-amz-storage-class': 'GLACIER',
      'x-amz-tagging': 'a=b',
      'x-amz-website-redirect-location': 'https://evil.example.com/',
    };
    const { file, upload } = await ground.presign(bytes);
    expect((await put(upload, bytes, sent)).status).toBe(200);
    const { status, downloadUrl } = await finalize(file.id);
    expect(status).toBe('READY');
    // Without a signature, the local store answers just what it keeps.
    const { headers } = await fetch((downloadUrl?.url ?? '').split('?')[0] ?? '');
    expect(headers.get('content-type')).toBe('text/plain');
    for (const name of Object.keys(sent)) expect([name, headers.get(name)]).toEqual([name, null]);
  });
});

describe('a name', () => {
  const names = [
    'a\r\nSet-Cookie: x=1\r\n\r\n<script>',
    '../../../../etc/passwd',
    'C:\\Windows\\system32\\x.exe',
    'photo\u202Egnp.exe',
    '"; filename="evil.exe',
    '%00%0d%0a%2e%2e%2f',
    '💾 Überblick ‘final’.txt',
    '\u{1F468}\u200D\u{1F469}\u200D\u{1F467}.png',
    '.htaccess',
    ' ',
    "'; drop table app_public.files; --",
    '{{7*7}}<%= 7*7 %>',
    'a'.repeat(255),
  ];
  test.each(names)('is data only, and harmless on download: %j', async (fileName) => {
    const file = await ground.upload(bytes, { fileName });
    expect(file.status).toBe('READY');
    const response = await fetch(file.downloadUrl?.url ?? '');
    expect(response.status).toBe(200);
    const disposition = response.headers.get('content-disposition') ?? '';
    expect(disposition).toMatch(/^attachment; filename/);
    expect(disposition).toMatch(/^[\x20-\x7e]*$/);
    expect(decodeURIComponent(disposition.replaceAll(/%(?![0-9A-F]{2})/g, ''))).not.toMatch(
      /[\p{Cc}\p{Cf}/\\]/u,
    );
    const { rows } = await ground.database.superuser.query(
      'select file_name, object_key from app_public.files where id = $1',
      [decoded(file.id)],
    );
    expect(rows[0].file_name).toBe(fileName);
    expect(rows[0].object_key).toMatch(/^files\/org_acme\/[0-9a-f-]{36}\/[0-9a-f-]{36}$/);
  });

  test.each([
    ['of 64 KB', 'a'.repeat(65_536)],
    ['that is empty', ''],
    ['with NUL', 'a\0b'],
  ])('%s is refused', async (_, fileName) => {
    await expect(ground.presign(bytes, { fileName })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });
});

describe('downloads', () => {
  test.each([
    ['text/html', '<!doctype html><script>alert(1)</script>'],
    ['image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'],
    ['text/javascript', 'alert(1)'],
    ['application/xml', '<?xml version="1.0"?><x/>'],
  ])('of %s are saved, never shown', async (contentType, text) => {
    const file = await ground.upload(Buffer.from(text), { contentType });
    expect(file.status).toBe('READY');
    const { headers } = await fetch(file.downloadUrl?.url ?? '');
    expect(headers.get('content-disposition')).toMatch(/^attachment/);
    expect(headers.get('content-type')).toBe('application/octet-stream');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('of a polyglot that is an image and a page are an image', async () => {
    const polyglot = Buffer.concat([png, Buffer.from('<script>alert(1)</script>')]);
    const file = await ground.upload(polyglot, { contentType: 'image/png' });
    expect(file).toMatchObject({ status: 'READY', width: 1, height: 1 });
    const { headers } = await fetch(file.downloadUrl?.url ?? '');
    expect(headers.get('content-disposition')).toMatch(/^inline/);
    expect(headers.get('content-type')).toBe('image/png');
  });

  test('take a lifetime within limits, and nothing else', async () => {
    const { id } = await ground.upload(bytes);
    const ask = (ttl: number) =>
      ground.api.request(
        ground.token,
        `query ($id: ID!) { file(id: $id) { downloadUrl(ttlSeconds: ${ttl}) { expiresAt } } }`,
        { id },
      );
    for (const ttl of [0, -1, 3_601]) {
      const { errors } = await ask(ttl);
      expect(errors?.[0]?.extensions).toMatchObject({
        code: 'BAD_USER_INPUT',
        field: 'ttlSeconds',
      });
    }
    expect((await ask(3_600)).data.file.downloadUrl).not.toBeNull();
  });
});

describe('a declaration is refused', () => {
  const bad = [
    ['a size that is no number', { byteSize: 'many' }, 'BAD_USER_INPUT'],
    ['a fraction', { byteSize: 1.5 }, 'BAD_USER_INPUT'],
    ['a negative size', { byteSize: '-1' }, 'BAD_USER_INPUT'],
    ['a size over the limit', { byteSize: '5368709121' }, 'UPLOAD_TOO_LARGE'],
    ['a size of 19 digits', { byteSize: '9223372036854775807' }, 'UPLOAD_TOO_LARGE'],
    ['a size of 20 digits', { byteSize: '92233720368547758070' }, 'BAD_USER_INPUT'],
    ['a checksum in hex', { checksumSha256: 'ab'.repeat(32) }, 'BAD_USER_INPUT'],
    [
      'a checksum of 31 bytes',
      { checksumSha256: randomBytes(31).toString('base64') },
      'BAD_USER_INPUT',
    ],
    ['no type', { contentType: '' }, 'BAD_USER_INPUT'],
    ['a type with half a parameter', { contentType: 'text/plain; charset' }, 'BAD_USER_INPUT'],
    ['all types', { contentType: '*/*' }, 'BAD_USER_INPUT'],
    ['a type with two blanks', { contentType: 'text/plain; x="a  b"' }, 'BAD_USER_INPUT'],
    ['a type with a line break', { contentType: 'text/plain\r\nx: y' }, 'BAD_USER_INPUT'],
    [
      'a type that is not allowed',
      { contentType: 'application/x-msdownload' },
      'UPLOAD_TYPE_NOT_ALLOWED',
    ],
    ['a document that is none', { document: 'nonsense' }, 'BAD_USER_INPUT'],
  ] as const;
  test.each(bad)('with %s', async (_, otherwise, code) => {
    await expect(ground.presign(bytes, otherwise)).rejects.toMatchObject({ code });
  });

  test('and not for parameters that recorders and browsers give', async () => {
    for (const contentType of [
      'video/webm;codecs=vp9,opus',
      'video/webm; codecs="vp8, opus"',
      'text/plain; charset="utf-8"',
      'text/plain;format=flowed; delsp=yes',
      'application/x-zip-compressed',
    ]) {
      const { upload } = await ground.presign(bytes, { contentType });
      expect(upload.headers).toContainEqual({ name: 'Content-Type', value: contentType });
      expect((await put(upload, bytes)).status).toBe(200);
    }
  });

  test('with a document of another organization, like one that does not exist', async () => {
    const carol = await signIn({ user: 'user_carol', org: 'org_globex' });
    const { document } = await ground.mutate(
      'createDocument',
      { document: { title: 'Secret' } },
      'document { id }',
      carol,
    );
    const random = Buffer.from('["Document","00000000-0000-7000-8000-000000000001"]').toString(
      'base64',
    );
    const failures = await Promise.all(
      [document.id, random].map((id) => ground.presign(bytes, { document: id }).catch(String)),
    );
    const plain = failures.map((text) => text.replace(/"requestId":"[^"]*"/, ''));
    expect(plain[0]).toBe(plain[1]);
    expect(plain[0]).toContain('BAD_USER_INPUT');
  });

  test('and the size may be an integer, in the operation as well', async () => {
    const { checksumSha256 } = declarationOf(bytes);
    const { errors, data } = await ground.api.request(
      ground.token,
      `mutation { presignUpload(input: { fileName: "a", contentType: "text/plain", byteSize: ${bytes.length}, checksumSha256: "${checksumSha256}" }) { file { byteSize } fileEdge { node { id } } } }`,
    );
    expect(errors).toBeUndefined();
    expect(data.presignUpload.file.byteSize).toBe(String(bytes.length));
    expect(data.presignUpload.fileEdge.node.id).toBeDefined();
    expect((await ground.presign(bytes, { byteSize: bytes.length })).file.status).toBe('PENDING');
  });
});

test('an empty file is a file', async () => {
  expect(await ground.upload(Buffer.alloc(0))).toMatchObject({ status: 'READY' });
});

/** The key in a node id. */
function decoded(id: string): string {
  return JSON.parse(Buffer.from(id, 'base64').toString())[1];
}
