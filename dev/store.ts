import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
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
 * versions, and writes objects in place. Nothing in Rowhouse relies on a store for any of
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
  await server.configureBuckets();

  const answer = server.callback();
  const http = createServer((request, response) => {
    response.setHeader('X-Content-Type-Options', 'nosniff');
    answer(request, response);
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
