import { randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import Server from '@20minutes/s3rver';
import { findFreePort } from './ports.ts';

/** A store on this machine that speaks S3. */
export type LocalStore = {
  /** Settings and credentials of API and worker, by variable. */
  settings: {
    AWS_REGION: string;
    S3_BUCKET_UPLOADS: string;
    S3_ENDPOINT: string;
    AWS_ACCESS_KEY_ID: string;
    AWS_SECRET_ACCESS_KEY: string;
  };
  close(): Promise<void>;
};

/** The only account the server knows; no secret. */
const account = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };
const bucket = 'uploads';

/**
 * Opens the local store of a directory: data in `<dir>/store`, a bucket that pages of any
 * origin may upload to, on 127.0.0.1 only.
 *
 * It checks signatures, their expiry, and the length and type that were signed. It does
 * not check checksums nor `If-None-Match`, lets unsigned requests through, keeps no
 * versions, and writes the bytes of objects in place. Nothing in Rowhouse relies on a store for any of
 * that: docs/uploads.md.
 *
 * @param port the port to use if it is free; by default any.
 */
export async function openLocalStore({
  dir,
  port,
}: {
  dir: string;
  port?: number;
}): Promise<LocalStore> {
  const directory = join(dir, 'store');
  await mkdir(directory, { recursive: true });
  const server = new Server({
    directory,
    silent: true,
    vhostBuckets: false,
    serviceEndpoint: '127.0.0.1',
    configureBuckets: [{ name: bucket, configs: [cors] }],
  });
  // Of bodies that ended early: the client knows, and nobody else need.
  server.on('error', () => {});
  keepFolders(server.store);
  keepMetadataWhole(server.store);
  refuseMissingParts(server.store);
  mendSignatures();
  await server.configureBuckets();

  const answer = server.callback();
  const http = createServer((request, response) => {
    response.setHeader('X-Content-Type-Options', 'nosniff');
    const folder = server.store.getResourcePath(bucket, undefined, 'uploads');
    const answered = answerAboutParts(request, folder);
    if (answered === undefined) return answer(request, response);
    answered.then(
      ({ status, xml = '' }) =>
        response.writeHead(status, { 'Content-Type': 'application/xml' }).end(xml),
      () => response.writeHead(500).end(),
    );
  });
  const bound = await findFreePort(port ? [port] : []);
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject).listen(bound, '127.0.0.1', resolve);
  });

  return {
    settings: {
      AWS_REGION: 'us-east-1',
      S3_BUCKET_UPLOADS: bucket,
      S3_ENDPOINT: `http://127.0.0.1:${bound}`,
      ...account,
    },
    async close() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

/**
 * Deleting an object, the server also deletes the folders that it left empty, and with
 * them whatever was written there a moment later. So folders stay.
 */
function keepFolders(store: Server['store']): void {
  store.deleteObject = async (bucketName, key) => {
    for (const part of ['object', 'object.md5', 'metadata.json']) {
      await rm(store.getResourcePath(bucketName, key, part), { force: true });
    }
  };
}

/**
 * Writing metadata, the server first empties what was there. A copy that was made at that
 * moment would have none for good, and each answer about it, and each list with it, be an error.
 */
function keepMetadataWhole(store: Server['store']): void {
  const write = store.putMetadata.bind(store);
  store.putMetadata = async (bucketName, key, metadata, md5) => {
    const draft = `${key}.${randomUUID()}`;
    await write(bucketName, draft, metadata, md5);
    for (const part of md5 === undefined ? ['metadata.json'] : ['object.md5', 'metadata.json']) {
      const [from, to] = [draft, key].map((name) => store.getResourcePath(bucketName, name, part));
      if (from && to) await rename(from, to);
    }
  };
}

/** Joining parts of which one is not there, the server would end by an error that nobody catches. */
function refuseMissingParts(store: Server['store']): void {
  const S3Error: S3ErrorClass = createRequire(import.meta.url)(
    '@20minutes/s3rver/lib/models/error.js',
  );
  const putTogether = store.putObjectMultipart.bind(store);
  store.putObjectMultipart = async (bucketName, uploadId, parts) => {
    const folder = join(store.getResourcePath(bucketName, undefined, 'uploads'), uploadId);
    const looked = parts.map(({ number }) => access(join(folder, String(number))));
    await Promise.all(looked).catch(() => {
      throw new S3Error('InvalidPart', 'One or more of the specified parts could not be found.');
    });
    return putTogether(bucketName, uploadId, parts);
  };
}

type S3ErrorClass = new (code: string, message: string) => Error;

/**
 * What the server verifies is not quite what was signed: it encodes the query less, and so
 * refuses names that are not ASCII, and it drops the slash after the bucket in lists.
 */
function mendSignatures(): void {
  const v4: Signatures = createRequire(import.meta.url)('@20minutes/s3rver/lib/signature/v4.js');
  const stringToSign = v4.getStringToSign;
  const code = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
  v4.getStringToSign = (request, ...rest) => {
    const querystring = request.querystring.replace(/[!'()*]/g, code);
    const uri = request.uri.replace(/^\/[^/]+$/, '$&/');
    return stringToSign({ ...request, querystring, uri }, ...rest);
  };
}

type Signatures = {
  getStringToSign(request: { uri: string; querystring: string }, ...rest: unknown[]): string;
};

/**
 * What the server cannot do with uploads in parts: give one up, list its parts, list those that
 * were begun. Undefined where a request is about something else.
 */
function answerAboutParts(
  { method, url = '' }: IncomingMessage,
  folder: string,
): Promise<{ status: number; xml?: string }> | undefined {
  const { searchParams } = new URL(url, 'http://store');
  const id = searchParams.get('uploadId') ?? '';
  if (method === 'GET' && searchParams.has('uploads')) {
    return listUploads(folder, searchParams.get('prefix') ?? '');
  }
  if (!/^\w+$/.test(id)) return undefined;
  if (method === 'GET') return listParts(join(folder, id));
  if (method !== 'DELETE') return undefined;
  return rm(join(folder, id), { recursive: true, force: true }).then(() => ({ status: 204 }));
}

async function listUploads(folder: string, prefix: string) {
  const ids = await namesIn(folder);
  const uploads = await Promise.all(
    (ids ?? []).map(async (id) => {
      const file = join(folder, id, 'key');
      const told = await Promise.all([readFile(file, 'utf8'), stat(file)]).catch(() => undefined);
      // One that is completed or given up meanwhile is none.
      if (!told?.[0].startsWith(prefix)) return '';
      const [key, { mtime }] = told;
      return `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${mtime.toISOString()}</Initiated></Upload>`;
    }),
  );
  const xml = `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${uploads.join('')}</ListMultipartUploadsResult>`;
  return { status: 200, xml };
}

async function listParts(folder: string) {
  const names = await namesIn(folder);
  if (!names) return { status: 404, xml: '<Error><Code>NoSuchUpload</Code></Error>' };
  const parts = names
    .filter((name) => /^\d+$/.test(name))
    .map((name) => `<Part><PartNumber>${name}</PartNumber></Part>`);
  const xml = `<ListPartsResult><IsTruncated>false</IsTruncated>${parts.join('')}</ListPartsResult>`;
  return { status: 200, xml };
}

/** Undefined where there is no such folder. */
const namesIn = (folder: string) => readdir(folder).catch(() => undefined);

const cors = `<CORSConfiguration>
  <CORSRule>
    <AllowedOrigin>*</AllowedOrigin>
    <AllowedMethod>PUT</AllowedMethod>
    <AllowedMethod>GET</AllowedMethod>
    <AllowedMethod>HEAD</AllowedMethod>
    <AllowedHeader>*</AllowedHeader>
    <ExposeHeader>ETag</ExposeHeader>
    <MaxAgeSeconds>3000</MaxAgeSeconds>
  </CORSRule>
</CORSConfiguration>`;
