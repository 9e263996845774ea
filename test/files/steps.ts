import { randomBytes } from 'node:crypto';
import { type FileGround, type Payload, put } from '../support/files.ts';
import type { PausingWay } from '../support/pausing.ts';
import { type Program, startServer, urlOf } from '../support/program.ts';
import { commit, inTime, type NamedStep, request, sql } from '../support/steps.ts';
import { type Acknowledged, compare } from './storms.ts';

/** Kills that land at a named step of an upload, each as often as asked for. */

/** The ways that API and worker take. */
export type Ways = { database: PausingWay; store: PausingWay };

type Step = NamedStep<keyof Ways>;

/** From taking the job to deleting what is left over. */
export const workerSteps: readonly Step[] = [
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
];

type ApiStep = Step & { call: 'presign' | 'upload' | 'finalize' | 'parts' };

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
];

/** Kills the worker so often at each of these steps; every file comes to rest all the same. */
export async function killWorkersAt(
  ground: FileGround,
  ways: Ways,
  steps: readonly Step[],
  times: number,
): Promise<string> {
  const acknowledged: Acknowledged = new Map();
  const start = () => ground.startWorker({ DATABASE_WORKER_URL: ways.database.url });
  let worker = await start();
  for (const step of steps) {
    for (let i = 0; i < times; i += 1) {
      const bytes = randomBytes(100_000);
      const { file, upload } = await ground.presign(bytes, binary);
      await put(upload, bytes);
      const held = ways[step.way].hold(step.isIt(rowId(file.id)), step.where);
      await ground.mutate('finalizeUpload', { id: file.id }, 'file { id }');
      acknowledged.set(file.id, bytes);
      await inTime(held, step.name);
      worker.kill('SIGKILL');
      await worker.ended;
      worker = await start();
      await ground.settled(file.id);
    }
  }
  return `${steps.length} steps, ${times} kills each: ${await compare(ground, acknowledged)}`;
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
        const id = await liveThrough(ground, ways, step, () => api, restart);
        if (id !== null) acknowledged.set(id, text);
      }
    }
  } finally {
    await api.server.close();
  }
  return `${steps.length} steps, ${times} kills each: ${await compare(ground, acknowledged)}`;
}

/** One upload, with a kill at a step of it; its client tries again. Answers the file, where it has bytes. */
async function liveThrough(
  ground: FileGround,
  ways: Ways,
  step: ApiStep,
  api: () => Api,
  restart: () => Promise<void>,
): Promise<string | null> {
  const fileName = `${step.call}-${randomBytes(8).toString('hex')}.txt`;
  const byteSize = step.call === 'parts' ? '200000000' : String(text.length);
  const presign = () => api().presign(text, { contentType: 'text/plain', fileName, byteSize });
  const finalize = (id: string) => api().mutate('finalizeUpload', { id }, 'file { id }');
  const callOf = (made: Payload): Promise<Payload> => {
    if (step.call === 'presign') return presign();
    if (step.call === 'upload') return put(made.upload, text);
    if (step.call === 'finalize') return finalize(made.file.id);
    const parts = [{ partNumber: 1 }];
    return api().mutate('presignUploadParts', { id: made.file.id, parts }, 'file { id }');
  };

  let made = step.call === 'presign' ? null : await presign();
  if (step.call === 'finalize') await put(made.upload, text);
  const mark = made === null ? fileName : rowId(made.file.id);
  const held = ways[step.way].hold(step.isIt(mark), step.where);
  const answer = callOf(made).then(
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

  const again = await callOf(made);
  made ??= again;
  if (step.call === 'parts') {
    await api().mutate('abortUpload', { id: made.file.id }, 'file { id }');
    return null;
  }
  if (step.call === 'presign') await put(made.upload, text);
  await finalize(made.file.id);
  return made.file.id;
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

const text = Buffer.from('Sell more anvils.');
const binary = { contentType: 'application/octet-stream' };
const rowId = (id: string) => JSON.parse(Buffer.from(id, 'base64').toString())[1] as string;
