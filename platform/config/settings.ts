import { resolve } from 'node:path';
import type { z } from 'zod';
import {
  clerkSecretKey,
  decimalMicros,
  flag,
  folderFrom,
  host,
  httpUrl,
  type Kind,
  mediaTypeList,
  oneOf,
  originList,
  postgresUrl,
  priceList,
  publicKeyPem,
  scannerUrl,
  secretText,
  webhookSecret,
  wholeNumber,
  word,
  wordList,
} from './kinds.ts';

/** A process or command that needs settings; `none` needs nothing in particular. */
export type Process = 'api' | 'worker' | 'migrate' | 'none';

/** A default, as it would be written in the environment. */
type Default =
  | string
  | { /** Without it the setting has no default there. */ production?: string; otherwise: string };

/** What a reader may see of a value, in messages and in `config:print`. */
type Reveal = 'value' | 'urlWithoutPassword' | 'fingerprint' | 'nothing';

/** The definition of one environment variable. */
export type Setting = {
  variable: string;
  section: string;
  /** From text to value; its description says what is allowed. */
  kind: Kind;
  default?: Default;
  /** What it does, in a sentence or two. */
  meaning: string;
  /** Of a number: what it counts. */
  unit?: string;
  /** What is gained and lost by a higher value, or by setting it at all. */
  tradeOff?: string;
  /** `value` where it is no secret. */
  reveal: Reveal;
  /** The processes that do not start without it. */
  requiredBy: readonly Process[];
};

/** The folder that holds package.json: relative folders and env files start here. */
export const projectRoot = resolve(import.meta.dirname, '../..');

/** The default of LOG_PSEUDONYM_KEY outside production. No secret: it stands in the repository. */
export const developmentPseudonymKey = 'rowhouse-development-pseudonym-key';

/** Every setting there is, under its key in `Config`. */
export const settings = {
  isProduction: {
    variable: 'NODE_ENV',
    section: 'Process',
    kind: oneOf(['production', 'development', 'test'])
      .transform((mode) => mode === 'production')
      .describe('`production`, `development` or `test`'),
    default: 'production',
    meaning:
      'The mode. It decides defaults and whether env files are read. Unset means production.',
    reveal: 'value',
    requiredBy: [],
  },
  logLevel: {
    variable: 'LOG_LEVEL',
    section: 'Logs and metrics',
    kind: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    default: 'info',
    meaning: 'The least severe log line that is written.',
    tradeOff: 'From `debug` on, health probes are logged too.',
    reveal: 'value',
    requiredBy: [],
  },
  logPseudonymKey: {
    variable: 'LOG_PSEUDONYM_KEY',
    section: 'Logs and metrics',
    kind: secretText(32),
    default: { otherwise: developmentPseudonymKey },
    meaning:
      'Key of the hash that stands for user and organization ids in logs. The same key gives the same hash. Unset in production: each process makes its own at start. The AI service is told the same hashes; unset, hashes without a secret.',
    tradeOff: 'A new key unlinks old lines from new ones, and those of one process from another.',
    reveal: 'nothing',
    requiredBy: [],
  },
  metricsToken: {
    variable: 'METRICS_TOKEN',
    section: 'Logs and metrics',
    kind: word,
    meaning: 'The bearer token that `GET /metrics` asks for. Unset: it asks for none.',
    reveal: 'nothing',
    requiredBy: [],
  },
  port: {
    variable: 'PORT',
    section: 'HTTP',
    kind: wholeNumber(0, 65_535),
    default: '8080',
    meaning: 'The port the API listens on. 0 takes a free one.',
    reveal: 'value',
    requiredBy: [],
  },
  host: {
    variable: 'HOST',
    section: 'HTTP',
    kind: host,
    default: { production: '0.0.0.0', otherwise: '127.0.0.1' },
    meaning: 'The address the API listens on.',
    reveal: 'value',
    requiredBy: [],
  },
  corsOrigins: {
    variable: 'CORS_ORIGINS',
    section: 'HTTP',
    kind: originList,
    default: '',
    meaning: 'The web origins whose pages may call the API from a browser.',
    reveal: 'value',
    requiredBy: [],
  },
  graphqlPlayground: {
    variable: 'GRAPHQL_PLAYGROUND',
    section: 'HTTP',
    kind: flag,
    default: { production: 'false', otherwise: 'true' },
    meaning: 'Whether GraphiQL is served at `/`.',
    tradeOff: 'In production it shows the whole schema to whoever finds it.',
    reveal: 'value',
    requiredBy: [],
  },
  graphqlCacheMb: {
    variable: 'GRAPHQL_CACHE_MB',
    section: 'HTTP',
    kind: wholeNumber(1, 4096),
    default: '20',
    meaning:
      'What the API may keep of operations that came before: their documents and plans. An operation takes 0.1 to 0.3 MB, a large one more.',
    unit: 'MB',
    tradeOff:
      'More keeps the plans of more operations; the process grows by half as much again. An operation that has fallen out is parsed and planned anew. See [Performance](performance.md).',
    reveal: 'value',
    requiredBy: [],
  },
  databaseUrl: {
    variable: 'DATABASE_URL',
    section: 'Database',
    kind: postgresUrl,
    meaning: 'The login of the API, with the least rights.',
    reveal: 'urlWithoutPassword',
    requiredBy: ['api'],
  },
  databaseWorkerUrl: {
    variable: 'DATABASE_WORKER_URL',
    section: 'Database',
    kind: postgresUrl,
    meaning: 'The login of the worker.',
    reveal: 'urlWithoutPassword',
    requiredBy: ['worker'],
  },
  databaseOwnerUrl: {
    variable: 'DATABASE_OWNER_URL',
    section: 'Database',
    kind: postgresUrl,
    meaning: 'The login that owns the schema. Give it to `migrate` only.',
    reveal: 'urlWithoutPassword',
    requiredBy: ['migrate'],
  },
  databasePoolSize: {
    variable: 'DATABASE_POOL_SIZE',
    section: 'Database',
    kind: wholeNumber(1, 1000),
    default: '10',
    meaning: 'The most connections one process opens to Postgres.',
    unit: 'connections',
    tradeOff:
      'More connections serve more slow queries at once; Postgres pays for each in memory. See the pool rule above.',
    reveal: 'value',
    requiredBy: [],
  },
  databasePreparedStatements: {
    variable: 'DATABASE_PREPARED_STATEMENTS',
    section: 'Database',
    kind: flag,
    default: 'true',
    meaning:
      'Whether a connection of the API to Postgres is its own for as long as it lives, so that statements are prepared on it once. Set it to `false` behind PgBouncer in transaction mode. See [PgBouncer](pgbouncer.md).',
    tradeOff: 'Without them Postgres parses and plans each statement each time.',
    reveal: 'value',
    requiredBy: [],
  },
  databaseStatementTimeoutMs: {
    variable: 'DATABASE_STATEMENT_TIMEOUT_MS',
    section: 'Database',
    kind: wholeNumber(1, 600_000),
    default: '10000',
    meaning: 'How long one SQL statement of a request may run before Postgres cancels it.',
    unit: 'ms',
    tradeOff: 'A longer time lets slow queries finish, and lets them hold a connection longer.',
    reveal: 'value',
    requiredBy: [],
  },
  clerkIssuer: {
    variable: 'CLERK_ISSUER',
    section: 'Clerk',
    kind: httpUrl,
    meaning: 'The `iss` of tokens, letter by letter: the Frontend API URL of the Clerk instance.',
    reveal: 'value',
    requiredBy: ['api'],
  },
  clerkJwksUrl: {
    variable: 'CLERK_JWKS_URL',
    section: 'Clerk',
    kind: httpUrl,
    meaning: 'Where the public keys of the issuer are fetched.',
    reveal: 'value',
    requiredBy: [],
  },
  clerkJwtKey: {
    variable: 'CLERK_JWT_KEY',
    section: 'Clerk',
    kind: publicKeyPem,
    meaning: 'The public key of the issuer, so that no key is fetched over the network.',
    tradeOff: 'No outage of the issuer matters, but a new key needs a new deployment.',
    reveal: 'fingerprint',
    requiredBy: [],
  },
  clerkAudience: {
    variable: 'CLERK_AUDIENCE',
    section: 'Clerk',
    kind: word,
    meaning:
      'The `aud` a token must have. Session tokens of Clerk have none unless a JWT template sets it.',
    reveal: 'value',
    requiredBy: [],
  },
  clerkAuthorizedParties: {
    variable: 'CLERK_AUTHORIZED_PARTIES',
    section: 'Clerk',
    kind: wordList,
    default: '',
    meaning: 'The `azp` values (origins of your apps) a token may have. Unset: any.',
    tradeOff:
      'Set, it stops a token of another app; a token without `azp` is then refused as well.',
    reveal: 'value',
    requiredBy: [],
  },
  clerkWebhookSecret: {
    variable: 'CLERK_WEBHOOK_SECRET',
    section: 'Clerk',
    kind: webhookSecret,
    meaning:
      'The signing secret of the webhook endpoint that sends to `POST /webhooks/clerk`. Unset: that answers 404, and the mirror knows of users and organizations by their tokens alone. See [Clerk](clerk.md).',
    reveal: 'nothing',
    requiredBy: [],
  },
  clerkSecretKey: {
    variable: 'CLERK_SECRET_KEY',
    section: 'Clerk',
    kind: clerkSecretKey,
    meaning:
      'The secret key of the Clerk instance. With it the worker compares the mirror with Clerk every hour, and `npm run clerk:reconcile` does at once. Give it to the worker only.',
    tradeOff: 'It may do anything in the Clerk instance; without it a lost event stays lost.',
    reveal: 'nothing',
    requiredBy: [],
  },
  clerkApiUrl: {
    variable: 'CLERK_API_URL',
    section: 'Clerk',
    kind: httpUrl,
    default: 'https://api.clerk.com',
    meaning: 'Where Clerk’s Backend API is. Another only for tests.',
    reveal: 'value',
    requiredBy: [],
  },
  awsRegion: {
    variable: 'AWS_REGION',
    section: 'Uploads',
    kind: word,
    default: 'us-east-1',
    meaning: 'The region of the bucket. It is part of every signature.',
    reveal: 'value',
    requiredBy: [],
  },
  s3BucketUploads: {
    variable: 'S3_BUCKET_UPLOADS',
    section: 'Uploads',
    kind: word,
    meaning:
      'The bucket that files are uploaded to. Unset: there are no uploads. Credentials come from where the AWS SDK looks for them: `AWS_ACCESS_KEY_ID` and its kin (in development also in `.env`), a profile, or the role of the task. Those in the environment go before those in `.env`, and never together with them.',
    reveal: 'value',
    requiredBy: [],
  },
  s3Endpoint: {
    variable: 'S3_ENDPOINT',
    section: 'Uploads',
    kind: httpUrl,
    meaning:
      'Another store that speaks S3, addressed by path. Clients have to reach it under the same name. `AWS_ENDPOINT_URL` and its kin mean nothing here.',
    tradeOff:
      'Checksums that such a store reports are not believed: the worker reads every byte of every upload.',
    reveal: 'value',
    requiredBy: [],
  },
  s3TimeoutMs: {
    variable: 'S3_TIMEOUT_MS',
    section: 'Uploads',
    kind: wholeNumber(50, 60_000),
    default: '5000',
    meaning:
      'How long the worker waits for an answer of the store, and for more bytes of a file it reads. The API, which seldom has to ask, waits 700 ms in all.',
    unit: 'ms',
    reveal: 'value',
    requiredBy: [],
  },
  uploadAllowedTypes: {
    variable: 'UPLOAD_ALLOWED_TYPES',
    section: 'Uploads',
    kind: mediaTypeList,
    default:
      'image/*,audio/*,video/*,text/*,font/*,application/pdf,application/json,application/xml,application/zip,application/x-zip-compressed,application/gzip,application/x-gzip,application/octet-stream,application/rtf,application/msword,application/vnd.ms-excel,application/vnd.ms-powerpoint,application/vnd.openxmlformats-officedocument.wordprocessingml.document,application/vnd.openxmlformats-officedocument.spreadsheetml.sheet,application/vnd.openxmlformats-officedocument.presentationml.presentation,application/vnd.oasis.opendocument.text,application/vnd.oasis.opendocument.spreadsheet',
    meaning:
      'The media types that may be uploaded. An organization may have a list of its own: see [Uploads](uploads.md).',
    tradeOff: '`*/*` takes everything. Downloads stay harmless: see `UPLOAD_INLINE_TYPES`.',
    reveal: 'value',
    requiredBy: [],
  },
  uploadInlineTypes: {
    variable: 'UPLOAD_INLINE_TYPES',
    section: 'Uploads',
    kind: mediaTypeList,
    default: 'image/png,image/jpeg,image/gif,image/webp,image/avif',
    meaning: 'The media types that a browser may show; all others it is told to save.',
    tradeOff:
      'Types that hold scripts (HTML, SVG, XML) would run them under the name of the store.',
    reveal: 'value',
    requiredBy: [],
  },
  uploadMaxBytes: {
    variable: 'UPLOAD_MAX_BYTES',
    section: 'Uploads',
    kind: wholeNumber(1, 999_999_999_999),
    default: '5368709120',
    meaning: 'The largest file.',
    unit: 'bytes',
    reveal: 'value',
    requiredBy: [],
  },
  uploadSingleMaxBytes: {
    variable: 'UPLOAD_SINGLE_MAX_BYTES',
    section: 'Uploads',
    kind: wholeNumber(1, 5_368_709_120),
    default: '104857600',
    meaning: 'A larger file is uploaded in parts.',
    unit: 'bytes',
    reveal: 'value',
    requiredBy: [],
  },
  uploadPartBytes: {
    variable: 'UPLOAD_PART_BYTES',
    section: 'Uploads',
    kind: wholeNumber(5_242_880, 5_368_709_120),
    default: '16777216',
    meaning: 'The size of a part; larger where a file would have more than 1 000 of them.',
    unit: 'bytes',
    tradeOff: 'Larger parts are fewer requests, and more to send again when one breaks.',
    reveal: 'value',
    requiredBy: [],
  },
  uploadUrlTtlSeconds: {
    variable: 'UPLOAD_URL_TTL_SECONDS',
    section: 'Uploads',
    kind: wholeNumber(1, 43_200),
    default: '900',
    meaning:
      'How long a URL for uploading is valid: when an upload has to begin. It waits to be finalized for as long, and a minute, and as its bytes take at 64 KB/s.',
    unit: 's',
    tradeOff: 'Longer suits who begins late; quota is held for as long.',
    reveal: 'value',
    requiredBy: [],
  },
  uploadMultipartTtlSeconds: {
    variable: 'UPLOAD_MULTIPART_TTL_SECONDS',
    section: 'Uploads',
    kind: wholeNumber(1, 604_800),
    default: '86400',
    meaning:
      'How long an upload in parts may take, from its declaration until it is completed. The default is enough for 5 GB at 64 KB/s.',
    unit: 's',
    tradeOff:
      'The bucket keeps what comes in three days longer than this: after a change run `npm run storage:setup` again, or tell the Terraform.',
    reveal: 'value',
    requiredBy: [],
  },
  downloadUrlMaxTtlSeconds: {
    variable: 'DOWNLOAD_URL_MAX_TTL_SECONDS',
    section: 'Uploads',
    kind: wholeNumber(60, 604_800),
    default: '3600',
    meaning:
      'The longest time for which a URL for downloading may be asked. Who asks for none gets 60 s.',
    unit: 's',
    tradeOff: 'Whoever has such a URL can read the file until then, member or not.',
    reveal: 'value',
    requiredBy: [],
  },
  uploadQuotaBytes: {
    variable: 'UPLOAD_QUOTA_BYTES',
    section: 'Uploads',
    kind: wholeNumber(0, 999_999_999_999),
    default: '107374182400',
    meaning: 'How many bytes the files of one organization may take together.',
    unit: 'bytes',
    reveal: 'value',
    requiredBy: [],
  },
  uploadQuotaFiles: {
    variable: 'UPLOAD_QUOTA_FILES',
    section: 'Uploads',
    kind: wholeNumber(0, 999_999_999_999),
    default: '100000',
    meaning: 'How many files one organization may have, those on their way included.',
    unit: 'files',
    reveal: 'value',
    requiredBy: [],
  },
  clamavUrl: {
    variable: 'CLAMAV_URL',
    section: 'Uploads',
    kind: scannerUrl,
    meaning: 'The ClamAV daemon that files are shown to before they are ready. Unset: none.',
    tradeOff:
      'No file is ready while the daemon is away. Its limits have to be as large as the largest file: see [Viruses](uploads.md#viruses).',
    reveal: 'value',
    requiredBy: [],
  },
  aiServiceUrl: {
    variable: 'AI_SERVICE_URL',
    section: 'AI',
    kind: httpUrl,
    meaning:
      'Where the AI service is, which speaks the contract of `docs/ai-service.openapi.yaml`. Unset: there is none, and what needs it is told `AI_UNAVAILABLE`. See [AI](ai.md).',
    tradeOff: 'Prompts travel there: use `http://` inside a private network alone.',
    reveal: 'value',
    requiredBy: [],
  },
  aiTimeoutMs: {
    variable: 'AI_TIMEOUT_MS',
    section: 'AI',
    kind: wholeNumber(200, 60_000),
    default: '6000',
    meaning: 'How long a request waits for the AI service, all tries together.',
    unit: 'ms',
    tradeOff:
      'Longer answers more generations at once; shorter hands more of them to a job, and frees the request sooner.',
    reveal: 'value',
    requiredBy: [],
  },
  aiTryTimeoutMs: {
    variable: 'AI_TRY_TIMEOUT_MS',
    section: 'AI',
    kind: wholeNumber(100, 600_000),
    default: '4000',
    meaning:
      'How long one try of a request may take, at most AI_TIMEOUT_MS. In a job a try may take half of AI_JOB_TIMEOUT_MS.',
    unit: 'ms',
    tradeOff: 'Shorter leaves time for a second try; too short gives up what was about to answer.',
    reveal: 'value',
    requiredBy: [],
  },
  aiJobTimeoutMs: {
    variable: 'AI_JOB_TIMEOUT_MS',
    section: 'AI',
    kind: wholeNumber(100, 600_000),
    default: '120000',
    meaning: 'How long an attempt at a job waits for the AI service, all tries together.',
    unit: 'ms',
    tradeOff:
      'Longer suits slow models; a service that hangs holds a place of the worker for as long.',
    reveal: 'value',
    requiredBy: [],
  },
  aiMaxCalls: {
    variable: 'AI_MAX_CALLS',
    section: 'AI',
    kind: wholeNumber(1, 10_000),
    default: '64',
    meaning:
      'How many calls of the AI service one process has open at once; a worker no more than half of `WORKER_CONCURRENCY`. What comes on top is refused at once, and becomes a job, or waits as one.',
    unit: 'calls',
    reveal: 'value',
    requiredBy: [],
  },
  aiMaxCallsPerOrganization: {
    variable: 'AI_MAX_CALLS_PER_ORGANIZATION',
    section: 'AI',
    kind: wholeNumber(1, 10_000),
    default: '8',
    meaning: 'How many of them may be of one organization.',
    unit: 'calls',
    tradeOff:
      'More lets one organization take the service from the others, and its budget be overspent by as many calls in each process.',
    reveal: 'value',
    requiredBy: [],
  },
  aiMaxAnswerBytes: {
    variable: 'AI_MAX_ANSWER_BYTES',
    section: 'AI',
    kind: wholeNumber(1_024, 134_217_728),
    default: '4194304',
    meaning:
      'The longest answer that is read of the AI service. A longer one is cut off and counts as a failure.',
    unit: 'bytes',
    tradeOff: 'Each open call may take this much memory.',
    reveal: 'value',
    requiredBy: [],
  },
  aiMaxPromptTokens: {
    variable: 'AI_MAX_PROMPT_TOKENS',
    section: 'AI',
    kind: wholeNumber(1, 1_000_000),
    default: '8000',
    meaning: 'The longest prompt, the text of a document included.',
    unit: 'tokens',
    tradeOff: 'Longer prompts cost more, and need a model that takes them.',
    reveal: 'value',
    requiredBy: [],
  },
  aiMaxCompletionTokens: {
    variable: 'AI_MAX_COMPLETION_TOKENS',
    section: 'AI',
    kind: wholeNumber(1, 1_000_000),
    default: '4096',
    meaning: 'The largest `maxTokens` a generation may ask for.',
    unit: 'tokens',
    reveal: 'value',
    requiredBy: [],
  },
  aiFilters: {
    variable: 'AI_FILTERS',
    section: 'AI',
    kind: flag,
    default: 'true',
    meaning: 'Whether prompts and results are shown to the filter of the AI service.',
    tradeOff: 'Each generation then waits for two more calls.',
    reveal: 'value',
    requiredBy: [],
  },
  aiCacheTtlSeconds: {
    variable: 'AI_CACHE_TTL_SECONDS',
    section: 'AI',
    kind: wholeNumber(0, 31_536_000),
    default: '0',
    meaning:
      'For how long the text of a generation answers the same prompt of the same organization again. 0: never.',
    unit: 's',
    tradeOff: 'Saves calls; the same prompt gets the same text.',
    reveal: 'value',
    requiredBy: [],
  },
  aiPrices: {
    variable: 'AI_PRICES',
    section: 'AI',
    kind: priceList,
    default: '*=1:1',
    meaning:
      'What a million tokens cost, of the prompt and of the completion, by provider and model. The first entry that fits counts; what none fits costs nothing. By default one unit is a million tokens of any kind.',
    unit: 'units of your currency',
    reveal: 'value',
    requiredBy: [],
  },
  aiMonthlyBudgetMicros: {
    variable: 'AI_MONTHLY_BUDGET',
    section: 'AI',
    kind: decimalMicros,
    default: '10',
    meaning:
      'What the generations of one organization may cost in a calendar month (UTC), in the unit of AI_PRICES. An organization may have a budget of its own.',
    unit: 'units of your currency',
    reveal: 'value',
    requiredBy: [],
  },
  aiEmbeddings: {
    variable: 'AI_EMBEDDINGS',
    section: 'AI',
    kind: flag,
    default: 'false',
    meaning:
      'Whether the worker asks the AI service for embeddings of changed documents, so that similar ones are found. Set it on all workers alike.',
    tradeOff: 'Title and text of every document that is written go to the AI service.',
    reveal: 'value',
    requiredBy: [],
  },
  shutdownDrainMs: {
    variable: 'SHUTDOWN_DRAIN_MS',
    section: 'Stopping',
    kind: wholeNumber(0, 24_999),
    default: { production: '10000', otherwise: '0' },
    meaning: 'After SIGTERM, how long readiness is red while the listener still answers.',
    unit: 'ms',
    tradeOff:
      'Shorter than the load balancer needs to notice, and requests fail in a deployment; longer only delays it.',
    reveal: 'value',
    requiredBy: [],
  },
  shutdownGraceMs: {
    variable: 'SHUTDOWN_GRACE_MS',
    section: 'Stopping',
    kind: wholeNumber(0, 24_999),
    default: '10000',
    meaning: 'After the drain, how long running requests and jobs may take to finish.',
    unit: 'ms',
    tradeOff:
      'Longer lets slow work end; jobs that are cut off run again from their beginning. It delays each deployment by as much at most.',
    reveal: 'value',
    requiredBy: [],
  },
  workerConcurrency: {
    variable: 'WORKER_CONCURRENCY',
    section: 'Worker',
    kind: wholeNumber(1, 1000),
    default: '8',
    meaning:
      'How many jobs one worker process runs at once. With more than one, an organization whose jobs are long leaves one place to others.',
    unit: 'jobs',
    tradeOff:
      'Jobs that wait for a network gain from more; jobs that compute do not, and a crash interrupts as many. Each takes a connection, and two more are for the queue, whatever `DATABASE_POOL_SIZE` says.',
    reveal: 'value',
    requiredBy: [],
  },
  workerPort: {
    variable: 'WORKER_PORT',
    section: 'Worker',
    kind: wholeNumber(0, 65_535),
    default: '8081',
    meaning:
      'The port, at `HOST`, of the worker’s `/healthz`, `/readyz` and `/metrics`. 0 takes a free one.',
    reveal: 'value',
    requiredBy: [],
  },
  workerHeartbeatMs: {
    variable: 'WORKER_HEARTBEAT_MS',
    section: 'Worker',
    kind: wholeNumber(100, 60_000),
    default: '2000',
    meaning:
      'How often a worker tells the database that it lives, and looks for others that do not.',
    unit: 'ms',
    tradeOff: 'More often finds the dead sooner, and costs two small statements each time.',
    reveal: 'value',
    requiredBy: [],
  },
  workerDeadAfterMs: {
    variable: 'WORKER_DEAD_AFTER_MS',
    section: 'Worker',
    kind: wholeNumber(500, 600_000),
    default: '10000',
    meaning:
      'A worker that has not told so for this long is dead: its jobs go back to the queue, and it can end none of them any more. All workers of a database need the same.',
    unit: 'ms',
    tradeOff:
      'Shorter returns the jobs of a crashed worker sooner, and takes those of one that was only slow: blocked by its own code, or starved of CPU.',
    reveal: 'value',
    requiredBy: [],
  },
  workerTaskTimeoutMs: {
    variable: 'WORKER_TASK_TIMEOUT_MS',
    section: 'Worker',
    kind: wholeNumber(100, 3_600_000),
    default: '300000',
    meaning: 'How long an attempt at a job may take, for tasks that do not say so themselves.',
    unit: 'ms',
    tradeOff:
      'Longer lets slow work finish, and lets a task that hangs hold its place longer: the others wait for it once all places are taken so.',
    reveal: 'value',
    requiredBy: [],
  },
  workerQueueAgeLimitMs: {
    variable: 'WORKER_QUEUE_AGE_LIMIT_MS',
    section: 'Worker',
    kind: wholeNumber(1_000, 86_400_000),
    default: '300000',
    meaning: 'Readiness of the worker is red while a job has been due for longer than this.',
    unit: 'ms',
    tradeOff:
      'Shorter tells sooner of a queue that nobody works off, and of one that is only long; a job that no version knows turns it red for good.',
    reveal: 'value',
    requiredBy: [],
  },
  graphiqlTokenUrl: {
    variable: 'GRAPHIQL_TOKEN_URL',
    section: 'Development',
    kind: httpUrl,
    meaning: 'Where GraphiQL gets its token. The local stack sets it.',
    reveal: 'value',
    requiredBy: [],
  },
  localAiOpenaiUrl: {
    variable: 'LOCAL_AI_OPENAI_URL',
    section: 'Development',
    kind: httpUrl,
    meaning:
      'A server that speaks OpenAI’s API, for the local AI service to ask: `http://localhost:11434/v1` for Ollama. Unset: the text is made up without a model.',
    reveal: 'value',
    requiredBy: [],
  },
  localAiOpenaiModel: {
    variable: 'LOCAL_AI_OPENAI_MODEL',
    section: 'Development',
    kind: word,
    default: 'llama3.2',
    meaning: 'The model that generates.',
    reveal: 'value',
    requiredBy: [],
  },
  localAiOpenaiEmbeddingModel: {
    variable: 'LOCAL_AI_OPENAI_EMBEDDING_MODEL',
    section: 'Development',
    kind: word,
    meaning: 'The model that embeds. Unset: vectors are made without a model.',
    reveal: 'value',
    requiredBy: [],
  },
  localAiOpenaiKey: {
    variable: 'LOCAL_AI_OPENAI_KEY',
    section: 'Development',
    kind: word,
    meaning: 'The key that server asks for, if any.',
    reveal: 'nothing',
    requiredBy: [],
  },
  seed: {
    variable: 'SEED',
    section: 'Development',
    kind: flag,
    default: 'false',
    meaning: 'Whether `npm run seed` may write demo data.',
    reveal: 'value',
    requiredBy: [],
  },
  dataDir: {
    variable: 'ROWHOUSE_DATA_DIR',
    section: 'Development',
    kind: folderFrom(projectRoot),
    default: '.data',
    meaning: 'Where the local stack keeps its database, its keys and `local.env`.',
    reveal: 'value',
    requiredBy: [],
  },
} as const satisfies Record<string, Setting>;

type Settings = typeof settings;

/** The key of a setting in `Config`. */
export type SettingKey = keyof Settings;

/** A value is there when the setting has a default in every mode, or the process requires it. */
type Value<Row extends Setting, P extends Process> = Row extends {
  default: string | { production: string };
}
  ? z.output<Row['kind']>
  : P extends Row['requiredBy'][number]
    ? z.output<Row['kind']>
    : z.output<Row['kind']> | undefined;

/** The settings of a process, parsed; what process `P` requires is never undefined. */
export type Config<P extends Process = 'none'> = {
  readonly [Key in SettingKey]: Value<Settings[Key], P>;
};

/** The table as rows, for code that treats all settings alike. */
export const settingRows = Object.entries(settings) as [SettingKey, Setting][];
