import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type FileGround, openFileGround, type Payload, put } from '../support/files.ts';
import { memoryOf } from '../support/memory.ts';
import { type Program, startServer, urlOf } from '../support/program.ts';

/** What takes memory or time where it should not: a gigabyte in parts, a page of download URLs. */

const partSize = 16 * 1024 * 1024;
const partCount = Number(process.env.FILE_PARTS ?? 64);

let ground: FileGround;
let server: Program;
let through: ReturnType<FileGround['through']>;
let url: string;
beforeAll(async () => {
  ground = await openFileGround();
  await ground.startWorker();
  server = startServer(ground.database.apiUrl, ground.settings);
  url = await urlOf(server);
  await server.line(({ msg }) => msg === 'ready');
  through = ground.through(url);
}, 60_000);
afterAll(async () => {
  await server.close();
  await ground.close();
});

const say = (text: string) => process.stdout.write(`${text}\n`);

test(`${partCount} parts of 16 MB: ready, with the memory of API and worker flat`, async () => {
  // A small one first, so that everything is loaded.
  await ground.upload(Buffer.from('x'));
  await through.presign(Buffer.from('x'));
  const before = { api: memoryOf(server), worker: memoryOf(ground.worker) };

  const base = randomBytes(partSize);
  const partOf = (number: number) => {
    base.writeUInt32BE(number);
    return base;
  };
  const hash = createHash('sha256');
  for (let number = 1; number <= partCount; number += 1) hash.update(partOf(number));
  const startedMs = performance.now();
  const { file } = await through.mutate('presignUpload', {
    fileName: 'large.bin',
    contentType: 'application/octet-stream',
    byteSize: String(partSize * partCount),
    checksumSha256: hash.digest('base64'),
  });
  const parts: { partNumber: number; etag: string }[] = [];
  for (let number = 1; number <= partCount; number += 1) {
    const signed: Payload = await through.mutate(
      'presignUploadParts',
      { id: file.id, parts: [{ partNumber: number }] },
      'parts { upload { url method headers { name value } } }',
    );
    const response = await put(signed.parts[0].upload, partOf(number));
    expect(response.status).toBe(200);
    parts.push({ partNumber: number, etag: response.headers.get('etag') ?? '' });
  }
  const sentMs = performance.now();
  await through.mutate('completeMultipartUpload', { id: file.id, parts }, 'file { status }');
  expect(await ground.settled(file.id, 600_000)).toMatchObject({ status: 'READY' });
  const endedMs = performance.now();
  const after = { api: memoryOf(server), worker: memoryOf(ground.worker) };
  say(
    `${(partSize * partCount) / 1024 ** 2} MB: sent in ${Math.round((sentMs - startedMs) / 1000)} s, verified in ${Math.round((endedMs - sentMs) / 1000)} s; ` +
      `API ${before.api.now} → ${after.api.now} MB (peak ${after.api.peak}); worker ${before.worker.now} → ${after.worker.now} MB (peak ${after.worker.peak})`,
  );
  expect(after.api.peak - before.api.now).toBeLessThan(100);
  expect(after.worker.peak - before.worker.now).toBeLessThan(200);
}, 1_200_000);

test('a page of 100 files with their download URLs', async () => {
  await ground.database.superuser.query(
    `set session_replication_role = replica;
     insert into app_public.files (org_id, owner_id, file_name, content_type, byte_size, checksum_sha256, status, object_key, expires_at, ready_at)
     select 'org_acme', 'user_alice', 'größe ' || n || '.pdf', 'application/pdf', 1, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=', 'READY', 'files/org_acme/' || n || '/x', now(), now()
     from generate_series(1, 100) as n;
     set session_replication_role = origin`,
  );
  const page = (fields: string) => async () => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${ground.token}` },
      body: JSON.stringify({ query: `{ files(first: 100) { edges { node { ${fields} } } } }` }),
    });
    return response.text();
  };
  const median = async (ask: () => Promise<string>) => {
    const times: number[] = [];
    for (let i = 0; i < 60; i += 1) {
      const startedMs = performance.now();
      await ask();
      times.push(performance.now() - startedMs);
    }
    times.sort((a, b) => a - b);
    return { p50: times[30] ?? 0, p95: times[57] ?? 0 };
  };
  const withUrls = page('id fileName downloadUrl { url expiresAt }');
  expect((await withUrls()).match(/X-Amz-Signature=/g)).toHaveLength(100);
  const plain = await median(page('id fileName'));
  const signed = await median(withUrls);
  say(
    `a page of 100 files: p50 ${plain.p50.toFixed(1)} ms, with download URLs ${signed.p50.toFixed(1)} ms (p95 ${signed.p95.toFixed(1)} ms)`,
  );
}, 60_000);
