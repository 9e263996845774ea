import { describe, expect, test } from '@jest/globals';
import { sign as signWithAws4 } from 'aws4';
import { AwsV4Signer } from 'aws4fetch';
import type { SignedRequest } from './makeSigner.ts';
import { openStorage } from './openStorage.ts';

const account = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
const region = 'eu-central-1';

const stores = [
  {
    name: 'at AWS',
    bucket: 'rowhouse-uploads',
    endpoint: undefined,
    base: 'https://rowhouse-uploads.s3.eu-central-1.amazonaws.com/',
  },
  {
    name: 'at another store',
    bucket: 'uploads',
    endpoint: 'http://127.0.0.1:9000',
    base: 'http://127.0.0.1:9000/uploads/',
  },
];

const declared = {
  key: 'incoming/org_acme/019ab000-0000-7000-8000-000000000001',
  contentType: 'image/png',
  byteSize: 12_345n,
  checksumSha256: 'a3+kNPkqi4CqsC2b8aEuSf/K5CTkATocT2i2fj0rvNA=',
  ttlSeconds: 900,
};
const download = {
  key: 'files/~6f72672f61/019ab000-0000-7000-8000-000000000001/x',
  version: 'L4kqtJlcpXroDTDmpUMLUo',
  fileName: "Plan ‘final’ (1)*!'+&=%20;.pdf",
  contentType: 'application/pdf',
  isInline: false,
  ttlSeconds: 60,
};

describe.each(stores)('requests signed for a bucket $name', ({ bucket, endpoint, base }) => {
  const { sign } = openStorage({ bucket, region, endpoint, timeoutMs: 1, credentials: account });

  const requests: [string, () => Promise<SignedRequest>][] = [
    ['an upload', () => sign.upload(declared)],
    [
      'an upload with a parameter in its type',
      () => sign.upload({ ...declared, contentType: 'text/plain; charset=utf-8' }),
    ],
    ['a part', () => sign.part({ ...declared, uploadId: 'a.b_c-d/e+f==', partNumber: 7 })],
    [
      'a part without a checksum',
      () => sign.part({ ...declared, checksumSha256: undefined, uploadId: 'x', partNumber: 1 }),
    ],
    ['a download', () => sign.download(download)],
    ['a download to be shown', () => sign.download({ ...download, version: null, isInline: true })],
  ];
  test.each(requests)('%s has the signature that aws4 and aws4fetch compute', async (_, make) => {
    const request = await make();
    expect(request.url.startsWith(base)).toBe(true);
    const signature = new URL(request.url).searchParams.get('X-Amz-Signature');
    expect(signature).toMatch(/^[0-9a-f]{64}$/);
    expect(byAws4(request)).toBe(signature);
    expect(await byAws4fetch(request)).toBe(signature);
  });

  test('an upload binds host, length, type, checksum, and that nothing is there yet', async () => {
    const { url, headers } = await sign.upload(declared);
    expect(new URL(url).searchParams.get('X-Amz-SignedHeaders')).toBe(
      'content-length;content-type;host;if-none-match;x-amz-checksum-sha256',
    );
    expect(headers).toEqual({
      'Content-Type': 'image/png',
      'Content-Length': '12345',
      'x-amz-checksum-sha256': declared.checksumSha256,
      'If-None-Match': '*',
    });
  });

  test('a part binds its length and, where it is known, its checksum', async () => {
    const { url } = await sign.part({ ...declared, uploadId: 'x', partNumber: 1 });
    expect(new URL(url).searchParams.get('X-Amz-SignedHeaders')).toBe(
      'content-length;host;x-amz-checksum-sha256',
    );
  });

  test('a download is saved under its name, without what could mean more than a name', async () => {
    const { url } = await sign.download({ ...download, fileName: '../a\r\nb\u202Ec"d.pdf' });
    const disposition = new URL(url).searchParams.get('response-content-disposition');
    expect(disposition).toBe('attachment; filename="__abc_d.pdf"'.replaceAll('"', ''));
  });

  test('says when it expires', async () => {
    const { expiresAt } = await sign.upload(declared);
    expect(Math.abs(expiresAt.getTime() - Date.now() - 900_000)).toBeLessThan(10_000);
  });
});

test('another store is the one that Rowhouse was told of, whatever the SDK would take from the environment', async () => {
  const before = { ...process.env };
  Object.assign(process.env, {
    AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
    AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:2',
  });
  try {
    const [aws] = stores;
    const { sign } = openStorage({
      bucket: 'rowhouse-uploads',
      region,
      timeoutMs: 1,
      credentials: account,
    });
    const { url } = await sign.upload(declared);
    expect(url.startsWith(aws?.base ?? 'nothing')).toBe(true);
  } finally {
    process.env = before;
  }
});

test('a request expires no later than the credentials it was signed with', async () => {
  const expiration = new Date(Date.now() + 60_000);
  const { sign } = openStorage({
    bucket: 'uploads',
    region,
    timeoutMs: 1,
    credentials: () => Promise.resolve({ ...account, sessionToken: 'token', expiration }),
  });
  const { expiresAt } = await sign.upload(declared);
  expect(expiresAt).toEqual(expiration);
});

test('without credentials it says so beforehand, and signs nothing', async () => {
  const none = () => Promise.reject(new Error('Could not load credentials from any providers'));
  const options = { bucket: 'uploads', region, timeoutMs: 1 };
  const { sign } = openStorage({ ...options, credentials: none });
  await expect(sign.ready()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await expect(sign.upload(declared)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await openStorage({ ...options, credentials: account }).sign.ready();
});

/** Without what a signature adds to it. */
function unsigned(url: string): { bare: URL; date: string } {
  const bare = new URL(url);
  const date = bare.searchParams.get('X-Amz-Date') ?? '';
  bare.search = bare.search
    .slice(1)
    .split('&')
    .filter((pair) => !/^X-Amz-(?:Signature|Algorithm|Credential|Date|SignedHeaders)=/.test(pair))
    .join('&');
  return { bare, date };
}

function byAws4({ url, method, headers }: SignedRequest): string | null {
  const { bare, date } = unsigned(url);
  const { path } = signWithAws4(
    {
      host: bare.host,
      path: `${bare.pathname}${bare.search}&X-Amz-Date=${date}`,
      method,
      service: 's3',
      region,
      signQuery: true,
      headers: { ...headers },
    },
    account,
  );
  return new URL(`http://x${path}`).searchParams.get('X-Amz-Signature');
}

async function byAws4fetch({ url, method, headers }: SignedRequest): Promise<string | null> {
  const { bare, date } = unsigned(url);
  const signer = new AwsV4Signer({
    ...account,
    url: bare.href,
    method,
    headers,
    service: 's3',
    region,
    datetime: date,
    signQuery: true,
    allHeaders: true,
  });
  const signed = await signer.sign();
  return signed.url.searchParams.get('X-Amz-Signature');
}
