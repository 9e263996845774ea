import {
  type AiServiceCall,
  type LocalAiService,
  openLocalAiService,
} from '../../dev/aiService.ts';
import { type Answer, requestTo, signIn, startApi, type TestApi } from './api.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';
import { ApiError, type Payload } from './files.ts';
import { type Program, type Settings, startProgram, startServer, urlOf } from './program.ts';
import { until } from './until.ts';

/** API, worker, database and AI service of one test file. */
export type GenerationGround = {
  database: TestDatabase;
  ai: LocalAiService;
  api: TestApi;
  /** Settings of processes that are to use the AI service. */
  settings: Record<string, string>;
  token: string;
  startWorker(settings?: Settings): Promise<Program>;
  /** One more API, to be killed. */
  startServer(settings?: Settings): Promise<{ server: Program; url: string }>;
  /** Sends a request, as Alice where nothing else is said. */
  request(query: string, variables?: object, token?: string, url?: string): Promise<Answer>;
  /** Runs a mutation of Alice's, and answers the generation; throws the codes of its errors. */
  mutate(name: MutationName, input: object, how?: { url?: string; token?: string }): Promise<Row>;
  /** What the service was asked for the text of a generation. */
  callsOf(id: string): AiServiceCall[];
  /** Waits until a generation has ended. */
  ended(id: string, token?: string): Promise<Row>;
  /** Waits until no job is left to do. */
  idle(withinMs?: number): Promise<void>;
  /** What the ledger says of all generations together. */
  month(orgId?: string): Promise<{ calls: number; cost: number; reserved: number }>;
  close(): Promise<void>;
};

type MutationName = 'generate' | 'startGeneration' | 'cancelGeneration';

/** A generation as the API shows it. */
export type Row = Payload;

const fields =
  'id prompt text status latencyMs provider model promptTokens completionTokens cached errorCode startedAt finishedAt document { id }';

/** Opens it. Without a worker: `startWorker` starts one. */
export async function openGenerationGround(
  extra: Record<string, string> = {},
): Promise<GenerationGround> {
  const ai = await openLocalAiService();
  const database = await openTestDatabase();
  const settings = {
    AI_SERVICE_URL: ai.url,
    AI_TIMEOUT_MS: '2000',
    AI_TRY_TIMEOUT_MS: '1500',
    // Half of it is no whole number.
    AI_JOB_TIMEOUT_MS: '4001',
    AI_MAX_CALLS_PER_ORGANIZATION: '64',
    ...extra,
  };
  const api = await startApi(database, settings);
  const token = await signIn({ user: 'user_alice', org: 'org_acme' });
  const programs: Program[] = [];

  const ground: GenerationGround = {
    database,
    ai,
    api,
    settings,
    token,
    async startWorker(more = {}) {
      const worker = startProgram('worker/main.ts', {
        DATABASE_WORKER_URL: database.workerUrl,
        WORKER_PORT: '0',
        WORKER_HEARTBEAT_MS: '200',
        WORKER_DEAD_AFTER_MS: '1000',
        ...settings,
        ...more,
      });
      programs.push(worker);
      await worker.line(({ msg }) => msg === 'ready');
      return worker;
    },
    async startServer(more = {}) {
      const server = startServer(database.apiUrl, { ...settings, ...more });
      programs.push(server);
      await server.line(({ msg }) => msg === 'ready');
      return { server, url: await urlOf(server) };
    },
    request: (query, variables, by = token, url = api.url) => requestTo(url)(by, query, variables),
    async mutate(name, input, { url = api.url, token: by = token } = {}) {
      const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
      const query = `mutation M($input: ${type}!) { ${name}(input: $input) { generation { ${fields} } } }`;
      const answer = await requestTo(url)(by, query, { input });
      if (answer.errors) throw new ApiError(answer);
      return answer.data[name].generation;
    },
    callsOf: (id) =>
      ai.calls.filter(
        ({ operation, idempotencyKey }) =>
          operation === 'generate' && idempotencyKey === rowIdOf(id),
      ),
    ended: (id, by = token) =>
      until(
        `generation ${id} to end`,
        async () => {
          const query = `query ($id: ID!) { generation(id: $id) { ${fields} } }`;
          const { data } = await api.request(by, query, { id });
          return ['SUCCEEDED', 'FAILED', 'CANCELED'].includes(data.generation?.status)
            ? (data.generation as Row)
            : false;
        },
        30_000,
      ),
    async idle(withinMs = 20_000) {
      await until(
        'the queue to be empty',
        async () => {
          const { rowCount } = await database.superuser.query(
            'select from graphile_worker._private_jobs limit 1',
          );
          return rowCount === 0;
        },
        withinMs,
      );
    },
    async month(orgId = 'org_acme') {
      const { rows } = await database.superuser.query(
        `select calls::int, cost_micros::int as cost, reserved_micros::int as reserved
         from app_private.ai_months where org_id = $1`,
        [orgId],
      );
      return rows[0] ?? { calls: 0, cost: 0, reserved: 0 };
    },
    async close() {
      await Promise.all(programs.map((program) => program.close()));
      await api.close();
      await ai.close();
      await database.close();
    },
  };
  return ground;
}

/** The key of a row in its node id. */
export function rowIdOf(nodeId: string): string {
  return JSON.parse(Buffer.from(nodeId, 'base64').toString())[1];
}
