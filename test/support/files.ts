import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLocalStore } from '../../dev/store.ts';
import { openStorage, type Storage } from '../../services/storage/openStorage.ts';
import { type Answer, requestTo, signIn, startApi, type TestApi } from './api.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';
import { type Program, type Settings, startProgram } from './program.ts';
import { until } from './until.ts';

/** API, worker, database and store of one test file, for uploads. */
export type FileGround = {
  database: TestDatabase;
  api: TestApi;
  worker: Program;
  storage: Storage;
  /** Settings of processes that are to use the store. */
  settings: Record<string, string>;
  token: string;
  /** Starts one more worker, or the first again. */
  startWorker(settings?: Settings): Promise<Program>;
  /** Runs a mutation of Alice's, and answers its payload; throws the codes of its errors. */
  mutate(name: string, input: object, fields?: string, token?: string): Promise<Payload>;
  /** The same two, of another API. */
  through(apiUrl: string): Pick<FileGround, 'mutate' | 'presign'>;
  /** Declares a file as its bytes are, but for what is told otherwise. */
  presign(bytes: Uint8Array, otherwise?: object): Promise<Payload>;
  /** Declares, uploads and finalizes, and waits until it has come to rest. */
  upload(bytes: Uint8Array, otherwise?: object): Promise<FileRow>;
  /** Waits until a file has come to rest. */
  settled(id: string, withinMs?: number): Promise<FileRow>;
  /** Waits until no job is left to do. */
  idle(): Promise<void>;
  /** Has a job by the clock run now, and waits until no job is left to do. */
  run(task: string, payload?: object): Promise<void>;
  /** Has the time of an upload be over. The clock cannot be moved; the row can, by somebody whom no trigger binds. */
  makeLate(id: string): Promise<void>;
  /** Keys of all objects. */
  keys(): Promise<string[]>;
  /** Keys of uploads in parts that were begun, and neither completed nor given up. */
  begunUploads(): Promise<string[]>;
  close(): Promise<void>;
};

/** Of many shapes, as it was parsed. */
export type Payload = ReturnType<typeof JSON.parse>;

/** A file as the API shows it. */
export type FileRow = {
  id: string;
  status: string;
  error: string | null;
  width: number | null;
  height: number | null;
  downloadUrl: { url: string; expiresAt: string } | null;
};

const fileFields = 'id status error width height downloadUrl { url expiresAt }';
const payloadFields =
  'file { id status error partSize expiresAt } upload { url method headers { name value } expiresAt }';

/** Opens it; with `endpoint` in place of the store, for instance a proxy in front of it. */
export async function openFileGround(
  extra: Record<string, string> = {},
  between?: (endpoint: string) => Promise<string>,
): Promise<FileGround> {
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-test-store-'));
  const store = await openLocalStore({ dir });
  const { AWS_REGION, S3_BUCKET_UPLOADS, S3_ENDPOINT, ...credentials } = store.settings;
  const endpoint = (await between?.(S3_ENDPOINT)) ?? S3_ENDPOINT;
  const database = await openTestDatabase();
  const settings = { ...store.settings, S3_ENDPOINT: endpoint, ...extra };
  const api = await startApi(database, settings);
  const storage = openStorage({
    bucket: S3_BUCKET_UPLOADS,
    region: AWS_REGION,
    endpoint: S3_ENDPOINT,
    timeoutMs: 5_000,
    credentials: {
      accessKeyId: credentials.AWS_ACCESS_KEY_ID,
      secretAccessKey: credentials.AWS_SECRET_ACCESS_KEY,
    },
  });
  const workers: Program[] = [];
  const token = await signIn({ user: 'user_alice', org: 'org_acme' });

  const ground: FileGround = {
    database,
    api,
    storage,
    settings,
    token,
    get worker() {
      const latest = workers.at(-1);
      if (!latest) throw new Error('No worker was started.');
      return latest;
    },
    async startWorker(more = {}) {
      const worker = startProgram('worker/main.ts', {
        DATABASE_WORKER_URL: database.workerUrl,
        WORKER_PORT: '0',
        WORKER_HEARTBEAT_MS: '200',
        WORKER_DEAD_AFTER_MS: '1000',
        ...settings,
        ...more,
      });
      workers.push(worker);
      await worker.line(({ msg }) => msg === 'ready');
      return worker;
    },
    through(apiUrl) {
      const request = requestTo(apiUrl);
      const mutate: FileGround['mutate'] = async (
        name,
        input,
        fields = payloadFields,
        by = token,
      ) => {
        const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
        const query = `mutation M($input: ${type}!) { ${name}(input: $input) { ${fields} } }`;
        const answer = await request(by, query, { input });
        if (answer.errors) throw new ApiError(answer);
        return answer.data[name];
      };
      const presign: FileGround['presign'] = (bytes, otherwise = {}) =>
        mutate('presignUpload', { ...declarationOf(bytes), ...otherwise });
      return { mutate, presign };
    },
    mutate: (...args) => ground.through(api.url).mutate(...args),
    presign: (...args) => ground.through(api.url).presign(...args),
    async upload(bytes, otherwise) {
      const { file, upload } = await ground.presign(bytes, otherwise);
      await put(upload, bytes);
      await ground.mutate('finalizeUpload', { id: file.id }, 'file { status }');
      return ground.settled(file.id);
    },
    settled: (id, withinMs = 30_000) =>
      until(
        `file ${id} to come to rest`,
        async () => {
          const { data } = await api.request(
            token,
            `query ($id: ID!) { file(id: $id) { ${fileFields} } }`,
            { id },
          );
          const file: FileRow = data.file;
          return ['READY', 'REJECTED', 'EXPIRED'].includes(file.status) && file;
        },
        withinMs,
      ),
    async idle() {
      const waiting = async () =>
        (
          await database.superuser.query(
            `select t.identifier, j.last_error from graphile_worker._private_jobs as j
           join graphile_worker._private_tasks as t on t.id = j.task_id`,
          )
        ).rows;
      try {
        await until('the queue to be empty', async () => (await waiting()).length === 0, 20_000);
      } catch (cause) {
        throw new Error(`Jobs are left: ${JSON.stringify(await waiting())}`, { cause });
      }
    },
    async run(task, payload = {}) {
      await database.superuser.query('select graphile_worker.add_job($1, $2)', [task, payload]);
      await ground.idle();
    },
    async makeLate(id) {
      const rowId = JSON.parse(Buffer.from(id, 'base64').toString())[1];
      await database.superuser.query(
        `set session_replication_role = replica;
         update app_public.files set expires_at = now() - interval '1 second' where id = '${rowId}';
         set session_replication_role = origin`,
      );
    },
    async keys() {
      const keys: string[] = [];
      for await (const page of storage.list('')) keys.push(...page.map(({ key }) => key));
      return keys.sort();
    },
    async begunUploads() {
      const keys: string[] = [];
      for await (const page of storage.listMultiparts('')) keys.push(...page.map(({ key }) => key));
      return keys.sort();
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()));
      await api.close();
      storage.close();
      await store.close();
      await database.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return ground;
}

/** The codes of an answer with errors. */
export class ApiError extends Error {
  readonly code: unknown;
  readonly field: unknown;

  constructor({ errors = [] }: Answer) {
    super(JSON.stringify(errors));
    this.code = errors[0]?.extensions.code;
    this.field = errors[0]?.extensions.field;
  }
}

/** What an honest owner says of a file. */
export function declarationOf(bytes: Uint8Array) {
  return {
    fileName: 'notes.txt',
    contentType: 'text/plain',
    byteSize: String(bytes.length),
    checksumSha256: createHash('sha256').update(bytes).digest('base64'),
  };
}

/** Sends a signed request with these bytes, with other headers where told so. */
export async function put(
  { url, headers }: Payload,
  bytes: Uint8Array,
  otherwise: Record<string, string | undefined> = {},
): Promise<Response> {
  const given = Object.fromEntries(
    headers.map(({ name, value }: { name: string; value: string }) => [name.toLowerCase(), value]),
  );
  const sent = Object.entries({ ...given, ...otherwise }).filter(
    ([, value]) => value !== undefined,
  );
  const response = await fetch(url, {
    method: 'PUT',
    headers: Object.fromEntries(sent) as Record<string, string>,
    body: Buffer.from(bytes),
  });
  await response.arrayBuffer();
  return response;
}
