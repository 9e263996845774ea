import { randomBytes } from 'node:crypto';
import { expect } from '@jest/globals';
import { type FileGround, type Payload, put } from '../support/files.ts';
import type { PausingWay } from '../support/pausing.ts';
import { type Program, startServer, urlOf } from '../support/program.ts';
import { commit, inTime, type NamedStep, request, sql } from '../support/steps.ts';
import { type Acknowledged, compare } from './storms.ts';

/** Kills that land at a named step of an upload, each as often as asked for. */

/** The ways that API and worker take. */
export type Ways = { database: PausingWay; store: PausingWay };

type Step = NamedStep<keyof Ways>;

/** What becomes of the file: by default it is ready. */
type WorkerStep = Step & { of?: 'whole' | 'parts' | 'wrong bytes' | 'an upload given up' };

/** From taking the job to deleting what is left over. */
export const workerSteps: readonly WorkerStep[] = [
  { name: 'reads the row', way: 'database', where: 'sent', isIt: sql('file_to_finalize') },
  { name: 'looks at the upload', way: 'store', where: 'sent', isIt: request(/^HEAD .*incoming/) },
  { name: 'asks for the copy', way: 'store', where: 'sent', isIt: request(/^PUT .*files/) },
  { name: 'has the copy, unanswered', way: 'store', where: 'done', isIt: request(/^PUT .*files/) },
  { name: 'looks at the copy', way: 'store', where: 'sent', isIt: request(/^HEAD .*files/) },
  {
    name: 'is in the middle of the bytes',
    way: 'store',
    where: 'done',
    isIt: request(/^GET .*files\/[^?]*\//),
  },
  { name: 'accepts the file', way: 'database', where: 'sent', isIt: sql('accept_file') },
  { name: 'has accepted, uncommitted', way: 'database', where: 'done', isIt: sql('accept_file') },
  { name: 'commits', way: 'database', where: 'sent', isIt: commit('accept_file') },
  {
    name: 'has committed, unanswered',
    way: 'database',
    where: 'done',
    isIt: commit('accept_file'),
  },
  { name: 'deletes the upload', way: 'store', where: 'sent', isIt: request(/^DELETE .*incoming/) },
  {
    name: 'has deleted the upload, unanswered',
    way: 'store',
    where: 'done',
    isIt: request(/^DELETE .*incoming/),
  },
  { name: 'lists the copies', way: 'store', where: 'sent', isIt: request(/^GET .*list-type/) },
  ...(['sent', 'done'] as const).flatMap((where): WorkerStep[] => {
    const named = (name: string) => (where === 'sent' ? name : `${name}, unanswered`);
    return [
      {
        of: 'parts',
        name: named('joins the parts'),
        way: 'store',
        where,
        isIt: request(/^POST .*incoming.*uploadId/),
      },
      {
        of: 'wrong bytes',
        name: named('rejects the file'),
        way: 'database',
        where,
        isIt: sql('reject_file'),
      },
      {
        of: 'wrong bytes',
        name: named('commits that it is rejected'),
        way: 'database',
        where,
        isIt: commit('reject_file'),
      },
      {
        of: 'wrong bytes',
        name: named('deletes the copy'),
        way: 'store',
        where,
        isIt: request(/^DELETE .*files/),
      },
      {
        of: 'an upload given up',
        name: named('gives up the parts'),
        way: 'store',
        where,
        isIt: request(/^DELETE .*uploadId/),
      },
    ];
  }),
];

type ApiStep = Step & {
  call: 'presign' | 'upload' | 'finalize' | 'parts' | 'complete' | 'abort' | 'delete';
};

/** From declaring a file to handing it over. */
export const apiSteps: readonly ApiStep[] = [
  // A call is one batch: what has been done in the database is committed.
  { name: 'declares', call: 'presign', way: 'database', where: 'sent', isIt: sql('create_file') },
  {
    name: 'has declared, unanswered',
    call: 'presign',
    way: 'database',
    where: 'done',
    isIt: sql('create_file'),
  },
  {
    name: 'is there while the client uploads',
    call: 'upload',
    way: 'store',
    where: 'sent',
    isIt: request(/^PUT .*incoming/),
  },
  {
    name: 'finalizes',
    call: 'finalize',
    way: 'database',
    where: 'sent',
    isIt: sql('finalize_file'),
  },
  {
    name: 'has finalized, unanswered',
    call: 'finalize',
    way: 'database',
    where: 'done',
    isIt: sql('finalize_file'),
  },
  {
    name: 'begins an upload in parts',
    call: 'parts',
    way: 'store',
    where: 'sent',
    isIt: request(/^POST .*uploads/),
  },
  {
    name: 'has begun it, unanswered',
    call: 'parts',
    way: 'store',
    where: 'done',
    isIt: request(/^POST .*uploads/),
  },
  {
    name: 'keeps its name',
    call: 'parts',
    way: 'database',
    where: 'sent',
    isIt: sql('set multipart_upload_id'),
  },
  ...(['sent', 'done'] as const).flatMap((where): ApiStep[] => {
    const named = (name: string) => (where === 'sent' ? name : `${name}, unanswered`);
    const step = { way: 'database', where } as const;
    return [
      { ...step, call: 'complete', name: named('completes'), isIt: sql('complete_multipart') },
      { ...step, call: 'abort', name: named('gives up'), isIt: sql('abort_upload') },
      // Its statement is prepared, and named but once: the file's id is in it.
      { ...step, call: 'delete', name: named('deletes'), isIt: sql('') },
    ];
  }),
];

/** Kills the worker so often at each of these steps; every file comes to rest all the same. */
export async function killWorkersAt(
  ground: FileGround,
  ways: Ways,
  steps: readonly WorkerStep[],
  times: number,
): Promise<string> {
  const acknowledged: Acknowledged = new Map();
  const ends: Record<string, number> = {};
  const start = () => ground.startWorker({ DATABASE_WORKER_URL: ways.database.url });
  let worker = await start();
  for (const step of steps) {
    for (let i = 0; i < times; i += 1) {
      const isLarge = step.of === 'parts' || step.of === 'an upload given up';
      const bytes = randomBytes(isLarge ? largeBytes : 50_000);
      const { file, upload } = await ground.presign(bytes, binary);
      const { id } = file;
      const held = ways[step.way].hold(step.isIt(rowId(id)), step.where);
      if (isLarge) {
        const parts = await putOnePart(ground, id, bytes);
        if (step.of === 'parts')
          await ground.mutate('completeMultipartUpload', { id, parts }, 'file { id }');
        else await ground.mutate('abortUpload', { id }, 'file { id }');
      } else {
        await put(upload, step.of === 'wrong bytes' ? randomBytes(bytes.length) : bytes);
        await ground.mutate('finalizeUpload', { id }, 'file { id }');
      }
      await inTime(held, step.name);
      worker.kill('SIGKILL');
      await worker.ended;
      worker = await start();
      const { status, error } = await ground.settled(id);
      ends[error ?? status] = (ends[error ?? status] ?? 0) + 1;
      if (status === 'READY') acknowledged.set(id, bytes);
    }
  }
  return `${steps.length} steps, ${times} kills each: ${JSON.stringify(ends)}; ${await compare(ground, acknowledged)}`;
}

/** How files come to rest that go through these steps, each so often. */
export function endsOf(steps: readonly WorkerStep[], times: number): Record<string, number> {
  const ends: Record<string, number> = {};
  for (const { of = 'whole' } of steps) {
    const end = {
      whole: 'READY',
      parts: 'READY',
      'wrong bytes': 'UPLOAD_CHECKSUM_MISMATCH',
      'an upload given up': 'UPLOAD_EXPIRED',
    }[of];
    ends[end] = (ends[end] ?? 0) + times;
  }
  return ends;
}

/** Kills an API so often at each of these steps; what it acknowledged is there, and what it did not, whole or not at all. */
export async function killApisAt(
  ground: FileGround,
  ways: Ways,
  steps: readonly ApiStep[],
  times: number,
): Promise<string> {
  await ground.startWorker();
  const acknowledged: Acknowledged = new Map();
  let api = await startApi(ground, ways);
  const restart = async () => {
    api.server.kill('SIGKILL');
    await api.server.ended;
    api = await startApi(ground, ways);
  };
  try {
    for (const step of steps) {
      for (let i = 0; i < times; i += 1) {
        const kept = await liveThrough(ground, ways, step, () => api, restart);
        if (kept) acknowledged.set(kept.id, kept.bytes);
      }
    }
  } finally {
    await api.server.close();
  }
  return `${steps.length} steps, ${times} kills each: ${await compare(ground, acknowledged)}`;
}

/** One upload, with a kill at a step of it; its client tries again. Answers the file, where it is to stay. */
async function liveThrough(
  ground: FileGround,
  ways: Ways,
  step: ApiStep,
  api: () => Api,
  restart: () => Promise<void>,
): Promise<{ id: string; bytes: Buffer } | null> {
  const fileName = `${step.call}-${randomBytes(8).toString('hex')}`;
  const isLarge = step.call === 'parts' || step.call === 'complete';
  const bytes = randomBytes(isLarge ? largeBytes : 17);
  const presign = () => api().presign(bytes, { ...binary, fileName });
  const say = (name: string, made: Payload, more: object = {}) =>
    api().mutate(name, { id: made.file.id, ...more }, '__typename');

  let made = step.call === 'presign' ? null : await presign();
  let parts: object[] = [];
  if (step.call === 'complete') parts = await putOnePart(api(), made.file.id, bytes);
  if (step.call === 'finalize' || step.call === 'delete') await put(made.upload, bytes);
  if (step.call === 'delete') {
    await say('finalizeUpload', made);
    await ground.settled(made.file.id);
  }
  const calls: Record<ApiStep['call'], () => Promise<Payload>> = {
    presign,
    upload: () => put(made.upload, bytes),
    finalize: () => say('finalizeUpload', made),
    parts: () => say('presignUploadParts', made, { parts: [{ partNumber: 1 }] }),
    complete: () => say('completeMultipartUpload', made, { parts }),
    abort: () => say('abortUpload', made),
    delete: () => say('deleteFile', made),
  };
  const call = calls[step.call];
  const mark = made === null ? fileName : rowId(made.file.id);
  const held = ways[step.way].hold(step.isIt(mark), step.where);
  const answer = call().then(
    () => 'answered',
    () => 'lost',
  );
  await inTime(held, step.name);
  await restart();
  // What a client sends to the store is not the API's to lose: it waits there, and is sent anew.
  if (step.call !== 'upload' && (await answer) !== 'lost') {
    throw new Error(`An API that was killed when it ${step.name} has answered.`);
  }
  await assertWhole(ground, fileName);

  if (step.call === 'delete') {
    // Gone already, or now.
    await call().catch(({ code }) => expect(code).toBe('NOT_FOUND'));
    return null;
  }
  const again = await call();
  made ??= again;
  if (step.call === 'abort') return null;
  if (step.call === 'parts') {
    await say('abortUpload', made);
    return null;
  }
  if (step.call === 'presign') await put(made.upload, bytes);
  if (step.call !== 'complete') await say('finalizeUpload', made);
  return { id: made.file.id, bytes };
}

/** Uploads a large file as its only part, and answers what completing it wants to know. */
async function putOnePart(
  { mutate }: Pick<FileGround, 'mutate'>,
  id: string,
  bytes: Buffer,
): Promise<object[]> {
  const input = { id, parts: [{ partNumber: 1 }] };
  const signed = await mutate(
    'presignUploadParts',
    input,
    'parts { upload { url headers { name value } } }',
  );
  const { headers } = await put(signed.parts[0].upload, bytes);
  return [{ partNumber: 1, etag: headers.get('etag') }];
}

type Api = Pick<FileGround, 'mutate' | 'presign'> & { server: Program };

async function startApi(ground: FileGround, ways: Ways): Promise<Api> {
  const server = startServer(ways.database.url, ground.settings);
  const url = await urlOf(server);
  await server.line(({ msg }) => msg === 'ready');
  return { server, ...ground.through(url) };
}

/** What was not answered is there once with all that follows from it, or not at all. */
async function assertWhole({ database }: FileGround, fileName: string): Promise<void> {
  const { rows } = await database.superuser.query<{ is_whole: boolean }>(
    `select f.status <> 'FINALIZING' or exists (
       select from graphile_worker._private_jobs as j where j.key = concat_ws(':', 'files__finalize', f.org_id, f.id)
     ) as is_whole
     from app_public.files as f where file_name = $1`,
    [fileName],
  );
  if (rows.length > 1 || rows.some(({ is_whole }) => !is_whole)) {
    throw new Error(`${fileName} is there by half.`);
  }
}

/** Settings under which such a file comes in parts: in one. */
export const inParts = { UPLOAD_SINGLE_MAX_BYTES: '90000' };
const largeBytes = 100_000;
const binary = { contentType: 'application/octet-stream' };
const rowId = (id: string) => JSON.parse(Buffer.from(id, 'base64').toString())[1] as string;
