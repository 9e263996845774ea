import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import type { FaultyStore, StoreFault } from '../support/faultyStore.ts';
import { type FileGround, put } from '../support/files.ts';
import { type Program, startServer, urlOf } from '../support/program.ts';
import { until } from '../support/until.ts';

/** Faults around uploads, in a short and in a long form. */

/** What the driver was told is there, by the id of the file. */
export type Acknowledged = Map<string, Buffer>;

/** Kills the worker in the middle of finalizing, again and again. */
export async function killWorkers(ground: FileGround, times: number): Promise<string> {
  const acknowledged: Acknowledged = new Map();
  let worker = await ground.startWorker();
  for (let i = 0; i < times; i += 1) {
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        const bytes = randomBytes(1_000 + Math.floor(Math.random() * 200_000));
        const { file, upload } = await ground.presign(bytes, {
          contentType: 'application/octet-stream',
        });
        await put(upload, bytes);
        await ground.mutate('finalizeUpload', { id: file.id }, 'file { id }');
        acknowledged.set(file.id, bytes);
      }),
    );
    await sleep(Math.random() * 60);
    worker.kill('SIGKILL');
    await worker.ended;
    worker = await ground.startWorker();
  }
  return compare(ground, acknowledged);
}

/** Kills an API in the middle of declaring and finalizing, again and again. */
export async function killApis(ground: FileGround, times: number): Promise<string> {
  await ground.startWorker();
  const acknowledged: Acknowledged = new Map();
  const bytes = Buffer.from('Sell more anvils.');
  const declaration = { contentType: 'text/plain' };
  for (let i = 0; i < times; i += 1) {
    const server: Program = startServer(ground.database.apiUrl, ground.settings);
    const url = await urlOf(server);
    await server.line(({ msg }) => msg === 'ready');
    const through = ground.through(url);
    let isOver = false;
    const clients = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        try {
          const { file, upload } = await through.presign(bytes, declaration);
          await put(upload, bytes);
          await through.mutate('finalizeUpload', { id: file.id }, 'file { id }');
          acknowledged.set(file.id, bytes);
        } catch {
          // It was not acknowledged: whole or not at all.
        }
      }
    });
    await sleep(200 + Math.random() * 500);
    server.kill('SIGKILL');
    await server.ended;
    isOver = true;
    await Promise.all(clients);
  }
  // Without any, nothing would have been shown.
  expect(acknowledged.size).toBeGreaterThanOrEqual(times);
  return compare(ground, acknowledged);
}

/** Lets the store be bad in every way while files are uploaded; answers how long the API took. */
export async function spoilStore(
  ground: FileGround,
  store: FaultyStore,
  forMs: number,
): Promise<string> {
  await ground.startWorker({ S3_TIMEOUT_MS: '500' });
  const faults: StoreFault[] = ['500', '503', 'reset', 'hang', 'slow', 'cut'];
  const acknowledged: Acknowledged = new Map();
  const timesMs: number[] = [];
  const timed = async <Result>(work: Promise<Result>): Promise<Result> => {
    const startedMs = performance.now();
    try {
      return await work;
    } finally {
      timesMs.push(performance.now() - startedMs);
    }
  };
  const large = { contentType: 'application/octet-stream', byteSize: '200000000' };
  for (const fault of faults) {
    const endsMs = performance.now() + forMs / faults.length;
    while (performance.now() < endsMs) {
      const bytes = randomBytes(2_000);
      store.fault = 'none';
      const { file, upload } = await timed(
        ground.presign(bytes, { contentType: 'application/octet-stream' }),
      );
      await put(upload, bytes);
      store.fault = fault;
      await timed(
        ground.mutate('finalizeUpload', { id: file.id }, 'file { id downloadUrl { url } }'),
      );
      acknowledged.set(file.id, bytes);
      const { file: parts } = await timed(ground.presign(bytes, large));
      // The only call of the API that needs the store's answer.
      await timed(
        ground.mutate(
          'presignUploadParts',
          { id: parts.id, parts: [{ partNumber: 1 }] },
          'file { id }',
        ),
      ).catch(({ code }) => expect(code).toBe('UNAVAILABLE'));
      await ground.mutate('abortUpload', { id: parts.id }, 'file { id }');
      await sleep(50);
    }
  }
  store.fault = 'none';
  const compared = await compare(ground, acknowledged);
  timesMs.sort((a, b) => a - b);
  const at = (share: number) => Math.round(timesMs[Math.floor(timesMs.length * share)] ?? 0);
  expect(store.hit).toBeGreaterThan(faults.length);
  return `${compared}; ${store.hit} requests spoiled; the API answered ${timesMs.length} times, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, slowest ${at(0.999)} ms`;
}

/**
 * Replaces what was uploaded while it is verified: what is ready has the bytes that were declared.
 * One file in five is left alone once it is finalized, and is ready for certain.
 */
export async function raceAroundFinalize(ground: FileGround, times: number): Promise<string> {
  const [bytes, others] = [Buffer.from('Sell more anvils.'), Buffer.from('Sell less anvils.')];
  const outcomes: Record<string, number> = {};
  let leftAlone = 0;
  let slowestMs = 0;
  const race = async (isRaced: boolean) => {
    const { file, upload } = await ground.presign(bytes);
    await put(upload, Math.random() < 0.5 ? bytes : others);
    if (!isRaced) await put(upload, bytes);
    let isOver = !isRaced;
    const replacing = (async () => {
      while (!isOver) {
        const body = Math.random() < 0.5 ? bytes : others;
        await put(upload, body).catch(() => {});
      }
    })();
    await ground.mutate('finalizeUpload', { id: file.id }, 'file { id }');
    const finalizedMs = performance.now();
    const { status, error, downloadUrl } = await ground.settled(file.id, 60_000);
    slowestMs = Math.max(slowestMs, performance.now() - finalizedMs);
    isOver = true;
    await replacing;
    if (isRaced) outcomes[error ?? status] = (outcomes[error ?? status] ?? 0) + 1;
    else expect(status).toBe('READY');
    leftAlone += isRaced ? 0 : 1;
    if (status !== 'READY') return;
    const response = await fetch(downloadUrl?.url ?? '');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
  };
  for (let done = 0; done < times; done += 5) {
    await Promise.all(Array.from({ length: 5 }, (_, i) => race(i > 0)));
  }
  // In so many races some are won by the right bytes, and some by the others.
  if (times >= 200) {
    expect(outcomes.READY).toBeGreaterThan(0);
    expect(outcomes.UPLOAD_CHECKSUM_MISMATCH).toBeGreaterThan(0);
  }
  return `${times - leftAlone} races around finalize: ${JSON.stringify(outcomes)}; ${leftAlone} files left alone, all ready; the slowest came to rest after ${Math.round(slowestMs)} ms`;
}

/** Every file that was acknowledged is ready with its bytes; after the sweep nothing else is there. */
export async function compare(ground: FileGround, acknowledged: Acknowledged): Promise<string> {
  // What waits for its next attempt need not wait here; but while the breaker is open each one is wasted.
  let nextHurryMs = 0;
  const hurry = async () => {
    if (performance.now() < nextHurryMs) return;
    nextHurryMs = performance.now() + 2_000;
    await ground.database.superuser.query(
      'update graphile_worker._private_jobs set run_at = now() where locked_at is null and run_at > now()',
    );
  };
  await until(
    'all files to come to rest',
    async () => {
      await hurry();
      const { rowCount } = await ground.database.superuser.query(
        "select from app_public.files where status = 'FINALIZING' limit 1",
      );
      return rowCount === 0;
    },
    120_000,
  );
  for (const [id, bytes] of acknowledged) {
    const file = await ground.settled(id);
    expect(file).toMatchObject({ status: 'READY', error: null });
    const response = await fetch(file.downloadUrl?.url ?? '');
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
  }
  await ground.database.superuser.query(
    `set session_replication_role = replica;
     update app_public.files set expires_at = now() where status = 'PENDING';
     set session_replication_role = origin;
     select graphile_worker.add_job('files__expire', '{}')`,
  );
  await until(
    'the queue to be empty',
    async () => {
      await hurry();
      const { rowCount } = await ground.database.superuser.query(
        'select from graphile_worker._private_jobs limit 1',
      );
      return rowCount === 0;
    },
    120_000,
  );
  const before = (await ground.keys()).length;
  const begunBefore = (await ground.begunUploads()).length;
  await ground.database.superuser.query(
    `select graphile_worker.add_job('files__reconcile', '{"minAgeSeconds": 0}')`,
  );
  await ground.idle();
  const { rows } = await ground.database.superuser.query<{ object_key: string }>(
    "select object_key from app_public.files where status = 'READY'",
  );
  const keys = await ground.keys();
  expect(keys).toEqual(rows.map(({ object_key }) => object_key).sort());
  expect(await ground.begunUploads()).toEqual([]);
  return `${acknowledged.size} files acknowledged, all ready with their bytes; ${before - keys.length} orphans and ${begunBefore} begun uploads swept, none left`;
}
